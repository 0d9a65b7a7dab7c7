"""Token handles and revocations. A handle is stored as its SHA-256 only: reading the database gives no token (T24)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, final

from sqlalchemy import Row, and_, delete, insert, or_, select
from sqlalchemy.dialects.sqlite import insert as upsert

from interlock.storage.database import Database
from interlock.storage.schema import HANDLES, REVOCATIONS, microseconds, moment


@dataclass(frozen=True, slots=True)
class HandleRow:
    """A stored handle: the digest of the handle, and the principal it stands for as its owner encoded it."""

    digest: str
    token_id: str
    issued_at: datetime
    expires_at: datetime
    document: bytes


@dataclass(frozen=True, slots=True)
class RevocationRow:
    """What is revoked until when; ``kind`` is ``token``, ``principal``, ``person`` or ``session``."""

    kind: str
    value: str
    at: datetime
    until: datetime
    by: str
    reason: str


@final
class SqlHandleStore:
    """Opaque handles, by digest."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    async def add(self, handle: HandleRow) -> None:
        """Keep a handle; expired ones go."""
        values = {
            "digest": handle.digest,
            "token_id": handle.token_id,
            "issued_at": microseconds(handle.issued_at),
            "expires_at": microseconds(handle.expires_at),
            "document": handle.document,
        }
        async with self._database.writing() as connection:
            await connection.execute(delete(HANDLES).where(HANDLES.c.expires_at <= microseconds(handle.issued_at)))
            await connection.execute(insert(HANDLES).values(values))

    async def find(self, digest: str) -> HandleRow | None:
        """The handle of this digest, expired or not, or None."""
        query = select(HANDLES).where(HANDLES.c.digest == digest)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        return HandleRow(
            digest=row.digest,
            token_id=row.token_id,
            issued_at=moment(row.issued_at),
            expires_at=moment(row.expires_at),
            document=row.document,
        )

    async def remove(self, digest: str) -> bool:
        """Forget a handle; False if it wasn't there."""
        async with self._database.writing() as connection:
            return (await connection.execute(delete(HANDLES).where(HANDLES.c.digest == digest))).rowcount == 1


@final
class SqlRevocationStore:
    """What no longer connects."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    async def add(self, revocation: RevocationRow) -> None:
        """Revoke; a longer one of the same thing stays."""
        values = {
            "kind": revocation.kind,
            "value": revocation.value,
            "at": microseconds(revocation.at),
            "until": microseconds(revocation.until),
            "by": revocation.by,
            "reason": revocation.reason,
        }
        statement = upsert(REVOCATIONS).values(values)
        statement = statement.on_conflict_do_update(
            index_elements=["kind", "value"],
            set_={"until": values["until"], "at": values["at"], "by": revocation.by, "reason": revocation.reason},
            where=REVOCATIONS.c.until < values["until"],
        )
        async with self._database.writing() as connection:
            await connection.execute(statement)

    async def find_any(self, names: list[tuple[str, str]], *, now: datetime) -> RevocationRow | None:
        """A revocation in force of one of these ``(kind, value)`` pairs, or None."""
        if not names:
            return None
        named = or_(*(and_(REVOCATIONS.c.kind == kind, REVOCATIONS.c.value == value) for kind, value in names))
        query = select(REVOCATIONS).where(named, REVOCATIONS.c.until > microseconds(now)).limit(1)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _revocation(row)

    async def find_all(self, *, now: datetime) -> list[RevocationRow]:
        """Every revocation in force."""
        query = select(REVOCATIONS).where(REVOCATIONS.c.until > microseconds(now)).order_by(REVOCATIONS.c.at)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [_revocation(row) for row in rows]

    async def forget_before(self, now: datetime) -> int:
        """Drop those that are over."""
        async with self._database.writing() as connection:
            return (
                await connection.execute(delete(REVOCATIONS).where(REVOCATIONS.c.until <= microseconds(now)))
            ).rowcount


def _revocation(row: Row[Any]) -> RevocationRow:
    return RevocationRow(
        kind=row.kind,
        value=row.value,
        at=moment(row.at),
        until=moment(row.until),
        by=row.by,
        reason=row.reason,
    )
