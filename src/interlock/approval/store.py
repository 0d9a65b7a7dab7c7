"""What this room needs of a database; ``storage/`` implements it, and a verified fake in the tests."""

from collections.abc import Collection
from typing import Protocol

from interlock.approval.held import HeldAction, HoldState


class ApprovalStore(Protocol):
    """Holds and their sealed copies. Every method may raise ``StorageError``; none changes anything if it does."""

    async def insert(self, hold: HeldAction, *, payload: bytes, view: bytes) -> None:
        """Keep a new hold with its two sealed parts."""
        ...

    async def find(self, approval_id: str) -> HeldAction | None:
        """The hold, or None."""
        ...

    async def find_all(self, states: Collection[HoldState], *, limit: int) -> list[HeldAction]:
        """Holds in one of these states, the newest first."""
        ...

    async def find_view(self, approval_id: str) -> bytes | None:
        """The sealed view, or None when the hold has ended."""
        ...

    async def count_open(self, *, session_id: str | None = None, principal_id: str | None = None) -> int:
        """How many open holds the session or the principal has."""
        ...

    async def replace(self, hold: HeldAction) -> bool:
        """Store ``hold`` if the stored version is ``hold.version - 1``; destroy the sealed parts if it isn't open.

        False, and nothing is changed, if somebody else was faster.
        """
        ...

    async def take(self, hold: HeldAction) -> bytes | None:
        """As ``replace``, durable before it returns, and gives the sealed payload that it destroys.

        If we crash after this, the action can't run again: at most once.
        """
        ...
