"""The run: every measure in interleaved rounds, told as it goes."""

import resource
import sys
from collections.abc import Callable

from bench.measuring import idle_bytes, run_pgbench, stream_rows
from bench.results import Results
from bench.settings import Settings
from bench.targets import Target, open_server, open_targets

MIB = 1024 * 1024


def run(settings: Settings) -> Results:
    """Measure everything; the caller prints and writes. Memory is measured on proxies that did nothing before."""
    _allow_open_files()
    results = Results(settings)
    say("filling the database")
    with open_server(settings) as server:
        with open_targets(server, settings) as targets:
            for mode in settings.modes:
                for clients in settings.clients:
                    load = _throughput(settings, results, mode, clients)
                    _interleave(settings, targets, f"{mode}, {clients} clients", load)
            _interleave(settings, targets, "new connections", _connecting(settings, results))
            _interleave(settings, targets, f"{settings.select_rows:,} rows", _streaming(settings, results))
        with open_targets(server, settings) as targets:
            _measure_long_results(settings, results, targets)
        with open_targets(server, settings) as targets:
            _measure_idle(settings, results, targets)
    return results


def _measure_long_results(settings: Settings, results: Results, targets: list[Target]) -> None:
    for target in targets:
        if target.leader is not None:
            for rows in settings.memory_rows:
                say(f"{target.name}: memory while {rows:,} rows go by")
                peak = stream_rows(target, rows).peak_bytes
                results.add(f"peak MiB, {rows:,} rows", target.name, None if peak is None else peak / MIB)


def _measure_idle(settings: Settings, results: Results, targets: list[Target]) -> None:
    for target in targets:
        if target.leader is not None:
            say(f"{target.name}: memory of {settings.idle_connections} idle connections")
            each = idle_bytes(target, settings.idle_connections)
            results.add(f"KiB per idle connection, {settings.idle_connections} open", target.name, each / 1024)


def say(text: str) -> None:
    """Tell whoever waits what is measured now."""
    print(text, file=sys.stderr, flush=True)


def _interleave(settings: Settings, targets: list[Target], name: str, measure: Callable[[Target], None]) -> None:
    for number in range(settings.rounds):
        say(f"{name}: round {number + 1} of {settings.rounds}")
        for target in targets:
            measure(target)


def _throughput(settings: Settings, results: Results, mode: str, clients: int) -> Callable[[Target], None]:
    def measure(target: Target) -> None:
        load = run_pgbench(target, mode=mode, clients=clients, seconds=settings.seconds, latency=clients == 1)
        results.add(f"{mode} c{clients} tps", target.name, load.per_second)
        results.add(f"{mode} c{clients} proxy CPU us/transaction", target.name, load.cpu_microseconds)
        results.add(f"{mode} c{clients} median us", target.name, load.median_microseconds)

    return measure


def _connecting(settings: Settings, results: Results) -> Callable[[Target], None]:
    def measure(target: Target) -> None:
        load = run_pgbench(target, mode="simple", clients=4, seconds=settings.seconds, reconnect=True)
        results.add("new connections/s", target.name, load.per_second)
        results.add("new connection proxy CPU us", target.name, load.cpu_microseconds)

    return measure


def _streaming(settings: Settings, results: Results) -> Callable[[Target], None]:
    def measure(target: Target) -> None:
        stream = stream_rows(target, settings.select_rows, stored=True)
        results.add(f"{settings.select_rows:,} rows: rows/s", target.name, stream.rows_per_second)
        results.add(f"{settings.select_rows:,} rows: MB/s", target.name, stream.megabytes_per_second)
        results.add(f"{settings.select_rows:,} rows: proxy CPU us/row", target.name, stream.cpu_microseconds_per_row)

    return measure


def _allow_open_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
