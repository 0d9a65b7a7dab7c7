"""The gateway's own side connections: one a resource, database and login, which read the catalogue for its sessions.

    look_up -> (connect, set up) -> CHANGE_QUERY -> where its answer is another: SNAPSHOT_QUERIES -> Catalogue

The queries are fixed and Interlock's own; none holds a byte of a client's. They ride on the permit of the session
that caused them, and are recorded: the opening of a connection, which stands for its small queries too, and each
reading of the whole catalogue. While sessions use a catalogue it is looked at every few seconds, and who uses it is
told of a change; nobody's failure to read it is ever taken for an empty one.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final, Protocol, final

from interlock.analysis.postgres.catalogue import (
    BEGIN_QUERY,
    CHANGE_QUERY,
    END_QUERY,
    SETUP_QUERY,
    SNAPSHOT_QUERIES,
    Catalogue,
)
from interlock.core.errors import InterlockError, UpstreamProtocolError, UpstreamUnavailable
from interlock.core.permit import SessionPermit
from interlock.core.session import Session
from interlock.transport.dial import UpstreamProtocolBroken, UpstreamRefused
from interlock.transport.postgres.upstream import LoginLeg, PostgresUpstream
from interlock.wire.postgres.framing import Frame, Run, split, upstream_reader
from interlock.wire.postgres.frontend import Query
from interlock.wire.postgres.replies import ErrorResponse
from interlock.wire.postgres.rows import DataRow

_log = logging.getLogger("interlock.transport")

FRESH_SECONDS: Final = 3.0
"""A catalogue that was looked at so recently is given out as it is."""
WATCH_SECONDS: Final = 5.0
IDLE_SECONDS: Final = 60.0
"""A side connection that no session uses is closed after this."""
QUERY_SECONDS: Final = 30.0
MAX_SIDES: Final = 256
MAX_BODY: Final = 1024 * 1024
MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024
PARAMETERS: Final[Mapping[str, str]] = {
    "application_name": "interlock",
    "default_transaction_read_only": "on",
    "statement_timeout": "20s",
    "lock_timeout": "5s",
}

Key = tuple[str, str, str]
Rows = list[tuple[str | None, ...]]
RecordLookup = Callable[[Session, str], Awaitable[None]]
"""(session, what) -> recorded, before a byte of it is sent; raises ``AuditUnavailable``."""
ReadCatalogue = Callable[[Mapping[str, Rows]], Catalogue]


class SideDialler(Protocol):
    """``PostgresDialler``, as far as side connections go."""

    async def dial(
        self, session: Session, permit: SessionPermit, parameters: Mapping[str, str]
    ) -> PostgresUpstream: ...


@final
class SideConnection:
    """One connection for fixed queries, in the simple protocol, one at a time."""

    def __init__(self, upstream: PostgresUpstream) -> None:
        self._leg: Final = LoginLeg()
        upstream.attach(self._leg)

    @property
    def is_open(self) -> bool:
        """False once the upstream hung up."""
        return not self._leg.lost

    def close(self) -> None:
        """Drop the connection."""
        if self._leg.transport is not None:
            self._leg.transport.abort()

    async def ask(self, text: str) -> Rows:
        """The rows of one query, as text.

        Raises:
            UpstreamUnavailable: an error, a hang-up, or bytes that are no answer.
        """
        transport = self._leg.transport
        assert transport is not None
        transport.write(Query(text.encode()).encode())
        reader = upstream_reader(max_body=MAX_BODY)
        rows: Rows = []
        failure: UpstreamRefused | None = None
        taken = 0
        try:
            while True:
                data = await self._leg.receive()
                taken += len(data)
                if taken > MAX_ANSWER_BYTES:
                    msg = "the catalogue's answer is too large"
                    raise UpstreamProtocolBroken(msg)
                reader.feed(data)
                while (item := reader.next_item()) is not None:
                    if isinstance(item, Run) and item.kind == DataRow.KIND:
                        rows += [_decode(item.raw[start + 5 : end]) for _, start, end in split(item.raw, 0)]
                    elif not isinstance(item, Frame):
                        msg = f"{item!r} in an answer of the catalogue"
                        raise UpstreamProtocolBroken(msg)
                    elif item.kind == DataRow.KIND:
                        rows.append(_decode(item.body))
                    elif item.kind == ord("E"):
                        failure = UpstreamRefused(f"{ErrorResponse.decode(item.body).sqlstate} on a catalogue query")
                    elif item.kind == ord("Z"):
                        if failure is not None:
                            raise failure
                        return rows
        except UpstreamProtocolError as error:
            raise UpstreamProtocolBroken(str(error)) from error


@final
class _Side:
    """What is known of one database as one login sees it."""

    def __init__(self) -> None:
        self.lock: Final = asyncio.Lock()
        self.connection: SideConnection | None = None
        self.catalogue: Catalogue | None = None
        self.change = ""
        self.looked_at = float("-inf")
        self.used_at = 0.0
        self.users: Final[dict[str, tuple[Session, SessionPermit, Callable[[object], None]]]] = {}

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


@final
class PostgresCatalogues:
    """The catalogues that this worker's sessions use."""

    def __init__(self, dialler: SideDialler, *, record: RecordLookup, read: ReadCatalogue) -> None:
        self._dialler: Final = dialler
        self._record: Final = record
        self._read: Final = read
        self._sides: Final[dict[Key, _Side]] = {}

    async def look_up(
        self, session: Session, permit: SessionPermit, *, refresh: bool, on_change: Callable[[object], None]
    ) -> Catalogue | None:
        """The catalogue as the session's login sees it; None if it can't be read now."""
        key = _key(session)
        side = self._sides.get(key)
        if side is None:
            if len(self._sides) >= MAX_SIDES and not self._drop_unused():
                return None
            side = self._sides[key] = _Side()
        side.users[session.id] = (session, permit, on_change)
        return await self._look(side, session, permit, refresh=refresh, asked=True)

    def release(self, session: Session) -> None:
        """The session ended."""
        side = self._sides.get(_key(session))
        if side is not None and side.users.pop(session.id, None) is not None:
            side.used_at = asyncio.get_running_loop().time()

    def close(self) -> None:
        """Drop every side connection."""
        for side in self._sides.values():
            side.close()
        self._sides.clear()

    async def watch(self) -> None:
        """Look at every used catalogue every few seconds, and let unused connections go; until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            for key, side in list(self._sides.items()):
                if side.users:
                    session, permit, _ = next(iter(side.users.values()))
                    await self._look(side, session, permit, refresh=False, asked=False)
                elif loop.time() - side.used_at > IDLE_SECONDS and not side.lock.locked():
                    side.close()
                    del self._sides[key]

    async def _look(
        self, side: _Side, session: Session, permit: SessionPermit, *, refresh: bool, asked: bool
    ) -> Catalogue | None:
        """Look whether the catalogue changed, and read it where it did."""
        loop = asyncio.get_running_loop()
        wanted_at = loop.time()
        async with side.lock:
            if side.looked_at > wanted_at or (not refresh and wanted_at - side.looked_at < FRESH_SECONDS):
                return side.catalogue
            before = side.catalogue
            began_at = loop.time()
            try:
                async with asyncio.timeout(QUERY_SECONDS):
                    await self._refresh(side, session, permit)
            except (InterlockError, OSError, TimeoutError) as error:
                side.close()
                side.catalogue, side.change = None, ""
                _log.warning(
                    "catalogue_unreadable",
                    extra={
                        "session_id": session.id,
                        "resource": session.resource.name,
                        "error": type(error).__name__,
                        "code": getattr(error, "code", "timeout"),
                    },
                )
            except BaseException:
                side.close()  # an answer may be on its way to a question that nobody asks any more
                raise
            side.looked_at = began_at
            if side.catalogue is not before and before is not None:
                self._tell(side, besides=session.id if asked else "")
            return side.catalogue

    async def _refresh(self, side: _Side, session: Session, permit: SessionPermit) -> None:
        if side.connection is None or not side.connection.is_open:
            side.close()
            await self._record(session, "catalogue_connection")
            side.connection = SideConnection(await self._dialler.dial(session, permit, PARAMETERS))
            await side.connection.ask(SETUP_QUERY)
        connection = side.connection
        change = _one_value(await connection.ask(CHANGE_QUERY))
        if side.catalogue is not None and change == side.change:
            return
        await self._record(session, "catalogue_snapshot")
        await connection.ask(BEGIN_QUERY)
        try:
            change = _one_value(await connection.ask(CHANGE_QUERY))
            rows = {name: await connection.ask(text) for name, text in SNAPSHOT_QUERIES}
        finally:
            with suppress(UpstreamUnavailable):
                await connection.ask(END_QUERY)
        side.catalogue = await asyncio.to_thread(self._read, rows)
        side.change = change

    def _tell(self, side: _Side, *, besides: str) -> None:
        """Give everybody who uses the catalogue the new one; the one who asked gets it as the answer."""
        for session_id, (_, _, on_change) in list(side.users.items()):
            if session_id != besides:
                on_change(side.catalogue)

    def _drop_unused(self) -> bool:
        for key, side in list(self._sides.items()):
            if not side.users and not side.lock.locked():
                side.close()
                del self._sides[key]
                return True
        return False


def _key(session: Session) -> Key:
    return session.resource.name, session.database, session.upstream_user


def _decode(body: bytes) -> tuple[str | None, ...]:
    """A row's values as text.

    Raises:
        UpstreamProtocolError: not a row, or not UTF-8.
    """
    try:
        return tuple([None if value is None else value.decode() for value in DataRow.decode(body).values])
    except UnicodeDecodeError as error:
        msg = "a catalogue value isn't UTF-8"
        raise UpstreamProtocolError(msg) from error


def _one_value(rows: Rows) -> str:
    if len(rows) != 1 or len(rows[0]) != 1 or rows[0][0] is None:
        msg = "the change query's answer isn't one value"
        raise UpstreamProtocolBroken(msg)
    return rows[0][0]
