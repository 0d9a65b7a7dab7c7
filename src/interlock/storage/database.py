"""The SQLite file: how it is opened, migrated and written by several processes at once."""

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from interlock.core.errors import StorageError

BUSY_MILLISECONDS: Final = 10_000
"""How long a writer waits for another process's transaction."""

_CHECKPOINT_MILLISECONDS: Final = 50

_PRAGMAS: Final = (
    f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a commit survives a power failure: an approval can't be consumed twice
    "PRAGMA secure_delete = ON",  # what is wiped is overwritten
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
)


class Database:
    """One process's connections to the state file."""

    def __init__(self, path: Path) -> None:
        self._path: Final = path
        self._engine: Final[AsyncEngine] = create_async_engine(
            URL.create("sqlite+aiosqlite", database=str(path)), pool_size=4, max_overflow=0, pool_timeout=30
        )
        _configure(self._engine.sync_engine)

    async def open(self) -> None:
        """Verify that the file exists and has the schema that this version knows.

        Raises:
            StorageError: it can't be read, or was made by another version.
        """
        if not self._path.exists():
            msg = f"the state database {self._path} doesn't exist; the supervisor makes it at start"
            raise StorageError(msg)
        async with self.reading() as connection:
            found = await connection.run_sync(_revision)
        if found != _head():
            msg = f"the state database {self._path} has schema {found}, this version needs {_head()}"
            raise StorageError(msg)

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A read transaction: one unchanging view."""
        with _translated(self._path):
            async with self._engine.connect() as connection:
                reading = await connection.execution_options(interlock_read=True)
                async with reading.begin():
                    yield reading

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A write transaction: holds the file's one write lock from its start, durable when it ends."""
        with _translated(self._path):
            async with self._engine.begin() as connection:
                yield connection

    async def forget(self) -> None:
        """Copy the write-ahead log back and empty it, so that wiped bytes are in no file; does nothing while busy."""
        with _translated(self._path):
            async with self._engine.connect() as connection:
                await connection.run_sync(_checkpoint)


async def migrate(path: Path) -> None:
    """Make the state database, mode 0600, or bring it to this version; only the supervisor calls this, at start.

    Raises:
        StorageError: it can't be made or was written by a newer version.
    """
    await asyncio.to_thread(_migrate, path)


def _migrate(path: Path) -> None:
    with _translated(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        engine = create_engine(URL.create("sqlite", database=str(path)), poolclass=NullPool)
        _configure(engine)
        settings = AlembicConfig()
        settings.set_main_option("script_location", "interlock.storage:migrations")
        with engine.begin() as connection:
            settings.attributes["connection"] = connection
            command.upgrade(settings, "head")
        engine.dispose()


def _head() -> str:
    settings = AlembicConfig()
    settings.set_main_option("script_location", "interlock.storage:migrations")
    return str(ScriptDirectory.from_config(settings).get_current_head())


def _revision(connection: Connection) -> str:
    return str(MigrationContext.configure(connection).get_current_revision())


def _checkpoint(connection: Connection) -> None:
    cursor = connection.connection.cursor()
    try:
        cursor.execute(f"PRAGMA busy_timeout = {_CHECKPOINT_MILLISECONDS}")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
    finally:
        cursor.close()


def _configure(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver
        cursor = connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get("interlock_read", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError, CommandError, TimeoutError) as error:
        msg = f"the state database {path} can't be used: {type(error).__name__}: {_first_line(error)}"
        raise StorageError(msg) from error


def _first_line(error: Exception) -> str:
    original = getattr(error, "orig", None) or error
    return str(original).partition("\n")[0]
