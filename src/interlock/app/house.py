"""What a worker and the supervisor have alike: clock, ids, state database, the recorder's client, approvals."""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from interlock.approval import Approvals, HoldLimits
from interlock.audit.client import RecorderClient
from interlock.audit.journal import Journal, Sealed
from interlock.config import Config, Mode, resolve_bytes
from interlock.core.errors import ConfigError, InterlockError
from interlock.storage import Database, SqlApprovalStore, SqlHandleStore, SqlRevocationStore, SqlSessionStore

ID_RANDOM_BYTES: Final = 10


def read_clock() -> datetime:
    """The time in UTC: the one place of the running gateway that asks for it."""
    return datetime.now(UTC)  # noqa: TID251 - composed here, an argument everywhere else


def read_clock_us() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


def read_monotonic_us() -> int:
    """Microseconds of a clock that never goes back."""
    return time.monotonic_ns() // 1000


def new_id() -> str:
    """An id that sorts by time and that nobody can guess: 48 bits of milliseconds, 80 random bits (as in UUIDv7)."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_bytes(ID_RANDOM_BYTES).hex()}"


@dataclass(frozen=True, slots=True)
class House:
    """One process's share of the gateway's state."""

    config: Config
    database: Database
    sessions: SqlSessionStore
    handles: SqlHandleStore
    revocations: SqlRevocationStore
    approvals: Approvals
    journal: Journal
    recorder: RecorderClient

    async def close(self) -> None:
        """Have everything recorded on disk, and let go."""
        await self.recorder.close()
        await self.database.close()


async def open_house(config: Config, *, instance: str, name: str, recorder_fd: int, kick_fd: int) -> House:
    """Open the state and the way to the recorder; the schema is the supervisor's care.

    Raises:
        StorageError: the state can't be read, or is of another version.
        ConfigError: the approvals' key can't be used.
    """
    database = Database(config.gateway.state_path)
    approvals = _make_approvals(config, SqlApprovalStore(database))
    await database.open()
    journal = Journal(
        instance=instance, worker=name, now_us=read_clock_us, mono_us=read_monotonic_us, random=secrets.token_bytes
    )
    recorder = RecorderClient(socket.socket(fileno=recorder_fd), kick_fd, gap=_gap_entries(journal))
    recorder.attach(asyncio.get_running_loop())
    os.set_inheritable(recorder_fd, False)
    os.set_inheritable(kick_fd, False)
    return House(
        config=config,
        database=database,
        sessions=SqlSessionStore(database),
        handles=SqlHandleStore(database),
        revocations=SqlRevocationStore(database),
        approvals=approvals,
        journal=journal,
        recorder=recorder,
    )


def _gap_entries(journal: Journal) -> Callable[[list[str], int], Sealed]:
    def gap(lost: list[str], count: int) -> Sealed:
        return journal.gap("unrecorded", lost=lost, count=count)

    return gap


def _make_approvals(config: Config, store: SqlApprovalStore) -> Approvals:
    try:
        return Approvals(
            store=store,
            key=resolve_bytes(config.approvals.key),
            clock=read_clock,
            random_bytes=secrets.token_bytes,
            limits=HoldLimits(
                per_session=config.limits.holds_per_session,
                per_principal=config.limits.holds_per_principal,
                payload_bytes=config.limits.held_bytes,
                default_expires_seconds=config.approvals.expires_seconds,
                max_expires_seconds=config.approvals.max_expires_seconds,
            ),
            allow_development=config.gateway.mode is Mode.DEVELOPMENT,
            required_claims=config.approvals.require_claims,
        )
    except InterlockError as error:
        raise ConfigError(str(config.file), "approvals.key", str(error)) from error
