"""Stock drivers and pgbench under the starter policies, unchanged."""

import asyncio
import os
import subprocess
import threading

import asyncpg
import psycopg
import pytest

from tests.integration.site import Site
from tests.integration.test_differential import asyncpg_options
from tests.servers.debian import binaries
from tests.servers.jdbc import run_jdbc

pytestmark = pytest.mark.integration


def test_psycopg_pipelines_copies_and_reads_by_server_side_cursor(starter: Site, database: str) -> None:
    writer = starter.token("walter", groups=["readers", "writers"])
    with psycopg.connect(starter.through(database, writer)) as connection:
        with connection.pipeline():
            found = [connection.execute(b"SELECT %s::int", [n], prepare=True) for n in range(100)]
        assert [cursor.fetchone() for cursor in found] == [(n,) for n in range(100)]
        with connection.cursor("portal") as cursor:
            cursor.execute(b"SELECT id FROM orders ORDER BY id")
            assert sum(row[0] for row in cursor) == 125250
        with connection.cursor() as plain:
            with plain.copy(b"COPY customers FROM STDIN (FORMAT binary)") as copy:
                copy.set_types(["int4", "text", "text", "text", "text"])
                copy.write_row((1000, "name", "mail", None, None))
            with plain.copy(b"COPY (SELECT id, name FROM customers WHERE id = 1000) TO STDOUT") as copy:
                assert list(copy.rows()) == [("1000", "name")]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(b"DROP TABLE orders")
        connection.rollback()
        assert connection.execute(b"SELECT count(*) FROM customers").fetchone() == (100,)


def test_psycopg_cancels_what_runs_upstream_T11(starter: Site, database: str) -> None:
    with psycopg.connect(starter.through(database), autocommit=True) as connection:
        timer = threading.Timer(0.3, connection.cancel_safe)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute(b"SELECT count(*) FROM generate_series(1, 10000000000)")
        timer.join()
        assert connection.execute(b"SELECT 1").fetchone() == (1,)


def test_asyncpg_introspects_types_and_is_denied_as_by_the_server(starter: Site, database: str) -> None:
    async def main() -> None:
        connection = await asyncpg.connect(**asyncpg_options(starter.through(database)))
        assert await connection.fetchval("SELECT ARRAY[1, 2]::int[]") == [1, 2]
        assert len(await connection.fetch("SELECT o, o.id FROM orders o")) == 500
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("UPDATE orders SET note = $1 WHERE id = 1", "x")
        assert await connection.fetchval("SELECT count(*) FROM orders WHERE note = 'x'") == 0
        await connection.close()

    asyncio.run(main())


def test_jdbc_works_and_is_denied_as_by_the_server(starter: Site, database: str) -> None:
    gateway = starter.gateway
    answers = run_jdbc(
        "localhost",
        gateway.port,
        user="shop",
        password=starter.token(),
        database=database,
        ca=gateway.ca,
        statements=["SELECT count(*) FROM orders", "UPDATE orders SET note = 'x'", "SELECT 'still here'"],
    )
    assert answers[0] == {"rows": [["500"]]}
    assert answers[1]["error"]["sqlstate"] == "42501"
    assert answers[2] == {"rows": [["still here"]]}


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_pgbench_runs_its_own_transactions(invisible: Site, database: str, mode: str) -> None:
    gateway = invisible.gateway
    environment = {"PATH": os.environ["PATH"], "PGPASSWORD": invisible.token(), "PGSSLMODE": "verify-full"}
    environment |= {"PGSSLROOTCERT": str(gateway.ca), "PGHOST": "localhost", "PGPORT": str(gateway.port)}
    environment |= {"PGUSER": "shop", "PGDATABASE": database}
    program = str(binaries() / "pgbench")
    for arguments in (["-i", "-q"], ["-S", "-M", mode, "-c", "4", "-t", "25"], ["-M", mode, "-c", "2", "-t", "10"]):
        done = subprocess.run([program, *arguments], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert "number of failed transactions: 0" in done.stdout
