"""What a client sees through the gateway with permit-all is what it sees without: results, errors, tags, notices.

Each sequence runs on two fresh copies of the shop, once direct and once through the gateway. Only names of these
copies, OIDs of what a test made, process ids and clocks may differ.

What is refused even with permit-all is at the end, with the reason for each.
"""

import asyncio
import re
import ssl
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.integration.observing import Observer, Query, observe
from tests.integration.sequences import SEQUENCES
from tests.integration.site import Site

pytestmark = pytest.mark.integration

PARAMETERS = (
    *("server_version", "server_encoding", "client_encoding", "is_superuser", "session_authorization", "DateStyle"),
    *("IntervalStyle", "TimeZone", "integer_datetimes", "standard_conforming_strings", "application_name"),
    *("default_transaction_read_only", "in_hot_standby"),
)
"""Every parameter that version 15 reports."""


@pytest.fixture
def copies(invisible: Site, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Two fresh shops: one for direct connections, one for those through the gateway."""
    stem = f"copy_{zlib.crc32(request.node.name.encode())}"
    names = (f"{stem}_a", f"{stem}_b")
    for name in names:
        invisible.postgres.make_database(name)
    yield names
    for name in names:
        invisible.postgres.drop_database(name)


@pytest.mark.parametrize("name", SEQUENCES)
def test_client_sees_through_the_gateway_what_it_sees_without(
    invisible: Site, copies: tuple[str, str], name: str
) -> None:
    steps = SEQUENCES[name]
    direct = observe(invisible.direct(copies[0]), steps, hide=_hide(copies[0]))
    through = observe(invisible.through(copies[1]), steps, hide=_hide(copies[1]))
    for number, (expected, got) in enumerate(zip(direct, through, strict=False)):
        assert got == expected, f"observation {number} of {len(direct)}"
    assert len(through) == len(direct)


def _hide(database: str) -> Callable[[str], str]:
    clock = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+\+00")
    return lambda text: clock.sub("CLOCK", text.replace(database, "DATABASE")) if len(text) < 10_000 else text


def test_parameters_that_the_server_reports_are_the_same_at_the_start_and_after_a_change(
    invisible: Site, copies: tuple[str, str]
) -> None:
    changes = ("SET TIME ZONE 'Asia/Tokyo'", "SET DateStyle = 'SQL, DMY'", "SET application_name = 'x'", "RESET ALL")
    options = {"options": "-c DateStyle=German -c IntervalStyle=iso_8601", "application_name": "start"}
    seen: list[list[Any]] = []
    for conninfo in (invisible.direct(copies[0], **options), invisible.through(copies[1], **options)):
        observer = Observer(conninfo)
        seen.append([observer.parameters(PARAMETERS)])
        for change in changes:
            observer.do(Query(change))
            seen[-1].append(observer.parameters(PARAMETERS))
        observer.close()
    assert seen[1] == seen[0]
    assert seen[0][0]["DateStyle"] == "German, DMY"


def test_asyncpg_sees_the_same_rows_portals_and_copies(invisible: Site, copies: tuple[str, str]) -> None:
    direct = asyncio.run(_asyncpg(invisible.direct(copies[0])))
    through = asyncio.run(_asyncpg(invisible.through(copies[1])))
    assert through == direct
    assert len(direct[0]) == 500


async def _asyncpg(conninfo: str) -> list[Any]:
    """Cursors with row limits, prepared statements, introspected types, COPY, nested transactions, notices."""
    connection = await asyncpg.connect(**asyncpg_options(conninfo))
    seen: list[Any] = []
    notices: list[str] = []
    connection.add_log_listener(lambda _, message: notices.append(str(message)))
    try:
        async with connection.transaction():
            cursor = await connection.cursor("SELECT id, status FROM orders ORDER BY id")
            rows = await cursor.fetch(7)
            await cursor.forward(10)
            rows += await cursor.fetch(483)
            seen.append(
                [tuple(row) for row in [*rows, *await connection.fetch("SELECT 1, 2 FROM generate_series(1, 10)")]]
            )
            products = connection.cursor("SELECT * FROM products ORDER BY id", prefetch=3)
            seen.extend([tuple(row) async for row in products])
        await connection.execute("CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE pair AS (a int, m mood)")
        prepared = await connection.prepare("SELECT $1::mood, ROW(1, 'ok')::pair, ARRAY['sad']::mood[]")
        seen.append([str(value) for value in await prepared.fetchrow("ok")])
        seen.append([attribute.name for attribute in prepared.get_attributes()])
        await connection.executemany(
            "INSERT INTO customers VALUES ($1, $2, $3)", [(n, f"n{n}", "e") for n in range(1000, 1500)]
        )
        seen.append(await connection.copy_records_to_table("products", records=[(900, "r", 5, None)]))
        with pytest.raises(asyncpg.UniqueViolationError) as caught:
            await connection.execute("INSERT INTO customers VALUES (1, 'a', 'b')")
        seen.append(caught.value.as_dict())
        try:
            async with connection.transaction():
                await connection.execute("UPDATE orders SET note = 'outer' WHERE id = 1")
                with pytest.raises(asyncpg.DivisionByZeroError):
                    async with connection.transaction():
                        await connection.fetch("SELECT 1/0")
                seen.append(await connection.fetchval("SELECT note FROM orders WHERE id = 1"))
        finally:
            await connection.execute("DO $$ BEGIN RAISE NOTICE 'seen'; END $$")
        seen.append(await connection.fetchval("SELECT count(*) FROM customers"))
        seen.append(notices)
    finally:
        await connection.close()
    return seen


def asyncpg_options(conninfo: str) -> dict[str, Any]:
    """What asyncpg wants to hear for a libpq connection string."""
    values = conninfo_to_dict(conninfo)
    return {
        "host": values["host"],
        "port": int(str(values["port"])),
        "user": values["user"],
        "password": values["password"],
        "database": values["dbname"],
        "ssl": ssl.create_default_context(cafile=str(values["sslrootcert"])),
        "timeout": 30,
    }


# --- what is refused even with permit-all ---------------------------------------------------------------------------

REFUSED: Sequence[tuple[str, str, str]] = (
    # The parser reads UTF-8; in another encoding the server could read another statement than was decided (T5).
    ("SET client_encoding = 'LATIN1'", "0A000", "UTF8"),
    ("SET NAMES 'SJIS'", "0A000", "UTF8"),
    # Under it a backslash ends no literal the way the parser thinks (T5).
    ("SET standard_conforming_strings = off", "0A000", "standard_conforming_strings"),
)


@pytest.mark.parametrize(("statement", "sqlstate", "says"), REFUSED)
def test_even_permit_all_refuses(invisible: Site, statement: str, sqlstate: str, says: str) -> None:
    with psycopg.connect(invisible.through("shop"), autocommit=True) as connection:
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(statement.encode())
        assert caught.value.sqlstate == sqlstate
        assert says in str(caught.value)
        assert connection.execute("SHOW client_encoding").fetchone() == ("UTF8",)


def test_even_permit_all_refuses_replication_T9(invisible: Site) -> None:  # what it carries can't be read
    with pytest.raises(psycopg.OperationalError, match="replication connections are refused"):
        psycopg.connect(invisible.through("shop", replication="database"))


def test_even_permit_all_refuses_another_encoding_at_the_start_T5(invisible: Site) -> None:
    with pytest.raises(psycopg.OperationalError, match="reads statements as UTF8 only"):
        psycopg.connect(invisible.through("shop", client_encoding="LATIN1"))
