"""The PostgreSQL of the integration tests is what they take it for."""

import psycopg
import pytest

from tests.servers.authority import Authority
from tests.servers.debian import DebianPostgres

pytestmark = pytest.mark.integration


def test_login_by_scram_over_verified_tls_with_channel_binding(postgres: DebianPostgres) -> None:
    with psycopg.connect(postgres.dsn(channel_binding="require")) as connection:
        row = connection.execute(
            "SELECT s.ssl, current_user, (SELECT count(*) FROM orders) FROM pg_stat_ssl s WHERE pid = pg_backend_pid()"
        ).fetchone()
    assert row == (True, "app", 500)


def test_legacy_user_is_asked_for_an_md5_answer(postgres: DebianPostgres) -> None:
    with psycopg.connect(postgres.dsn("legacy")) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("legacy",)
    hashed = postgres.administer("SELECT rolpassword LIKE 'md5%' FROM pg_authid WHERE rolname = 'legacy'")
    assert hashed == [(True,)]


def test_wrong_password_plaintext_and_foreign_authority_are_refused(postgres: DebianPostgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.dsn(password="wrong"))
    with pytest.raises(psycopg.OperationalError, match="rejects connection"):
        psycopg.connect(postgres.dsn(sslmode="disable"))
    foreign = Authority(postgres.folder / "foreign").ca
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        psycopg.connect(postgres.dsn(sslrootcert=str(foreign)))


def test_log_names_each_statement_that_ran_in_order_and_only_those(postgres: DebianPostgres, database: str) -> None:
    before = postgres.log_position()
    with psycopg.connect(postgres.dsn(database=database), autocommit=True) as connection:
        connection.execute("SELECT 1 AS first,\n       2 AS second")
        connection.execute("DELETE FROM order_lines WHERE order_id = %s", [7])
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM nowhere")
    assert [entry.text for entry in postgres.statements(before, database=database)] == [
        "SELECT 1 AS first,\n       2 AS second",
        "DELETE FROM order_lines WHERE order_id = $1",
        "SELECT * FROM nowhere",
    ]
    assert {entry.user for entry in postgres.statements(before, database=database)} == {"app"}


def test_each_database_is_a_fresh_shop(postgres: DebianPostgres, database: str) -> None:
    with psycopg.connect(postgres.dsn(database=database)) as connection:
        assert connection.execute("TRUNCATE orders CASCADE; SELECT count(*) FROM orders").nextset()
    postgres.make_database(f"{database}_again")
    with psycopg.connect(postgres.dsn(database=f"{database}_again")) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (500,)
    postgres.drop_database(f"{database}_again")


@pytest.mark.slow
def test_server_comes_back_after_a_crash_with_its_data() -> None:
    with DebianPostgres() as server:
        with psycopg.connect(server.dsn()) as connection:
            connection.execute("UPDATE orders SET note = 'before the crash' WHERE id = 1")
        server.crash()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(server.dsn())
        server.start()
        with psycopg.connect(server.dsn()) as connection:
            assert connection.execute("SELECT note FROM orders WHERE id = 1").fetchone() == ("before the crash",)
