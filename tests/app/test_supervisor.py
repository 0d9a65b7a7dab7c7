"""A whole gateway in processes of its own: start, cancel across workers, kill, reload, crash, drain."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from interlock.audit.entry import Entry
from interlock.audit.reading import LogReader
from tests.servers.debian import DebianPostgres
from tests.servers.gateway import PERMIT_ALL, Gateway

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def gateway(postgres: DebianPostgres) -> Iterator[Gateway]:
    os.environ["TEST_UPSTREAM_PASSWORD"] = postgres.passwords["app"]
    upstream = {
        "user": "app",
        "password": "env:TEST_UPSTREAM_PASSWORD",
        "tls": "verify-full",
        "ca": f"file:{postgres.ca}",
    }
    with Gateway(
        address=f"localhost:{postgres.port}", upstream=upstream, policies={"p.cedar": PERMIT_ALL}, workers=2
    ) as started:
        yield started


DESTROY_NEEDS_A_DBA = """
@id("destroy-needs-dba") @approvers("dba") @expires("30m")
forbid (principal, action in Action::"destroy", resource) unless { context.approved_by.contains("dba") };
"""


@pytest.fixture
def crashing(postgres: DebianPostgres) -> Iterator[Gateway]:
    """A gateway of one worker, to break things in; whatever destroys is held."""
    os.environ["TEST_UPSTREAM_PASSWORD"] = postgres.passwords["app"]
    upstream = {"user": "app", "password": "env:TEST_UPSTREAM_PASSWORD", "ca": f"file:{postgres.ca}"}
    policies = {"p.cedar": PERMIT_ALL, "q.cedar": DESTROY_NEEDS_A_DBA}
    with Gateway(address=f"localhost:{postgres.port}", upstream=upstream, policies=policies) as started:
        yield started


def logged(gateway: Gateway) -> list[Entry]:
    return [one.entry for one in LogReader(gateway.folder / "var").entries()]


def children_of(gateway: Gateway, module: bytes) -> list[int]:
    children = Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children").read_text().split()
    return [int(pid) for pid in children if module in Path(f"/proc/{pid}/cmdline").read_bytes()]


def workers_of(gateway: Gateway) -> list[int]:
    return children_of(gateway, b"interlock.app.worker")


def test_stock_client_is_served_through_tls_on_both_legs(gateway: Gateway) -> None:
    with psycopg.connect(gateway.dsn(gateway.token())) as client:
        assert client.execute("SELECT 1 + 1, current_user").fetchone() == (2, "app")
        assert client.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() == (True,)


def test_cancel_request_finds_its_session_whichever_worker_it_lands_on_T11(gateway: Gateway) -> None:
    for _ in range(4):
        with psycopg.connect(gateway.dsn(gateway.token()), autocommit=True) as client:
            sleeping = client.pgconn
            sleeping.send_query(b"SELECT pg_sleep(60)")
            # the cancel goes by a new connection, which the kernel gives to any worker
            for _ in range(3):
                client.cancel()
            while sleeping.get_result() is not None:
                pass
            assert client.execute("SELECT 1").fetchone() == (1,)


def test_operator_kills_a_session(gateway: Gateway) -> None:
    with psycopg.connect(gateway.dsn(gateway.token())) as client:
        client.execute("SELECT 1")
        sessions = gateway.json("sessions", "list")
        rows = sessions["sessions"] if isinstance(sessions, dict) else sessions
        for row in rows:
            gateway.run("sessions", "kill", row["id"], status=None)
        with pytest.raises(psycopg.OperationalError):
            client.execute("SELECT 1")


def test_bad_policy_does_not_come_into_force_and_a_good_one_does(gateway: Gateway) -> None:
    policy = gateway.folder / "policies" / "p.cedar"
    policy.write_text("permit (principal, action, resource) when { context.nonsense };")
    gateway.reload()
    gateway.wait_for_output("reload_failed")
    with psycopg.connect(gateway.dsn(gateway.token()), autocommit=True) as client:
        assert client.execute("SELECT 1").fetchone() == (1,)
        policy.write_text('@id("only-connect")\npermit (principal, action == Action::"session/connect", resource);')
        gateway.reload()
        gateway.wait_for_output('"generation": 2')
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            client.execute("SELECT 1")
    policy.write_text(PERMIT_ALL)
    gateway.reload()
    gateway.wait_for_output('"generation": 3')


def test_killed_worker_comes_back_and_clients_are_served(gateway: Gateway) -> None:
    before = workers_of(gateway)
    assert len(before) == 2
    os.kill(before[0], signal.SIGKILL)
    gateway.wait_for_output("worker_ended")
    for _ in range(4):
        with psycopg.connect(gateway.dsn(gateway.token())) as client:
            assert client.execute("SELECT 1").fetchone() == (1,)
    assert before[0] not in workers_of(gateway)


def test_no_secret_is_in_any_process_list_T24(gateway: Gateway, postgres: DebianPostgres) -> None:
    for pid in [gateway.pid, *workers_of(gateway)]:
        assert postgres.passwords["app"].encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert limits.partition("Max core file size")[2].split()[:2] == ["0", "0"]


def test_sigterm_ends_sessions_in_the_protocols_words_and_exits_with_zero(crashing: Gateway) -> None:
    with psycopg.connect(crashing.dsn(crashing.token())) as client:
        client.execute("SELECT 1")
        began = time.monotonic()
        assert crashing.stop() == 0
        assert time.monotonic() - began < 15
        with pytest.raises(psycopg.OperationalError, match="gateway is stopping"):
            client.execute("SELECT 1")


def test_worker_killed_while_a_hold_waits_leaves_nothing_to_approve_P9_T20(crashing: Gateway) -> None:
    with contextlib.closing(psycopg.connect(crashing.dsn(crashing.token()), autocommit=True)) as client:
        client.pgconn.send_query(b"DELETE FROM orders")
        waiting: list[dict[str, str]] = []
        while not waiting:
            waiting = crashing.json("approvals", "list")
        assert [hold["state"] for hold in waiting] == ["waiting"]
        os.kill(workers_of(crashing)[0], signal.SIGKILL)
        crashing.wait_for_output("worker_ended")
        with psycopg.connect(crashing.dsn(crashing.token()), autocommit=True) as second:
            assert second.execute("SELECT count(*) > 0 FROM orders").fetchone() == (True,)
    assert crashing.json("approvals", "list") == []
    assert crashing.stop() == 0
    ends = [entry for entry in logged(crashing) if entry.type == "approval"]
    assert [entry.decision for entry in ends] == ["withdrawn"]


def test_killed_recorder_comes_back_and_no_session_notices_nor_is_an_entry_lost_T22_P1(crashing: Gateway) -> None:
    with psycopg.connect(crashing.dsn(crashing.token()), autocommit=True) as client:
        client.execute("SELECT 1 AS before")
        (before,) = children_of(crashing, b"interlock.audit.recorder")
        os.kill(before, signal.SIGKILL)
        for number in range(20):
            assert client.execute(f"SELECT {number} AS during").fetchone() == (number,)
        crashing.wait_for_output("recorder_restarted")
        assert client.execute("CREATE TEMPORARY TABLE after (x int)").statusmessage == "CREATE TABLE"
        (after,) = children_of(crashing, b"interlock.audit.recorder")
        assert after != before
    assert crashing.stop() == 0
    entries = logged(crashing)
    assert sum(entry.type == "intent" for entry in entries) == 22
    assert sum(entry.type == "outcome" for entry in entries) == 22
    assert sum(entry.type == "recorder_start" for entry in entries) == 2
