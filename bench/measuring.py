"""The single measurements: one target, one kind of load, once."""

import re
import statistics
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import psycopg
from psycopg import pq

from bench.accounting import cpu_seconds, peak_bytes, reset_peaks, rss_bytes
from bench.targets import WIDE, Target, wide_rows
from tests.servers.debian import binaries

ROWS_PER_CHUNK = 1000
PATIENCE = 600


@dataclass(frozen=True, slots=True)
class Load:
    """What one pgbench run gave."""

    per_second: float
    cpu_microseconds: float | None
    """CPU time of the proxy's processes for one transaction."""
    median_microseconds: float | None
    """Median latency, where it was asked for."""


@dataclass(frozen=True, slots=True)
class Stream:
    """What one long result gave."""

    rows_per_second: float
    megabytes_per_second: float
    cpu_microseconds_per_row: float | None
    peak_bytes: int | None
    """Resident memory of the proxy's processes at their peak."""


def run_pgbench(
    target: Target, *, mode: str, clients: int, seconds: int, reconnect: bool = False, latency: bool = False
) -> Load:
    """Run pgbench's select-only script; ``reconnect`` opens a connection for each transaction."""
    with tempfile.TemporaryDirectory(prefix="interlock-bench-") as folder:
        argv = [str(binaries() / "pgbench"), "-n", "-S", "-M", mode, "-c", str(clients), "-T", str(seconds)]
        argv += ["-j", "2" if clients >= 64 else "1"]
        argv += ["-C"] if reconnect else []
        argv += ["-l", f"--log-prefix={folder}/log"] if latency else []
        before = 0.0 if target.leader is None else cpu_seconds(target.leader)
        done = subprocess.run(
            argv,
            env=target.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        used = None if target.leader is None else cpu_seconds(target.leader) - before
        if done.returncode:
            msg = f"pgbench through {target.name} failed: {done.stderr[-2000:]}"
            raise RuntimeError(msg)
        median = _median_latency(Path(folder)) if latency else None
    transactions = _number(r"number of transactions actually processed: (\d+)", done.stdout)
    failed = _number(r"number of failed transactions: (\d+)", done.stdout)
    if failed:
        msg = f"pgbench through {target.name}: {failed:.0f} transactions failed"
        raise RuntimeError(msg)
    return Load(
        per_second=_number(r"tps = ([\d.]+)", done.stdout),
        cpu_microseconds=None if used is None or not transactions else used / transactions * 1e6,
        median_microseconds=median,
    )


def stream_rows(target: Target, rows: int, *, stored: bool = False) -> Stream:
    """Read a result of so many rows of eight columns, a chunk at a time, and throw it away.

    ``stored`` reads the table of that size, so that the server has little to do but send; else it makes the rows up.
    """
    query = f"SELECT * FROM {WIDE}" if stored else wide_rows(rows)
    connection = psycopg.connect(target.dsn(), autocommit=True)
    try:
        if target.leader is not None:
            reset_peaks(target.leader)
        before = 0.0 if target.leader is None else cpu_seconds(target.leader)
        started = perf_counter()
        seen, size = _drain(connection.pgconn, query)
        took = perf_counter() - started
        if target.leader is None:
            used, peak = None, None
        else:
            used = (cpu_seconds(target.leader) - before) / rows * 1e6
            peak = peak_bytes(target.leader)
    finally:
        connection.close()
    if seen != rows:
        msg = f"{target.name} gave {seen} rows of {rows}"
        raise RuntimeError(msg)
    return Stream(rows / took, size / took / 1e6, used, peak)


def idle_bytes(target: Target, connections: int) -> float:
    """Resident memory that each of so many idle connections costs the proxy, after one statement on each."""
    assert target.leader is not None

    def connect(_: int) -> psycopg.Connection[tuple[object, ...]]:
        connection = psycopg.connect(target.dsn(), autocommit=True)
        connection.execute("SELECT 1")
        return connection

    opened: list[psycopg.Connection[tuple[object, ...]]] = []
    before = rss_bytes(target.leader)
    try:
        with ThreadPoolExecutor(8) as pool:
            opened += pool.map(connect, range(connections))
        return (rss_bytes(target.leader) - before) / connections
    finally:
        for connection in opened:
            connection.close()


def _drain(connection: pq.abc.PGconn, query: str) -> tuple[int, int]:
    connection.send_query_params(query.encode(), None)
    connection.set_chunked_rows_mode(ROWS_PER_CHUNK)
    rows = size = 0
    while (result := connection.get_result()) is not None:
        if result.status not in {pq.ExecStatus.TUPLES_CHUNK, pq.ExecStatus.TUPLES_OK}:
            msg = result.error_message.decode(errors="replace")
            raise RuntimeError(msg)
        rows += result.ntuples
        # The first row of each chunk stands for the chunk: looking at every value would measure this client.
        if result.ntuples:
            first = sum(len(result.get_value(0, column) or b"") for column in range(result.nfields))
            size += (first + 7 + 4 * result.nfields) * result.ntuples
        result.clear()
    return rows, size


def _median_latency(folder: Path) -> float:
    lines = (line for path in sorted(folder.iterdir()) for line in path.read_text().splitlines())
    return statistics.median(int(line.split()[2]) for line in lines)


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    return float(found[1]) if found else 0.0
