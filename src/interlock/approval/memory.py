"""An ``ApprovalStore`` in memory, for one process: what tests of the gate run on.

The contract tests hold it to the same behaviour as the database's.
"""

from collections.abc import Collection
from typing import final

from interlock.approval.held import HeldAction, HoldState
from interlock.core.errors import StorageError


@final
class MemoryApprovalStore:
    """Implements ``ApprovalStore``; nothing survives the process."""

    def __init__(self) -> None:
        self._holds: dict[str, HeldAction] = {}
        self._sealed: dict[str, tuple[bytes, bytes]] = {}

    async def insert(self, hold: HeldAction, *, payload: bytes, view: bytes) -> None:
        """Keep a new hold with its two sealed parts."""
        if hold.id in self._holds:
            msg = f"approval {hold.id} exists"
            raise StorageError(msg)
        self._holds[hold.id] = hold
        self._sealed[hold.id] = (payload, view)

    async def find(self, approval_id: str) -> HeldAction | None:
        """The hold, or None."""
        return self._holds.get(approval_id)

    async def find_all(self, states: Collection[HoldState], *, limit: int) -> list[HeldAction]:
        """Holds in one of these states, the newest first."""
        found = [hold for hold in self._holds.values() if hold.state in states]
        return sorted(found, key=lambda hold: (hold.created_at, hold.id), reverse=True)[:limit]

    async def find_view(self, approval_id: str) -> bytes | None:
        """The sealed view, or None when the hold has ended."""
        return self._sealed.get(approval_id, (None, None))[1]

    async def count_open(self, *, session_id: str | None = None, principal_id: str | None = None) -> int:
        """How many open holds the session or the principal has."""
        return sum(
            hold.state.is_open and session_id in (None, hold.session_id) and principal_id in (None, hold.requester.id)
            for hold in self._holds.values()
        )

    async def replace(self, hold: HeldAction) -> bool:
        """Store ``hold`` if the stored version is the one before; destroy the sealed parts if it isn't open."""
        stored = self._holds.get(hold.id)
        if stored is None or stored.version != hold.version - 1:
            return False
        self._holds[hold.id] = hold
        if not hold.state.is_open:
            self._sealed.pop(hold.id, None)
        return True

    async def take(self, hold: HeldAction) -> bytes | None:
        """As ``replace``, and gives the sealed payload that it destroys."""
        sealed = self._sealed.get(hold.id)
        return sealed[0] if sealed is not None and await self.replace(hold) else None
