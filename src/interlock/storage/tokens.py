"""Token handles and revocations. A handle is stored as its SHA-256 only: reading the database gives no token (T24)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, final

from sqlalchemy import Row, bindparam, delete, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from interlock.storage.database import Database
from interlock.storage.schema import HANDLES, REVOCATIONS, microseconds, moment

_BURN: Final = (
    update(HANDLES)
    .where(
        HANDLES.c.digest == bindparam("wanted"),
        HANDLES.c.resource == bindparam("on"),
        HANDLES.c.expires_at > bindparam("now"),
        HANDLES.c.uses > 0,
    )
    .values(uses=HANDLES.c.uses - 1)
    .returning(HANDLES.c.principal)
)
_IN_FORCE: Final = select(REVOCATIONS).where(
    REVOCATIONS.c.value.in_(bindparam("values", expanding=True)), REVOCATIONS.c.until > bindparam("now")
)
"""Built once: building a statement costs more than running it."""


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
    """Opaque handles, by digest; implements identity's ``HandleStore``."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    async def issue(
        self, digest: bytes, *, principal_json: str, resource: str, expires_at: datetime, uses: int
    ) -> None:
        """Keep a new handle, good for ``uses`` connections to ``resource`` before ``expires_at``."""
        values = {
            "digest": digest,
            "resource": resource,
            "expires_at": microseconds(expires_at),
            "uses": uses,
            "principal": principal_json,
        }
        await self._database.write(lambda connection: connection.execute(insert(HANDLES), values))

    async def burn(self, digest: bytes, resource: str, now: datetime) -> str | None:
        """Take one use, atomically over all processes; the principal as issued, or None."""
        values = {"wanted": digest, "on": resource, "now": microseconds(now)}
        principal: str | None = await self._database.write(
            lambda connection: connection.execute(_BURN, values).scalar()
        )
        return principal

    async def forget_before(self, now: datetime) -> int:
        """Drop those that have expired or are used up."""
        over = or_(HANDLES.c.expires_at <= microseconds(now), HANDLES.c.uses <= 0)
        return await self._database.write(lambda connection: connection.execute(delete(HANDLES).where(over)).rowcount)


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
        await self._database.write(lambda connection: connection.execute(statement))

    async def revoke(self, kind: str, value: str, *, at: datetime, until: datetime, by: str, reason: str) -> None:
        """As ``add``, in the control room's words."""
        await self.add(RevocationRow(kind, value, at=at, until=until, by=by, reason=reason))

    async def find_any(self, names: list[tuple[str, str]], *, now: datetime) -> RevocationRow | None:
        """A revocation in force of one of these ``(kind, value)`` pairs, or None."""
        if not names:
            return None
        values = {"values": [value for _, value in names], "now": microseconds(now)}
        rows = await self._database.read(lambda connection: connection.execute(_IN_FORCE, values).all())
        return next((_revocation(row) for row in rows if (row.kind, row.value) in names), None)

    async def find_all(self, *, now: datetime) -> list[RevocationRow]:
        """Every revocation in force."""
        query = select(REVOCATIONS).where(REVOCATIONS.c.until > microseconds(now)).order_by(REVOCATIONS.c.at)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [_revocation(row) for row in rows]

    async def forget_before(self, now: datetime) -> int:
        """Drop those that are over."""
        statement = delete(REVOCATIONS).where(REVOCATIONS.c.until <= microseconds(now))
        return await self._database.write(lambda connection: connection.execute(statement).rowcount)


def _revocation(row: Row[Any]) -> RevocationRow:
    return RevocationRow(
        kind=row.kind,
        value=row.value,
        at=moment(row.at),
        until=moment(row.until),
        by=row.by,
        reason=row.reason,
    )
