"""Gateways that the integration tests share: one with the starter policies, one that permits everything."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.policy.starting import starter_policies
from tests.integration.site import Site, upstream_of
from tests.servers.debian import DebianPostgres
from tests.servers.gateway import Gateway

PERMIT_ALL = Path(__file__).resolve().parents[2] / "policies" / "examples" / "permit-all" / "permit-all.cedar"


@pytest.fixture(scope="session")
def starter(postgres: DebianPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway as ``interlock init`` leaves it: starter policies."""
    upstream = upstream_of(postgres, tmp_path_factory.mktemp("starter"))
    with Gateway(address=f"{postgres.host}:{postgres.port}", upstream=upstream, policies=starter_policies()) as gateway:
        yield Site(gateway, postgres)
        assert "Traceback" not in gateway.output


@pytest.fixture(scope="session")
def invisible(postgres: DebianPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway with the policies that ship for third-party test suites: it must not be seen."""
    upstream = upstream_of(postgres, tmp_path_factory.mktemp("invisible"))
    with Gateway(
        address=f"{postgres.host}:{postgres.port}",
        upstream=upstream,
        policies={"permit-all.cedar": PERMIT_ALL.read_text(encoding="utf-8")},
    ) as gateway:
        yield Site(gateway, postgres)
        assert "Traceback" not in gateway.output
