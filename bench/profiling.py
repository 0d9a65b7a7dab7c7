"""Where a worker's time goes: py-spy samples every process of the gateway while pgbench loads it."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

from bench.measuring import run_pgbench
from bench.results import FOLDER
from bench.settings import Settings
from bench.targets import open_server, open_targets

PY_SPY = Path(sys.executable).with_name("py-spy")
SHOWN = 45


def profile(settings: Settings, *, seconds: int = 8, clients: int = 16) -> None:
    """Sample simple and prepared loads; print the dearest functions and keep the stacks for flame graphs."""
    FOLDER.mkdir(exist_ok=True)
    only = replace(settings, targets=("direct", "interlock"))
    with open_server(only) as server, open_targets(server, only) as targets:
        gateway = targets[-1]
        for mode in settings.modes:
            stacks = FOLDER / f"profile-{mode}.txt"
            sampler = subprocess.Popen(
                [
                    *(str(PY_SPY), "record", "--pid", str(gateway.leader), "--subprocesses", "--native"),
                    *("--rate", "500", "--duration", str(seconds - 1), "--format", "raw", "--output", str(stacks)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            load = run_pgbench(gateway, mode=mode, clients=clients, seconds=seconds)
            _, errors = sampler.communicate(timeout=120)
            if sampler.returncode:
                msg = f"py-spy failed (it may need root or ptrace rights): {errors[-2000:]}"
                raise SystemExit(msg)
            print(f"\n{mode}, {clients} clients: {load.per_second:,.0f} tps, {load.cpu_microseconds:.1f} us CPU each")
            print(report(stacks.read_text(encoding="utf-8")))
            print(f"stacks: {stacks}")


def report(stacks: str) -> str:
    """Sum up raw stacks (``frame;frame;frame count`` a line) by function: alone, and with what it calls."""
    alone: Counter[str] = Counter()
    within: Counter[str] = Counter()
    total = 0
    for line in stacks.splitlines():
        frames, _, count = line.rpartition(" ")
        names = [_without_line(frame) for frame in frames.split(";")]
        alone[names[-1]] += int(count)
        for name in set(names):
            within[name] += int(count)
        total += int(count)
    lines = [f"{'alone':>7} {'within':>7}  function"]
    lines += [
        f"{100 * count / total:6.1f}% {100 * within[name] / total:6.1f}%  {name}"
        for name, count in alone.most_common(SHOWN)
    ]
    lines += ["", f"{'within':>7}  function"]
    lines += [f"{100 * count / total:6.1f}%  {name}" for name, count in within.most_common(SHOWN)]
    return "\n".join(lines)


def _without_line(frame: str) -> str:
    name, colon, line = frame.rpartition(":")
    return f"{name})" if colon and line.rstrip(")").isdigit() else frame
