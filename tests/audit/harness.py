"""What the audit tests share: sessions and actions to write about, a recorder in this process, disks that fail."""

import errno
import hashlib
import itertools
import os
import signal
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from interlock.audit.client import RecorderClient
from interlock.audit.disk import Disk
from interlock.audit.journal import Journal, Sealed
from interlock.audit.reading import Logged, LogReader
from interlock.audit.recorder import Recorder
from interlock.audit.store import Limits, Store
from interlock.core.action import Action
from interlock.core.decision import Allow
from interlock.core.outcome import Outcome, OutcomeStatus
from interlock.core.principal import Actor, Model, Principal, PrincipalKind
from interlock.core.resource import Resource
from interlock.core.session import Session

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ALLOW = Allow(("readers",), "f" * 64)
SMALL = Limits(reserve_bytes=65_536)


def make_session(session_id: str = "s-1", **principal: object) -> Session:
    fields: dict[str, object] = {
        "subject": "repo:acme/shop",
        "issuer": "https://ci.example",
        "kind": PrincipalKind.AGENT,
        "expires_at": NOW,
        "token_id": "t-1",
        "groups": frozenset({"ci"}),
        "actors": (Actor("alice", "https://idp.example"),),
        "model": Model("acme", "reviewer", "4"),
        "person": "alice@example.com",
    }
    fields.update(principal)
    return Session(
        id=session_id,
        principal=Principal(**fields),  # type: ignore[arg-type]
        resource=Resource("shop", "postgres", "db:5432"),
        database="shop",
        client_address="192.0.2.1:5555",
        started_at=NOW,
        expires_at=NOW,
    )


def make_journal(worker: str = "1") -> Journal:
    ticks = itertools.count(1_700_000_000_000_000)
    return Journal(
        instance="gw", worker=worker, now_us=lambda: next(ticks), mono_us=lambda: next(ticks), random=os.urandom
    )


def make_action(action_id: str, payload: bytes = b"SELECT 1", **fields: object) -> Action:
    return Action(
        id=action_id,
        kind=str(fields.get("kind", "postgres.select")),
        leaves=fields.get("leaves", ("read/postgres.select",)),  # type: ignore[arg-type]
        facts={},
        text=payload.decode("utf-8", "replace"),
        payload=payload,
        digest=hashlib.sha256(payload).hexdigest(),
    )


def good_outcome(response: bytes = b"row") -> Outcome:
    return Outcome(
        OutcomeStatus.OK,
        tag="SELECT 1",
        rows=1,
        bytes_count=len(response),
        digest=hashlib.sha256(response).hexdigest(),
    )


def intents(session_id: str, count: int, payload: bytes = b"SELECT 1") -> list[Sealed]:
    journal = make_journal().session(make_session(session_id))
    return [journal.intent(make_action(f"{session_id}.{number}", payload), ALLOW) for number in range(count)]


class Channel:
    """A socketpair and a kick pipe, as the supervisor makes them, and the worker's client on it."""

    def __init__(self, number: int = 1, *, buffer_bytes: int = 1 << 20, timeout_seconds: float = 5.0) -> None:
        self.number = number
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
        self.kick_out, self.kick_in = os.pipe()
        self.journal = make_journal(str(number))
        self.client = RecorderClient(
            self.ours,
            self.kick_in,
            gap=lambda lost, count: self.journal.gap("audit_unavailable", lost=lost, count=count),
            timeout_seconds=timeout_seconds,
            buffer_bytes=1,
        )

    def close(self) -> None:
        for sock in (self.ours, self.theirs):
            sock.close()
        for fd in (self.kick_out, self.kick_in):
            os.close(fd)


def start_recorder(
    directory: Path,
    channels: list[Channel],
    *,
    disk: Disk | None = None,
    limits: Limits = SMALL,
    kind: type[Recorder] = Recorder,
    monotonic: Callable[[], float] = lambda: 0.0,
) -> Recorder:
    """A run of the recorder in this process, with its own copies of the descriptors."""
    ticks = itertools.count(1_700_000_000_000_000)
    store = Store(directory, disk=disk or Disk(), random=os.urandom, now_us=lambda: next(ticks), limits=limits)
    recorder = kind(store, make_journal("recorder"), monotonic=monotonic)
    recorder.start({"durability": "balanced"})
    for channel in channels:
        recorder.add(channel.theirs.dup(), os.dup(channel.kick_out), channel.number, str(channel.number))
    recorder.open()
    recorder.round()
    return recorder


def drain(recorder: Recorder) -> None:
    while recorder.round():
        pass


def entries(directory: Path) -> list[Logged]:
    return list(LogReader(directory).entries())


def leaves_of(directory: Path, *kinds: str) -> list[bytes]:
    return [logged.data for logged in entries(directory) if logged.entry.type in kinds]


class FaultyDisk(Disk):
    """Fails the operations that ``plan`` (operation, its number from 1) picks; before or after having done them."""

    def __init__(self, plan: Callable[[str, int], int], *, persisted: bool = False) -> None:
        self.plan = plan
        self.persisted = persisted
        self.counts: dict[str, int] = {}

    def _error(self, operation: str) -> OSError | None:
        self.counts[operation] = self.counts.get(operation, 0) + 1
        code = self.plan(operation, self.counts[operation])
        return OSError(code, os.strerror(code)) if code else None

    def write(self, fd: int, data: bytes) -> None:
        error = self._error("write")
        if error is None:
            super().write(fd, data)
            return
        super().write(fd, data if self.persisted else data[: len(data) // 2])
        raise error

    def sync(self, fd: int) -> None:
        error = self._error("sync")
        if error is None or self.persisted:
            super().sync(fd)
        if error is not None:
            raise error

    def create(self, path: Path) -> int:
        error = self._error("create")
        if error is not None:
            raise error
        return super().create(path)

    def reserve(self, path: Path, size: int) -> None:
        error = self._error("reserve")
        if error is not None:
            raise error
        super().reserve(path, size)


class SmallDisk(Disk):
    """A disk that is full when its files hold more than ``room`` bytes; the reserve counts."""

    def __init__(self, directory: Path, room: int) -> None:
        self.directory = directory
        self.room = room

    def _free(self) -> int:
        return self.room - sum(path.stat().st_size for path in self.directory.rglob("*") if path.is_file())

    def write(self, fd: int, data: bytes) -> None:
        free = max(self._free(), 0)
        super().write(fd, data[:free])
        if free < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def reserve(self, path: Path, size: int) -> None:
        if self._free() < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().reserve(path, size)


class KillingDisk(Disk):
    """Ends the process with SIGKILL at its n-th operation: before it, or in the middle of a write."""

    def __init__(self, at: int) -> None:
        self.left = at

    def _step(self) -> bool:
        self.left -= 1
        return self.left == 0

    def write(self, fd: int, data: bytes) -> None:
        if self._step():
            super().write(fd, data[: len(data) * 2 // 3])
            os.kill(os.getpid(), signal.SIGKILL)
        super().write(fd, data)

    def sync(self, fd: int) -> None:
        if self._step():
            os.kill(os.getpid(), signal.SIGKILL)
        super().sync(fd)

    def create(self, path: Path) -> int:
        if self._step():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().create(path)
