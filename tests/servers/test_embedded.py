"""The embedded PostgreSQL serves the shop over its local socket."""

import pytest

from tests.servers.embedded import EmbeddedPostgres

pytestmark = pytest.mark.integration


def test_version_18_answers_on_its_socket_with_the_shop(embedded: EmbeddedPostgres) -> None:
    address = embedded.address
    assert (address.folder / f".s.PGSQL.{address.port}").is_socket()
    with embedded.connect() as connection:
        version = connection.execute("SELECT current_setting('server_version_num')::int / 10000").fetchone()
        orders = connection.execute("SELECT count(*) FROM orders").fetchone()
    assert (version, orders) == ((18,), (500,))
