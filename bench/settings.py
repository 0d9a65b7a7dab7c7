"""How much is measured: everything, or a quick look."""

import os
from dataclasses import dataclass

TARGETS = ("direct", "pgbouncer", "interlock")


@dataclass(frozen=True, slots=True)
class Settings:
    """One run's extent. ``seconds`` is the length of one pgbench run."""

    quick: bool
    rounds: int
    seconds: int
    clients: tuple[int, ...] = (1, 16, 128)
    modes: tuple[str, ...] = ("simple", "prepared")
    scale: int = 10
    select_rows: int = 1_000_000
    memory_rows: tuple[int, ...] = (10_000, 100_000, 1_000_000, 10_000_000)
    idle_connections: int = 1000
    workers: int = 1
    tls: bool = False
    targets: tuple[str, ...] = TARGETS


def from_environment() -> Settings:
    """Read BENCH_QUICK, BENCH_TLS, BENCH_WORKERS, BENCH_ROUNDS, BENCH_SECONDS and BENCH_TARGETS."""
    quick = os.environ.get("BENCH_QUICK", "") not in {"", "0"}
    targets = tuple(os.environ.get("BENCH_TARGETS", ",".join(TARGETS)).split(","))
    unknown = set(targets) - set(TARGETS)
    if unknown:
        msg = f"BENCH_TARGETS: unknown {', '.join(sorted(unknown))}; known are {', '.join(TARGETS)}"
        raise SystemExit(msg)
    return Settings(
        quick=quick,
        rounds=int(os.environ.get("BENCH_ROUNDS", "2" if quick else "5")),
        seconds=int(os.environ.get("BENCH_SECONDS", "1" if quick else "3")),
        memory_rows=(10_000, 100_000, 1_000_000) if quick else (10_000, 100_000, 1_000_000, 10_000_000),
        idle_connections=200 if quick else 1000,
        workers=int(os.environ.get("BENCH_WORKERS", "1")),
        tls=os.environ.get("BENCH_TLS", "") not in {"", "0"},
        targets=targets,
    )
