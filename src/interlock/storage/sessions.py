"""Which sessions live, in which worker, and which lived.

The log is the truth of sessions, and at start the supervisor ends every one that stands open here; so what is written
here need not survive a power failure, and doesn't make a client wait for the disk.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, final

import msgspec
from sqlalchemy import Connection, Select, bindparam, func, insert, select, update

from interlock.core.session import Session
from interlock.storage.database import Database
from interlock.storage.schema import SESSIONS, microseconds


class StoredSession(msgspec.Struct, frozen=True, kw_only=True):
    """What operators see of a session."""

    id: str
    worker: int
    principal_id: str
    kind: str
    person: str | None
    model: str | None
    token_id: str
    resource: str
    protocol: str
    database: str
    client_address: str
    reason: str | None
    read_only: bool
    upstream_user: str
    started_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None
    end_code: str = ""


_DECODER: Final = msgspec.json.Decoder(StoredSession)
_INSERT: Final = insert(SESSIONS)
_COUNT_OPEN: Final = (
    select(func.count())
    .select_from(SESSIONS)
    .where(SESSIONS.c.principal_id == bindparam("principal"), SESSIONS.c.ended_at.is_(None))
)
_OPEN: Final = select(SESSIONS.c.id, SESSIONS.c.document).where(SESSIONS.c.ended_at.is_(None))
_OPEN_ONE: Final = _OPEN.where(SESSIONS.c.id == bindparam("session"))
_OPEN_OF_WORKER: Final = _OPEN.where(SESSIONS.c.worker == bindparam("worker"))
_END: Final = (
    update(SESSIONS)
    .where(SESSIONS.c.id == bindparam("session"))
    .values(ended_at=bindparam("moment"), document=bindparam("ended"))
)
"""Built once: building a statement costs more than running it."""


@final
class SqlSessionStore:
    """The sessions of all workers."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    async def add(self, session: Session, *, worker: int) -> None:
        """The session opened in this worker."""
        stored = _stored(session, worker)
        values = {
            "id": stored.id,
            "worker": worker,
            "principal_id": stored.principal_id,
            "token_id": stored.token_id,
            "resource": stored.resource,
            "started_at": microseconds(stored.started_at),
            "expires_at": microseconds(stored.expires_at),
            "ended_at": None,
            "document": msgspec.json.encode(stored),
        }
        await self._database.write(lambda connection: connection.execute(_INSERT, values), durable=False)

    async def end(self, session_id: str, *, code: str, now: datetime) -> bool:
        """The session ended; False if it isn't open here."""
        return await self._end_all(_OPEN_ONE, {"session": session_id}, code, now) == 1

    async def end_worker(self, worker: int | None, *, code: str, now: datetime) -> int:
        """Every open session of a worker that died, or of all workers; gives how many."""
        if worker is None:
            return await self._end_all(_OPEN, {}, code, now)
        return await self._end_all(_OPEN_OF_WORKER, {"worker": worker}, code, now)

    async def find(self, session_id: str) -> StoredSession | None:
        """The session, or None."""
        query = select(SESSIONS.c.document).where(SESSIONS.c.id == session_id)
        document = await self._database.read(lambda connection: connection.execute(query).scalar())
        return None if document is None else _DECODER.decode(document)

    async def find_all(self, *, ended: bool = False, limit: int = 1000) -> list[StoredSession]:
        """Open sessions, or with ``ended`` all, the newest first."""
        query = select(SESSIONS.c.document).order_by(SESSIONS.c.started_at.desc(), SESSIONS.c.id.desc()).limit(limit)
        if not ended:
            query = query.where(SESSIONS.c.ended_at.is_(None))
        documents = await self._database.read(lambda connection: connection.execute(query).scalars().all())
        return [_DECODER.decode(document) for document in documents]

    async def count_open(self, principal_id: str) -> int:
        """How many sessions the principal has open."""
        names = {"principal": principal_id}
        count: int | None = await self._database.read(
            lambda connection: connection.execute(_COUNT_OPEN, names).scalar()
        )
        return count or 0

    async def forget_before(self, moment: datetime) -> int:
        """Drop sessions that ended before; the log keeps what they were."""
        statement = SESSIONS.delete().where(SESSIONS.c.ended_at < microseconds(moment))
        return await self._database.write(lambda connection: connection.execute(statement).rowcount)

    async def _end_all(self, query: Select[Any], names: Mapping[str, object], code: str, now: datetime) -> int:
        def end_all(connection: Connection) -> int:
            rows = connection.execute(query, dict(names)).all()
            for session_id, document in rows:
                ended = msgspec.structs.replace(_DECODER.decode(document), ended_at=now, end_code=code)
                values = {"session": session_id, "moment": microseconds(now), "ended": msgspec.json.encode(ended)}
                connection.execute(_END, values)
            return len(rows)

        return await self._database.write(end_all, durable=False)


@final
class SqlSessionRegistry:
    """One worker's sessions, kept where all workers see them; implements the gate's ``SessionRegistry``."""

    def __init__(self, store: SqlSessionStore, *, worker: int, now: Callable[[], datetime]) -> None:
        self._store: Final = store
        self._worker: Final = worker
        self._now: Final = now

    async def opened(self, session: Session) -> None:
        """The session's start is recorded."""
        await self._store.add(session, worker=self._worker)

    async def closed(self, session_id: str, code: str) -> None:
        """The session ended."""
        await self._store.end(session_id, code=code, now=self._now())

    async def count_open(self, principal_id: str) -> int:
        """How many sessions the principal has open, over all workers."""
        return await self._store.count_open(principal_id)


def _stored(session: Session, worker: int) -> StoredSession:
    principal = session.principal
    model = principal.model
    return StoredSession(
        id=session.id,
        worker=worker,
        principal_id=principal.id,
        kind=principal.kind.value,
        person=principal.person,
        model=None if model is None else f"{model.vendor}/{model.name}/{model.version}",
        token_id=principal.token_id,
        resource=session.resource.name,
        protocol=session.resource.protocol,
        database=session.database,
        client_address=session.client_address,
        reason=session.reason,
        read_only=session.read_only,
        upstream_user=session.upstream_user,
        started_at=session.started_at,
        expires_at=session.expires_at,
    )
