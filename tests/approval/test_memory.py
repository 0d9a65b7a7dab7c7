import asyncio
from datetime import UTC, datetime

from interlock.approval import Approvals, MemoryApprovalStore
from interlock.core.decision import Hold
from tests.control.house import ACTION, SESSION


def test_two_stores_share_nothing() -> None:
    """What else it must do, the contract in test_store.py says."""
    now = datetime(2026, 1, 1, tzinfo=UTC)

    async def story() -> None:
        one, two = MemoryApprovalStore(), MemoryApprovalStore()
        approvals = Approvals(store=one, key=bytes(32), clock=lambda: now, random_bytes=bytes)
        await approvals.hold(SESSION, ACTION, Hold((), "", ("dba",), 60), approval_id="a1", now=now)
        assert await one.count_open() == 1
        assert await two.count_open() == 0

    asyncio.run(story())
