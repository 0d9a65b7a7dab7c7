"""Holds and their sealed copies in SQL; the interface is ``approval.store.ApprovalStore``."""

from collections.abc import Collection
from typing import Any, Final, final

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, func, insert, select, update

from interlock.approval.held import HeldAction, HoldState
from interlock.storage.database import Database
from interlock.storage.schema import APPROVALS, microseconds

_DECODER: Final = msgspec.json.Decoder(HeldAction)
_OPEN: Final = [state.value for state in HoldState if state.is_open]


@final
class SqlApprovalStore:
    """Implements ``ApprovalStore``."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    async def insert(self, hold: HeldAction, *, payload: bytes, view: bytes) -> None:
        """Keep a new hold with its two sealed parts."""
        values = {
            **_values(hold),
            "id": hold.id,
            "session_id": hold.session_id,
            "principal_id": hold.requester.id,
            "created_at": microseconds(hold.created_at),
            "payload": payload,
            "view": view,
        }
        await self._database.write(lambda connection: connection.execute(insert(APPROVALS), values))

    async def find(self, approval_id: str) -> HeldAction | None:
        """The hold, or None."""
        query = select(APPROVALS.c.document).where(APPROVALS.c.id == approval_id)
        document = await self._database.read(lambda connection: connection.execute(query).scalar())
        return None if document is None else _DECODER.decode(document)

    async def find_all(self, states: Collection[HoldState], *, limit: int) -> list[HeldAction]:
        """Holds in one of these states, the newest first."""
        query = (
            select(APPROVALS.c.document)
            .where(APPROVALS.c.state.in_([state.value for state in states]))
            .order_by(APPROVALS.c.created_at.desc(), APPROVALS.c.id.desc())
            .limit(limit)
        )
        documents = await self._database.read(lambda connection: connection.execute(query).scalars().all())
        return [_DECODER.decode(document) for document in documents]

    async def find_view(self, approval_id: str) -> bytes | None:
        """The sealed view, or None when the hold has ended."""
        query = select(APPROVALS.c.view).where(APPROVALS.c.id == approval_id)
        view: bytes | None = await self._database.read(lambda connection: connection.execute(query).scalar())
        return view

    async def count_open(self, *, session_id: str | None = None, principal_id: str | None = None) -> int:
        """How many open holds the session or the principal has."""
        conditions: list[ColumnElement[bool]] = [APPROVALS.c.state.in_(_OPEN)]
        if session_id is not None:
            conditions.append(APPROVALS.c.session_id == session_id)
        if principal_id is not None:
            conditions.append(APPROVALS.c.principal_id == principal_id)
        query = select(func.count()).select_from(APPROVALS).where(and_(*conditions))
        count: int | None = await self._database.read(lambda connection: connection.execute(query).scalar())
        return count or 0

    async def replace(self, hold: HeldAction) -> bool:
        """Store ``hold`` if the stored version is the one before; destroy the sealed parts if it isn't open."""
        values = _values(hold) if hold.state.is_open else {**_values(hold), "payload": None, "view": None}
        statement = (
            update(APPROVALS).where(APPROVALS.c.id == hold.id, APPROVALS.c.version == hold.version - 1).values(values)
        )
        changed = await self._database.write(lambda connection: connection.execute(statement).rowcount == 1)
        if changed and not hold.state.is_open:
            await self._database.forget()
        return changed

    async def take(self, hold: HeldAction) -> bytes | None:
        """As ``replace``, and gives the sealed payload that it destroys; durable before it returns."""
        here = and_(APPROVALS.c.id == hold.id, APPROVALS.c.version == hold.version - 1)
        values = {**_values(hold), "payload": None, "view": None}

        def take(connection: Connection) -> bytes | None:
            payload: bytes | None = connection.execute(select(APPROVALS.c.payload).where(here)).scalar()
            if payload is not None:
                connection.execute(update(APPROVALS).where(here).values(values))
            return payload

        payload = await self._database.write(take)
        if payload is not None:
            await self._database.forget()
        return payload


def _values(hold: HeldAction) -> dict[str, Any]:
    return {
        "version": hold.version,
        "state": hold.state.value,
        "expires_at": microseconds(hold.expires_at),
        "document": msgspec.json.encode(hold),
    }
