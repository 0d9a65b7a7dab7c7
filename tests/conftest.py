"""What all tests share: the form of the code under test, hypothesis's profiles, the servers of the integration tests.

A server is started once a worker process and only if a test asks for it; each worker has its own port and folder.
"""

import itertools
import os
from collections.abc import Iterator

import hypothesis
import pytest

from interlock.compiled import load_from_source
from tests.servers.debian import DebianPostgres
from tests.servers.embedded import EmbeddedPostgres

# INTERLOCK_PURE=1: the listed modules are loaded from their source even where an extension lies beside them.
if os.environ.get("INTERLOCK_PURE") == "1":
    load_from_source()

hypothesis.settings.register_profile(
    "ci", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.register_profile("long", parent=hypothesis.settings.get_profile("ci"), max_examples=5000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[DebianPostgres]:
    """Debian's PostgreSQL with TLS; see ``DebianPostgres`` for its users and its log."""
    with DebianPostgres() as server:
        yield server


@pytest.fixture
def database(postgres: DebianPostgres) -> Iterator[str]:
    """The name of a shop that is this test's alone, on ``postgres``."""
    name = f"shop_{next(_numbers)}"
    postgres.make_database(name)
    yield name
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def embedded() -> Iterator[EmbeddedPostgres]:
    """PostgreSQL 18 from the demo's wheel, without TLS."""
    with EmbeddedPostgres() as server:
        yield server
