import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from interlock.storage import Database, RevocationRow, SqlHandleStore, SqlRevocationStore, migrate

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
REVOCATION = RevocationRow("token", "jti-1", at=NOW, until=LATER, by="local:root", reason="stolen")


def run(path: Path, story: Callable[[Database, Database], Awaitable[None]]) -> None:
    async def whole() -> None:
        await migrate(path / "state.db")
        databases = Database(path / "state.db"), Database(path / "state.db")
        try:
            await story(*databases)
        finally:
            for database in databases:
                await database.close()

    asyncio.run(whole())


def test_handle_of_one_use_is_presented_a_hundred_times_at_once_and_works_once_T25(tmp_path: Path) -> None:
    async def story(one: Database, two: Database) -> None:
        stores = SqlHandleStore(one), SqlHandleStore(two)
        await stores[0].issue(b"d", principal_json="{}", resource="shop", expires_at=LATER, uses=1)
        results = await asyncio.gather(*(stores[n % 2].burn(b"d", "shop", NOW) for n in range(100)))
        assert [result for result in results if result is not None] == ["{}"]

    run(tmp_path, story)


def test_handle_is_tried_elsewhere_or_too_late_and_keeps_its_use_T25(tmp_path: Path) -> None:
    async def story(one: Database, _two: Database) -> None:
        store = SqlHandleStore(one)
        await store.issue(b"d", principal_json="{}", resource="shop", expires_at=LATER, uses=2)
        assert await store.burn(b"d", "ledger", NOW) is None
        assert await store.burn(b"e", "shop", NOW) is None
        assert await store.burn(b"d", "shop", LATER) is None
        assert await store.burn(b"d", "shop", NOW) == "{}"
        assert await store.burn(b"d", "shop", NOW) == "{}"
        assert await store.burn(b"d", "shop", NOW) is None
        assert await store.forget_before(NOW) == 1

    run(tmp_path, story)


def test_revocation_made_in_one_process_is_found_in_another_until_it_ends(tmp_path: Path) -> None:
    async def story(one: Database, two: Database) -> None:
        writer, reader = SqlRevocationStore(one), SqlRevocationStore(two)
        await writer.add(REVOCATION)
        names = [("principal", "x"), ("token", "jti-1")]
        assert await reader.find_any(names, now=NOW) == REVOCATION
        assert await reader.find_any(names, now=LATER) is None
        assert await reader.find_any([("principal", "jti-1"), ("token", "x")], now=NOW) is None
        assert await reader.find_any([], now=NOW) is None
        assert await reader.find_all(now=NOW) == [REVOCATION]
        assert await writer.forget_before(LATER) == 1

    run(tmp_path, story)


def test_shorter_revocation_does_not_shorten_a_longer_one(tmp_path: Path) -> None:
    async def story(one: Database, _two: Database) -> None:
        store = SqlRevocationStore(one)
        await store.add(REVOCATION)
        await store.add(RevocationRow("token", "jti-1", at=NOW, until=NOW + timedelta(minutes=1), by="x", reason=""))
        assert await store.find_all(now=NOW) == [REVOCATION]
        longer = RevocationRow("token", "jti-1", at=NOW, until=LATER + timedelta(minutes=1), by="x", reason="")
        await store.add(longer)
        assert await store.find_all(now=NOW) == [longer]

    run(tmp_path, story)


def test_two_names_of_one_principal_are_revoked_and_one_answer_comes(tmp_path: Path) -> None:
    async def story(one: Database, _two: Database) -> None:
        store = SqlRevocationStore(one)
        await store.add(REVOCATION)
        await store.add(RevocationRow("person", "alice", at=NOW, until=LATER, by="x", reason=""))
        found = await store.find_any([("token", "jti-1"), ("person", "alice")], now=NOW)
        assert found is not None
        assert found.kind in {"token", "person"}

    run(tmp_path, story)
