"""The demo's database: from a wheel, on a local socket, gone afterwards."""

from pathlib import Path

import pytest

from interlock.demo.shop import ROLE, Shop

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def test_the_shop_is_filled_belongs_to_no_superuser_and_leaves_nothing_behind() -> None:
    with Shop() as shop:
        kind, folder, port = shop.address.rsplit(":", 2)
        assert (kind, Path(folder).is_dir(), port.isdigit()) == ("unix", True, True)
        assert shop.value("SELECT count(*) FROM orders") == 120
        assert shop.value("SELECT tableowner FROM pg_tables WHERE tablename = 'customers'") == ROLE
        assert shop.value(f"SELECT rolsuper FROM pg_roles WHERE rolname = '{ROLE}'") is False
    assert not shop._folder.exists()
    assert not (Path(folder) / f".s.PGSQL.{port}").exists()
