"""The demo's stand-in for psql: it prints what a stock driver got, as the driver says it."""

import os
import subprocess
import sys

import pytest

from tests.servers.debian import DebianPostgres

pytestmark = pytest.mark.integration


def drive(server: DebianPostgres, database: str, *statements: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "PGHOST": server.host,
        "PGPORT": str(server.port),
        "PGUSER": "app",
        "PGPASSWORD": server.passwords["app"],
        "PGDATABASE": database,
        "PGSSLROOTCERT": str(server.ca),
    }
    command = [sys.executable, "-m", "interlock.demo.driver", *statements]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_rows_are_printed_and_an_error_does_not_end_the_connection(postgres: DebianPostgres, database: str) -> None:
    done = drive(postgres, database, "SELECT 1 AS one, 'x' AS two", "SELECT 1/0", "SELECT count(*) FROM orders")
    assert done.stdout.splitlines() == [
        "one=1  two=x",
        "(1 rows)",
        "DivisionByZeroError: division by zero",
        "count=500",
        "(1 rows)",
    ]
    assert done.returncode == 0


def test_the_last_statement_fails_and_so_does_the_driver(postgres: DebianPostgres, database: str) -> None:
    done = drive(postgres, database, "SELECT 1", "SELECT nope")
    assert done.returncode == 1
    assert 'column "nope" does not exist' in done.stdout


def test_a_servers_notice_is_shown(postgres: DebianPostgres, database: str) -> None:
    assert "NOTICE:  please wait" in drive(postgres, database, "DO 'BEGIN RAISE NOTICE ''please wait''; END'").stdout
