import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from interlock.approval import HoldState
from interlock.core.errors import StorageError
from interlock.storage import Database, SqlApprovalStore, migrate
from tests.approval.test_store import HOLD


def test_wiped_copy_is_in_no_file_of_the_database_P7(tmp_path: Path) -> None:
    canary = b"CANARY-9f3b" * 400

    def holds_canary() -> bool:
        return any(canary[:44] in file.read_bytes() for file in tmp_path.iterdir())

    async def story(path: Path) -> None:
        database = Database(path)
        store = SqlApprovalStore(database)
        await store.insert(HOLD, payload=canary, view=canary)
        assert holds_canary()
        assert await store.replace(replace(HOLD, version=2, state=HoldState.WITHDRAWN))
        assert not holds_canary()
        await database.close()

    asyncio.run(migrate(tmp_path / "state.db"))
    asyncio.run(story(tmp_path / "state.db"))


def test_use_cannot_be_made_durable_and_gives_nothing_T20(tmp_path: Path) -> None:
    """The contract that all stores keep is in tests/approval/test_store.py."""

    async def story(path: Path) -> None:
        database = Database(path)
        store = SqlApprovalStore(database)
        await store.insert(HOLD, payload=b"sealed", view=b"shown")
        trigger = "CREATE TRIGGER full BEFORE UPDATE ON approvals BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        await database.write(lambda connection: connection.exec_driver_sql(trigger))
        with pytest.raises(StorageError, match="disk full"):
            await store.take(replace(HOLD, version=2, state=HoldState.CONSUMED))
        assert await store.find("a1") == HOLD
        await database.close()

    asyncio.run(migrate(tmp_path / "state.db"))
    asyncio.run(story(tmp_path / "state.db"))
