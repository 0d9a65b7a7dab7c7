"""The SQLite file: how it is opened, migrated and written by several processes at once.

A whole operation is one trip to a thread: with a trip for each cursor call, as asyncio drivers make them, a read took
2.0 ms of CPU instead of 0.2, and every new client connection needs four operations (docs/adr).
"""

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from interlock.core.errors import StorageError

BUSY_MILLISECONDS: Final = 10_000
"""How long a writer waits for another process's transaction."""

_CHECKPOINT_MILLISECONDS: Final = 50

T = TypeVar("T")

_PRAGMAS: Final = (
    f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a commit survives a power failure: an approval can't be consumed twice
    "PRAGMA secure_delete = ON",  # what is wiped is overwritten
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
)


class Lane:
    """One connection in a thread of its own; used for whole transactions only."""

    def __init__(self, engine: Engine, path: Path, *, reads: bool) -> None:
        self._engine: Final = engine
        self._path: Final = path
        self._reads: Final = reads
        self._executor: Final = ThreadPoolExecutor(1, "state-reader" if reads else "state-writer")
        self._connection: Connection | None = None
        self._durable = True
        """Whether the connection, as it is set now, makes a commit durable; every new one does."""

    async def run(self, work: Callable[[Connection], T], *, begin: bool = True, durable: bool = True) -> T:
        """Run ``work`` in a transaction of the lane's connection.

        Raises:
            StorageError: the database says no, and nothing was changed.
        """
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._run, work, begin, durable)

    async def close(self) -> None:
        """End what is under way and close the connection."""
        await asyncio.get_running_loop().run_in_executor(self._executor, self._drop)
        self._executor.shutdown(wait=False)

    def _run(self, work: Callable[[Connection], T], begin: bool, durable: bool) -> T:  # noqa: FBT001 - run_in_executor has no keywords
        with _translated(self._path):
            if self._connection is None:
                self._connection = self._engine.connect().execution_options(interlock_read=self._reads)
                self._durable = True
            try:
                if durable is not self._durable:
                    _set_durable(self._connection, durable=durable)
                    self._durable = durable
                if not begin:
                    return work(self._connection)
                with self._connection.begin():
                    return work(self._connection)
            except (SQLAlchemyError, sqlite3.Error):
                self._drop()  # the next transaction starts on a connection that nothing has happened to
                raise

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class Database:
    """One process's two lanes to the state file: reads never wait for a write, neither here nor (WAL) in the file."""

    def __init__(self, path: Path) -> None:
        self._path: Final = path
        engine = create_engine(URL.create("sqlite", database=str(path)), poolclass=NullPool)
        _configure(engine)
        self._reader: Final = Lane(engine, path, reads=True)
        self._writer: Final = Lane(engine, path, reads=False)

    async def open(self) -> None:
        """Verify that the file exists and has the schema that this version knows.

        Raises:
            StorageError: it can't be read, or was made by another version.
        """
        if not await asyncio.to_thread(self._path.exists):
            msg = f"the state database {self._path} doesn't exist; the supervisor makes it at start"
            raise StorageError(msg)
        found = await self.read(_revision)
        if found != _head():
            msg = f"the state database {self._path} has schema {found}, this version needs {_head()}"
            raise StorageError(msg)

    async def close(self) -> None:
        """End what is under way, close the connections."""
        await self._reader.close()
        await self._writer.close()

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in a read transaction: one unchanging view.

        Raises:
            StorageError: the database says no.
        """
        return await self._reader.run(work)

    async def write(self, work: Callable[[Connection], T], *, durable: bool = True) -> T:
        """Run ``work`` in a write transaction: the file's one write lock is its own, and it is durable.

        If we are cancelled while it runs, it still ends whole, and nobody hears of it. Without ``durable`` a failing
        kernel or power may take it back, whole; other processes see it at once all the same. A later durable write
        makes it durable too.

        Raises:
            StorageError: the database says no, and nothing was changed.
        """
        return await self._writer.run(work, durable=durable)

    async def forget(self) -> None:
        """Copy the write-ahead log back and empty it, so that wiped bytes are in no file; does nothing while busy."""
        await self._writer.run(_checkpoint, begin=False)


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


def _set_durable(connection: Connection, *, durable: bool) -> None:
    """FULL waits for the disk at each commit, NORMAL only when the write-ahead log is copied back."""
    cursor = connection.connection.cursor()
    try:
        cursor.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    finally:
        cursor.close()


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
