import asyncio
import sqlite3
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, text

from interlock.core.errors import StorageError
from interlock.storage import Database, migrate
from interlock.storage.schema import METADATA


def test_supervisor_migrates_twice_and_workers_open_the_same_file(tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "new" / "state.db"
        await migrate(path)
        await migrate(path)
        database = Database(path)
        await database.open()
        mode = await database.read(lambda connection: connection.execute(text("PRAGMA journal_mode")).scalar())
        synchronous = await database.read(lambda connection: connection.execute(text("PRAGMA synchronous")).scalar())
        await database.close()
        assert (mode, synchronous) == ("wal", 2)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    asyncio.run(story())


def test_steps_lead_to_the_tables_that_the_code_uses(tmp_path: Path) -> None:
    asyncio.run(migrate(tmp_path / "state.db"))
    engine = create_engine(f"sqlite:///{tmp_path / 'state.db'}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()


def test_worker_opens_a_database_that_is_missing_or_of_another_version(tmp_path: Path) -> None:
    async def story() -> None:
        with pytest.raises(StorageError, match="doesn't exist"):
            await Database(tmp_path / "none.db").open()
        await migrate(tmp_path / "state.db")
        with sqlite3.connect(tmp_path / "state.db") as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.close()
        database = Database(tmp_path / "state.db")
        with pytest.raises(StorageError, match="has schema 9999, this version needs"):
            await database.open()
        await database.close()
        with pytest.raises(StorageError, match="can't be used"):
            await migrate(tmp_path / "state.db")

    asyncio.run(story())


def test_file_is_no_database_and_the_error_is_ours(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"not a database at all, but long enough to be read as one" * 40)

    async def story() -> None:
        with pytest.raises(StorageError, match=r"state\.db"):
            await migrate(tmp_path / "state.db")
        database = Database(tmp_path / "state.db")
        with pytest.raises(StorageError, match=r"state\.db"):
            await database.open()
        await database.close()

    asyncio.run(story())


def test_error_inside_a_write_leaves_nothing_behind(tmp_path: Path) -> None:
    async def story() -> None:
        await migrate(tmp_path / "state.db")
        database = Database(tmp_path / "state.db")

        def write(connection: Connection) -> None:
            connection.execute(text("INSERT INTO revocations VALUES ('token', 'x', 1, 2, 'me', '')"))
            connection.execute(text("INSERT INTO nowhere VALUES (1)"))

        with pytest.raises(StorageError, match="no such table"):
            await database.write(write)
        count = text("SELECT count(*) FROM revocations")
        assert await database.read(lambda connection: connection.execute(count).scalar()) == 0
        await database.close()

    asyncio.run(story())


def test_read_goes_on_while_another_process_writes(tmp_path: Path) -> None:
    async def story() -> None:
        await migrate(tmp_path / "state.db")
        one, two = Database(tmp_path / "state.db"), Database(tmp_path / "state.db")
        writing, done = threading.Event(), threading.Event()

        def hold(connection: Connection) -> None:
            connection.execute(text("INSERT INTO revocations VALUES ('token', 'x', 1, 2, 'me', '')"))
            writing.set()
            assert done.wait(30)

        async with asyncio.TaskGroup() as group:
            group.create_task(one.write(hold))
            await asyncio.to_thread(writing.wait)
            count = text("SELECT count(*) FROM revocations")
            for database in (one, two):
                assert await database.read(lambda connection: connection.execute(count).scalar()) == 0
            done.set()
        assert await two.read(lambda connection: connection.execute(count).scalar()) == 1
        await one.close()
        await two.close()

    asyncio.run(story())


def test_only_what_asks_for_it_does_without_waiting_for_the_disk(tmp_path: Path) -> None:
    def insert(value: str) -> Callable[[Connection], int]:
        def work(connection: Connection) -> int:
            connection.execute(text(f"INSERT INTO revocations VALUES ('token', '{value}', 1, 2, 'me', '')"))
            return int(connection.execute(text("PRAGMA synchronous")).scalar_one())

        return work

    async def story() -> None:
        await migrate(tmp_path / "state.db")
        database, other = Database(tmp_path / "state.db"), Database(tmp_path / "state.db")
        full, normal = 2, 1
        assert await database.write(insert("a")) == full
        assert await database.write(insert("b"), durable=False) == normal
        seen = await other.read(
            lambda connection: connection.execute(text("SELECT count(*) FROM revocations")).scalar()
        )
        assert seen == 2
        with pytest.raises(StorageError):
            await database.write(insert("b"), durable=False)
        assert await database.write(insert("c")) == full  # also on the connection that follows a failed one
        await database.close()
        await other.close()

    asyncio.run(story())
