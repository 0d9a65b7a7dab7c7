"""What the operating system says about a group of processes: CPU time and memory, from /proc."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Process:
    """One process at one moment."""

    pid: int
    name: str
    cpu_seconds: float
    rss_bytes: int


def session_processes(leader: int) -> list[Process]:
    """Return every process of the session that ``leader`` began: supervisor, recorder, workers."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
            except OSError:
                continue
            fields = rest.split()
            if int(fields[3]) == leader:
                # utime and stime, with those of children that have ended and were waited for.
                ticks = sum(int(value) for value in fields[11:15])
                found.append(Process(int(entry.name), name, ticks * _TICK, int(fields[21]) * _PAGE))
    return sorted(found, key=lambda process: process.pid)


def cpu_seconds(leader: int) -> float:
    """CPU time that the session's processes have used."""
    return sum(process.cpu_seconds for process in session_processes(leader))


def rss_bytes(leader: int) -> int:
    """Resident memory of the session's processes; pages that they share count in each."""
    return sum(process.rss_bytes for process in session_processes(leader))


def reset_peaks(leader: int) -> None:
    """Forget the peaks of resident memory so far."""
    for process in session_processes(leader):
        Path(f"/proc/{process.pid}/clear_refs").write_text("5")


def peak_bytes(leader: int) -> int:
    """Sum of each process's peak of resident memory since ``reset_peaks``."""
    return sum(_peak(process.pid) for process in session_processes(leader))


def _peak(pid: int) -> int:
    lines: Iterable[str] = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)
