"""The Java driver reaches a real server and reports rows, counts and errors."""

import pytest

from tests.servers.debian import DebianPostgres
from tests.servers.jdbc import run_jdbc

pytestmark = pytest.mark.integration


def test_driver_reports_rows_counts_and_errors_of_the_server(postgres: DebianPostgres, database: str) -> None:
    answers = run_jdbc(
        postgres.host,
        postgres.port,
        user="app",
        password=postgres.passwords["app"],
        database=database,
        ca=postgres.ca,
        statements=[
            "SELECT id, note FROM orders WHERE id IN (6, 7) ORDER BY id",
            "DELETE FROM order_lines",
            "SELECT x",
        ],
    )
    assert answers[0] == {"rows": [["6", None], ["7", "ring twice"]]}
    assert answers[1] == {"updated": 1500}
    assert answers[2]["error"]["sqlstate"] == "42703"


def test_driver_that_cannot_log_in_raises(postgres: DebianPostgres) -> None:
    with pytest.raises(RuntimeError, match="password authentication failed"):
        run_jdbc(
            postgres.host, postgres.port, user="app", password="no", database="shop", ca=postgres.ca, statements=[]
        )
