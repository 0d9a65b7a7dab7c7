"""The promises P1, P4, P5, P9 and P10, attacked on the whole gateway with real processes and a real server."""

import os
import re
import select
import signal
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from interlock.audit.payload import PayloadKind
from interlock.audit.reading import RecordingReader
from interlock.control import ControlError
from interlock.control.messages import KillSession, Revoke
from tests.integration.conftest import PERMIT_ALL
from tests.integration.site import WAIT_SECONDS, Notices, Site, upstream_of
from tests.servers.debian import DebianPostgres
from tests.servers.gateway import Gateway

pytestmark = pytest.mark.integration

SIDE = "interlock"
"""Application name of the gateway's own connection, which reads only catalogues and is on record as a whole."""


def made(postgres: DebianPostgres, folder: Path, **more: Any) -> Gateway:
    """A gateway of a test's own that permits everything."""
    return Gateway(
        address=f"{postgres.host}:{postgres.port}",
        upstream=upstream_of(postgres, folder),
        **({"policies": {"permit-all.cedar": PERMIT_ALL.read_text(encoding="utf-8")}} | more),
    )


# --- P1 -------------------------------------------------------------------------------------------------------------

VERB = re.compile(r"(SELECT|UPDATE|DELETE|INSERT|BEGIN|COMMIT|ROLLBACK)\b")
MARK = re.compile(r"'(\d+\.\d+)'")


def children(pid: int) -> dict[int, str]:
    """The process's descendants with their command lines."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found: dict[int, str] = {}
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        for child in [c for c, p in parents.items() if p == parent]:
            waiting.append(child)
            try:
                found[child] = (Path("/proc") / str(child) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
    return found


class Workload:
    """Clients that send statements of every kind, each with a mark of its own, over connections that may die."""

    def __init__(self, site: Site, database: str, clients: int) -> None:
        self._site = site
        self._database = database
        self._token = site.token("workload", kind="workload")
        self._done = 0
        self._stop = False
        self._counted = threading.Condition()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(1, clients + 1)]
        for thread in self._threads:
            thread.start()

    def wait_for(self, rounds: int) -> None:
        """Wait until so many rounds more are done."""
        with self._counted:
            until = self._done + rounds
            assert self._counted.wait_for(lambda: self._done >= until, WAIT_SECONDS), f"only {self._done} of {until}"

    def stop(self) -> None:
        """No more."""
        self._stop = True
        for thread in self._threads:
            thread.join(WAIT_SECONDS)
            assert not thread.is_alive()

    def _run(self, client: int) -> None:
        number = 0
        while not self._stop:
            conninfo = self._site.through(self._database, self._token, application_name="client", connect_timeout=5)
            try:
                with psycopg.connect(conninfo, autocommit=True, prepare_threshold=2) as connection:
                    while not self._stop:
                        number += 1
                        self._round(connection, f"'{client}.{number}'", client * 100_000 + number)
                        with self._counted:
                            self._done += 1
                            self._counted.notify_all()
            except psycopg.Error:
                continue

    def _round(self, connection: psycopg.Connection[Any], mark: str, number: int) -> None:
        order = number % 500
        connection.execute(f"SELECT {mark} AS simple".encode(), prepare=False)
        connection.execute(f"UPDATE orders SET note = {mark} WHERE id = %s".encode(), [order])
        connection.execute(b"SELECT status FROM orders WHERE id = %s", [order])
        with connection.transaction():
            connection.execute(f"DELETE FROM order_lines WHERE order_id = {order} /* {mark} */".encode())
        with connection.pipeline():
            connection.execute(f"INSERT INTO customers VALUES ({number}, {mark}, 'e')".encode())
            connection.execute(f"SELECT count(*) FROM customers WHERE name = {mark}".encode())


def key_of(text: str) -> tuple[str, str]:
    """What tells one statement of the workload from another: its verb and its mark."""
    verb, mark = VERB.search(text), MARK.search(text)
    return verb[1] if verb else text, mark[1] if mark else ""


def end_of(pids: list[int]) -> None:
    """Wait until these processes are gone."""
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            assert select.select([descriptor], [], [], WAIT_SECONDS)[0], f"process {pid} lives on"
        finally:
            os.close(descriptor)


@pytest.mark.slow
def test_nothing_reaches_the_server_unrecorded_while_processes_are_killed_P1(
    postgres: DebianPostgres, database: str, tmp_path: Path
) -> None:
    before = postgres.log_position()
    with made(postgres, tmp_path) as gateway:
        site = Site(gateway, postgres)
        workload = Workload(site, database, clients=3)
        for rounds, victim in ((7, "worker"), (11, "recorder"), (5, "recorder"), (8, "worker"), (13, "supervisor")):
            workload.wait_for(rounds)
            living = children(gateway.pid)
            if victim == "supervisor":
                os.kill(gateway.pid, signal.SIGKILL)
                end_of(list(living))
                gateway.stop()
                gateway.start()
            else:
                pids = [pid for pid, command in living.items() if f".{victim}" in command]
                assert pids, living
                os.kill(pids[0], signal.SIGKILL)
        workload.wait_for(10)
        workload.stop()
        assert gateway.stop() == 0
        entries = site.entries()
        ran = Counter(
            key_of(entry.text)
            for entry in postgres.statements(before, database=database)
            if entry.application == "client"
        )
        parsing = {entry["action"] for entry in entries if entry.get("kind") == "postgres.parse"}
        intents = {entry["action"] for entry in entries if entry["type"] == "intent"}
        reader = RecordingReader(gateway.folder / "var")
        recorded: Counter[tuple[str, str]] = Counter()
        for session in {entry["session"] for entry in entries if entry["type"] == "session_start"}:
            for payload in (r.payload for r in reader.session(session)):
                if payload.kind is PayloadKind.REQUEST and payload.action in intents - parsing:
                    recorded[key_of(bytes(payload.content).decode("utf-8", "replace"))] += 1
    assert sum(ran.values()) > 200
    unrecorded = {key: (count, recorded[key]) for key, count in ran.items() if count > recorded[key]}
    assert not unrecorded
    catalogue = {e.text for e in postgres.statements(before, database=database) if e.application == SIDE}
    assert not [text for text in catalogue if MARK.search(text)]


# --- P4 -------------------------------------------------------------------------------------------------------------


def test_killed_session_ends_within_a_second_P4(starter: Site, database: str) -> None:
    with psycopg.connect(starter.through(database), autocommit=True) as connection:
        (session,) = starter.sessions(database)
        asked = datetime.now(UTC)  # noqa: TID251 - measures
        starter.control.ask(KillSession(session["id"], "laptop lost"))
        with pytest.raises(psycopg.OperationalError, match="an operator ended this session"):
            connection.execute("SELECT pg_sleep(20)")
        assert (datetime.now(UTC) - asked).total_seconds() < 1  # noqa: TID251 - measures


def test_revoked_token_ends_its_session_in_the_middle_of_a_statement_and_connects_no_more_P4(
    starter: Site, database: str
) -> None:
    token = starter.token("mallory")
    with psycopg.connect(starter.through(database, token), autocommit=True) as connection:
        timer = threading.Timer(
            0.2, lambda: starter.control.ask(Revoke("principal", "interlock:development|mallory", 60, "left"))
        )
        timer.start()
        asked = datetime.now(UTC)  # noqa: TID251 - measures
        with pytest.raises(psycopg.OperationalError, match="revoked"):
            connection.execute("SELECT count(*) FROM generate_series(1, 1000000000)")
        assert (datetime.now(UTC) - asked).total_seconds() < 3  # noqa: TID251 - measures
        timer.join()
    with pytest.raises(psycopg.OperationalError, match="did not accept the token"):
        psycopg.connect(starter.through(database, token))


def test_session_ends_when_its_token_does_P4(starter: Site, database: str) -> None:
    with psycopg.connect(starter.through(database, starter.token(seconds=3)), autocommit=True) as connection:
        with pytest.raises(psycopg.OperationalError, match="expire"):
            connection.execute("SELECT count(*) FROM generate_series(1, 10000000000)")
        assert connection.closed


# --- P5 -------------------------------------------------------------------------------------------------------------


def test_neither_the_upstreams_password_nor_a_token_is_found_anywhere_P5_T24(
    postgres: DebianPostgres, database: str, tmp_path: Path
) -> None:
    with made(postgres, tmp_path) as gateway:
        site = Site(gateway, postgres)
        tokens = [site.token(f"canary{n}") for n in range(3)]
        canaries = [postgres.passwords["app"], *tokens, *(token.rpartition(".")[2] for token in tokens)]
        replies: list[str] = []
        with psycopg.connect(site.through(database, tokens[0]), autocommit=True) as connection:
            connection.execute("SELECT 1")
            for wrong in ("SELEC", "SELECT 1/0", "SET client_encoding = latin1"):
                with pytest.raises(psycopg.Error) as caught:
                    connection.execute(wrong.encode())
                replies.append(str(caught.value))
            for pid in [gateway.pid, *children(gateway.pid)]:
                proc = Path("/proc") / str(pid)
                replies.append((proc / "cmdline").read_bytes().decode(errors="replace"))
                replies.append((proc / "environ").read_bytes().decode(errors="replace"))
            replies.append(site.gateway.run("sessions", "list", "--json"))
        with pytest.raises(psycopg.OperationalError) as refused:
            psycopg.connect(site.through("no_such_database", tokens[1]))
        replies.append(str(refused.value))
        with pytest.raises(psycopg.OperationalError) as refused:
            psycopg.connect(site.through(database, tokens[2] + "x"))
        replies += [str(refused.value), site.gateway.run("log", "tail", "-n", "1000", "--json")]
        sessions = {e["session"] for e in site.entries() if e.get("session")}
        gateway.stop()
        reader = RecordingReader(gateway.folder / "var")
        replies += [bytes(r.payload.content).decode(errors="replace") for s in sessions for r in reader.session(s)]
        replies += [
            path.read_bytes().decode(errors="replace") for path in (gateway.folder / "var").rglob("*") if path.is_file()
        ]
        replies.append(gateway.output)
    assert len(replies) > 20
    assert not [(canary[:12], text[:80]) for canary in canaries for text in replies if canary in text]


# --- P9 -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("approver", "says"),
    [
        ({"subject": "reviewer", "kind": "agent", "groups": ["dba"]}, "only people approve"),
        ({"subject": "alice", "groups": ["dba"]}, "behalf"),
        ({"subject": "other", "groups": ["dba"], "person": "alice"}, "behalf"),
        ({"subject": "bob", "groups": ["readers"]}, "somebody of dba"),
    ],
    ids=["the agent itself", "the person behind it", "another account of that person", "somebody of another group"],
)
def test_approval_by_the_wrong_one_is_refused_P9_T21(
    starter: Site, database: str, approver: dict[str, Any], says: str
) -> None:
    agent = starter.token("reviewer", kind="agent", groups=["readers", "writers"], person="alice")
    with psycopg.connect(starter.through(database, agent), autocommit=True) as connection:
        notices = Notices().listen(connection)
        outcome: list[BaseException] = []

        def delete() -> None:
            try:
                connection.execute("DELETE FROM order_lines")
            except psycopg.Error as error:
                outcome.append(error)

        thread = threading.Thread(target=delete, daemon=True)
        thread.start()
        approval = notices.approval()
        with pytest.raises(ControlError) as refused:
            starter.decide(approval, "approve", starter.token(**approver))
        starter.decide(approval, "deny", starter.token("dora", groups=["dba"]))
        thread.join(WAIT_SECONDS)
        assert [getattr(error, "sqlstate", "") for error in outcome] == ["42501"]
    assert says in refused.value.message
    assert starter.postgres.administer("SELECT count(*) FROM order_lines", database=database) == [(1500,)]


# --- P10 ------------------------------------------------------------------------------------------------------------


def test_statement_over_the_limit_is_refused_and_the_session_goes_on_P10(starter: Site, database: str) -> None:
    before = starter.postgres.log_position()
    with psycopg.connect(starter.through(database), autocommit=True) as connection:
        for size in (1024 * 1024 + 100, 70 * 1024 * 1024):
            with pytest.raises(psycopg.Error) as caught:
                connection.execute(f"SELECT '{'x' * size}'".encode())
            assert caught.value.sqlstate == "54000"
            assert connection.execute("SELECT 1").fetchone() == (1,)
    assert all(len(entry.text) < 100_000 for entry in starter.postgres.statements(before, database=database))


def test_more_connections_than_allowed_are_turned_away_in_the_protocols_words_P10(
    postgres: DebianPostgres, database: str, tmp_path: Path
) -> None:
    limits = "[limits]\nconnections = 6\nconnections_per_principal = 3\n"
    with made(postgres, tmp_path, sections=limits) as gateway:
        site = Site(gateway, postgres)
        tokens = [site.token("one"), site.token("two")]
        taken = [psycopg.connect(site.through(database, tokens[0])) for _ in range(3)]
        with pytest.raises(psycopg.OperationalError, match="too many sessions open"):
            psycopg.connect(site.through(database, tokens[0]))
        taken += [psycopg.connect(site.through(database, tokens[1])) for _ in range(3)]
        with pytest.raises(psycopg.OperationalError, match="too many clients"):
            psycopg.connect(site.through(database, site.token("three"), sslmode="disable"))
        for connection in taken:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            connection.close()
