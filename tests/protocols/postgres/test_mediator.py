"""Dialogues of the PostgreSQL mediator: the shared contract, and what is PostgreSQL's own."""

import struct

import pytest

from interlock.analysis.postgres.analyser import Analyser
from interlock.core.commands import (
    Analyse,
    Analysed,
    Ask,
    Authenticate,
    Authenticated,
    CancelUpstream,
    Dial,
    DialFailed,
    Dialled,
    Done,
    FromClient,
    FromUpstream,
    Held,
    Learned,
    Lookup,
    Refused,
    Tick,
    ToUpstream,
    UpstreamClosed,
    Withdraw,
)
from interlock.core.decision import Deny, Obligations
from interlock.core.errors import LimitExceeded
from interlock.core.permit import Permit, SessionPermit
from interlock.core.secret import Secret
from interlock.core.session import Session
from interlock.protocols.postgres.limits import Limits
from interlock.protocols.postgres.mediator import PostgresMediator
from interlock.protocols.postgres.replies import FAILING_PARSE, FAILING_QUERY
from interlock.wire.postgres import backend
from interlock.wire.postgres.authentication import PasswordMessage
from interlock.wire.postgres.frontend import Bind, Close, Describe, Execute, Flush, FunctionCall, Parse, Query, Sync
from interlock.wire.postgres.replies import error_response
from interlock.wire.postgres.startup import PROTOCOL_3_0, PROTOCOL_3_2, StartupMessage
from tests.protocols.contract import MediatorContract
from tests.protocols.dialogue import Dialogue, a_session, a_session_permit

ANALYSER = Analyser()
SYNC = Sync().encode()
READY = b"Z\0\0\0\5I"
READY_T = b"Z\0\0\0\5T"
READY_E = b"Z\0\0\0\5E"
ROW_DESCRIPTION = b"T" + struct.pack("!IH", 4 + 2 + 2 + 18, 1) + b"n\0" + struct.pack("!IhIhih", 0, 0, 23, 4, -1, 0)


def query(text: str) -> bytes:
    return Query(text.encode()).encode()


def row(value: str) -> bytes:
    raw = value.encode()
    return b"D" + struct.pack("!IH", 4 + 2 + 4 + len(raw), 1) + struct.pack("!I", len(raw)) + raw


def complete(tag: str) -> bytes:
    return backend.CommandComplete(tag).encode()


def sqlstates(data: bytes) -> list[str]:
    return [part.split(b"\0")[0].decode() for part in data.split(b"\0C")[1:] if len(part.split(b"\0")[0]) == 5]


def greeted(talk: Dialogue, session: Session, parameters: dict[str, str], version: int = PROTOCOL_3_0) -> None:
    """Everything up to the point where settings are asked about (or the upstream is dialled)."""
    talk.gives(FromClient(StartupMessage(version, parameters).encode()))
    talk.gives(FromClient(PasswordMessage(Secret("tok")).encode()))
    talk.gives(Authenticated(session, a_session_permit(session)))


def opened(limits: Limits | None = None, **session: object) -> Dialogue:
    """An open and idle session."""
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=limits or Limits()))
    greeted(talk, a_session(**session), {"user": "shop", "database": "shop"})
    talk.gives(Dialled({"server_version": "18.1", "client_encoding": "UTF8"}, (7, b"abcd")), Learned(None))
    assert talk.take_client().endswith(READY)
    talk.asked.clear()
    talk.permits.clear()
    return talk


def ticking(talk: Dialogue) -> bool:
    return talk.mediator.wants_ticks


def run(talk: Dialogue, text: str, answer: bytes) -> None:
    """A Query that is permitted and answered."""
    talk.gives(FromClient(query(text)))
    talk.permit()
    talk.gives(FromUpstream(answer))


class TestPostgresKeepsTheContract(MediatorContract):
    """Simple protocol."""

    def open(self) -> Dialogue:
        return opened()

    def read_request(self, number: int) -> bytes:
        return query(f"SELECT n FROM t{number}")

    def risky_request(self) -> bytes:
        return query("DELETE FROM orders")

    def unreadable_request(self) -> bytes:
        return query("SELEKT 1")

    def broken_bytes(self) -> bytes:
        return b"Q\0\0\0\1"

    def answer_to(self, number: int) -> bytes:
        return ROW_DESCRIPTION + row(f"t{number}") + complete("SELECT 1") + READY

    def is_refusal(self, data: bytes) -> bool:
        return data.startswith(b"E") and sqlstates(data) == ["42501"] and data.endswith(READY)

    def shows(self, data: bytes, number: int) -> bool:
        return f"t{number}".encode() in data


class TestPostgresKeepsTheContractInTheExtendedProtocol(TestPostgresKeepsTheContract):
    """A statement prepared beforehand, then Bind, Describe, Execute, Sync."""

    def open(self) -> Dialogue:
        talk = opened()
        prepared = {f"s{n}": f"SELECT n FROM t{n}" for n in (1, 2, 3)} | {"risky": "DELETE FROM orders"}
        for name, text in prepared.items():
            talk.gives(FromClient(Parse(name.encode(), text.encode()).encode() + SYNC))
            talk.permit()
            talk.gives(FromUpstream(backend.PARSE_COMPLETE + READY))
        talk.asked.clear()
        talk.done.clear()
        talk.recorded.clear()
        talk.take_client()
        talk.take_upstream()
        return talk

    def _bound(self, statement: str) -> bytes:
        return Bind(b"", statement.encode()).encode() + Describe("P", b"").encode() + Execute(b"").encode() + SYNC

    def read_request(self, number: int) -> bytes:
        return self._bound(f"s{number}")

    def risky_request(self) -> bytes:
        return self._bound("risky")

    def unreadable_request(self) -> bytes:
        return Parse(b"", b"SELEKT 1").encode() + SYNC

    def answer_to(self, number: int) -> bytes:
        return backend.BIND_COMPLETE + ROW_DESCRIPTION + row(f"t{number}") + complete("SELECT 1") + READY

    def flow(self) -> bytes:
        return READY

    def is_refusal(self, data: bytes) -> bool:
        return sqlstates(data) == ["42501"]

    def shows(self, data: bytes, number: int) -> bool:
        return f"s{number}\0".encode() in data or f"t{number}".encode() in data

    # The denial's text goes up in the message's place, so these four are told apart below.
    def test_client_is_denied_in_its_own_protocol_and_the_session_goes_on_P10(self) -> None:
        talk = self.open()
        talk.gives(FromClient(self.risky_request()))
        talk.deny()
        assert talk.take_upstream() == FAILING_PARSE + SYNC
        assert all(isinstance(permit, SessionPermit) for permit in talk.permits[-1:])
        talk.gives(FromUpstream(error_response("ERROR", "42601", "syntax error") + READY))
        down = talk.take_client()
        assert self.is_refusal(down)
        assert down.endswith(READY)
        assert talk.closed is None

    def test_client_sends_what_cannot_be_understood_and_it_is_asked_about_as_unknown_P2(self) -> None:
        talk = self.open()
        talk.gives(FromClient(self.unreadable_request()))
        assert talk.the(Ask).action.leaves == ("unknown/postgres.unparsed",)
        talk.deny()
        assert b"SELEKT" not in talk.take_upstream()

    def test_client_cancels_while_a_request_is_held_and_it_is_withdrawn(self) -> None:
        talk = self.open()
        talk.gives(FromClient(self.risky_request()))
        talk.deny(code="withdrawn")
        assert b"risky" not in talk.take_upstream()
        talk.gives(FromUpstream(error_response("ERROR", "42601", "syntax error") + READY))
        assert sqlstates(talk.take_client()) == ["57014"]

    def test_client_sends_a_second_request_while_the_first_is_held(self) -> None:
        talk = self.open()
        talk.gives(FromClient(self.risky_request() + self.read_request(2)))
        assert len(talk.asked) == 1
        talk.deny(code="hold_denied")
        assert len(talk.asked) == 2
        assert b"risky" not in talk.take_upstream()

    def test_an_approved_request_runs_from_the_gateways_own_copy_P3(self) -> None:
        talk = self.open()
        talk.gives(FromClient(self.read_request(1)))
        stored = talk.the(Ask).action.payload
        talk.permit(stored=stored)
        assert self.shows(talk.take_upstream(), 1)

    def test_recorder_is_unavailable_and_the_request_does_not_run_P1(self) -> None:
        talk = self.open()
        talk.gives(FromClient(self.read_request(1)))
        talk.deny(code="audit_unavailable")
        assert not self.shows(talk.take_upstream(), 1)
        talk.gives(FromUpstream(error_response("ERROR", "42601", "syntax error") + READY))
        assert sqlstates(talk.take_client()) == ["58030"]


# --- opening ---


def test_client_gives_its_token_and_nothing_is_dialled_before_the_session_is_on_record() -> None:
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=Limits()))
    talk.gives(FromClient(StartupMessage(PROTOCOL_3_0, {"user": "shop", "database": "main"}).encode()))
    assert talk.take_client() == b"R\0\0\0\x08\0\0\0\x03"
    talk.gives(FromClient(PasswordMessage(Secret("tok")).encode()))
    asked = talk.the(Authenticate)
    assert (asked.resource, asked.database, asked.credential.reveal()) == ("shop", "main", "tok")
    assert not talk.all(Dial)
    session = a_session()
    talk.gives(Authenticated(session, a_session_permit(session)))
    assert talk.the(Dial).parameters["client_encoding"] == "UTF8"
    assert talk.the(Dial).parameters["standard_conforming_strings"] == "on"
    assert talk.all(Lookup)


def test_client_starts_with_settings_and_they_are_asked_about_as_the_set_that_they_equal_T10() -> None:
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=Limits()))
    options = r"-c role=dba --search-path=a\ b -cgeqo=off"
    greeted(talk, a_session(), {"user": "shop", "application_name": "psql", "options": options})
    action = talk.the(Ask).action
    assert any(leaf.startswith("admin/") for leaf in action.leaves)
    assert {"role", "search_path", "geqo", "application_name"} <= set(action.facts["settings"])  # type: ignore[arg-type]
    assert not talk.all(Dial)
    talk.deny()
    assert talk.closed == "policy_denied"
    assert sqlstates(talk.take_client()) == ["42501"]


def test_client_starts_with_harmless_settings_and_they_reach_the_upstream_once_permitted() -> None:
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=Limits()))
    greeted(talk, a_session(), {"user": "shop", "application_name": "psql", "options": "-c geqo=off"})
    talk.permit()
    dialled = talk.the(Dial).parameters
    assert dialled["geqo"] == "off"
    assert dialled["application_name"] == "psql"
    assert "options" not in dialled


@pytest.mark.parametrize("options", ["-d 5", "--", "-c", "-c x", "-p5432", "geqo=off"])
def test_client_starts_with_switches_that_are_no_settings_and_is_refused(options: str) -> None:
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=Limits()))
    talk.gives(FromClient(StartupMessage(PROTOCOL_3_0, {"user": "shop", "options": options}).encode()))
    assert talk.closed == "client_protocol"


def test_client_asks_for_another_encoding_and_is_refused_T5() -> None:
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=Limits()))
    talk.gives(FromClient(StartupMessage(PROTOCOL_3_0, {"user": "shop", "client_encoding": "SJIS"}).encode()))
    assert talk.closed == "encoding"
    assert sqlstates(talk.take_client()) == ["0A000"]


def test_client_asks_for_replication_and_is_refused_T9() -> None:
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=Limits()))
    greeted(talk, a_session(), {"user": "shop", "replication": "database"})
    assert talk.closed == "unsupported"
    assert not talk.all(Dial)


def test_client_asks_for_a_newer_protocol_and_is_told_the_newest_that_there_is() -> None:
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=Limits()))
    version = 3 << 16 | 9999
    talk.gives(FromClient(StartupMessage(version, {"user": "shop", "_pq_.x": "1"}).encode()))
    wanted = backend.NegotiateProtocolVersion(PROTOCOL_3_2, ("_pq_.x",)).encode()
    assert talk.take_client().startswith(wanted)
    talk.gives(FromClient(PasswordMessage(Secret("tok")).encode()))
    session = a_session()
    talk.gives(Authenticated(session, a_session_permit(session)))
    assert talk.the(Dial).cancel_secret_bytes == 32


def test_client_speaks_protocol_2_and_is_refused() -> None:
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=Limits()))
    talk.gives(FromClient(StartupMessage(2 << 16, {"user": "shop"}).encode()))
    assert sqlstates(talk.take_client()) == ["0A000"]
    assert talk.closed


def test_clients_token_is_refused_and_it_learns_no_more_than_that() -> None:
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=Limits()))
    talk.gives(FromClient(StartupMessage(PROTOCOL_3_0, {"user": "shop"}).encode()))
    talk.gives(FromClient(PasswordMessage(Secret("tok-4711")).encode()))
    talk.gives(Refused(Deny("authentication", "it is not valid here")))
    down = talk.take_client()
    assert sqlstates(down) == ["28P01"]
    assert b"tok-4711" not in down
    assert talk.closed == "authentication"


def test_upstream_cannot_be_dialled_and_the_client_is_told_so() -> None:
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=Limits()))
    greeted(talk, a_session(), {"user": "shop"})
    talk.gives(DialFailed("upstream_tls"))
    assert sqlstates(talk.take_client()) == ["08001"]
    assert talk.closed == "upstream_tls"


def test_a_read_only_session_is_read_only_upstream_too() -> None:
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=Limits()))
    greeted(talk, a_session(read_only=True), {"user": "shop"})
    assert talk.the(Dial).parameters["default_transaction_read_only"] == "on"


def test_upstream_talks_before_the_client_is_welcome_and_the_order_is_kept() -> None:
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=Limits()))
    greeted(talk, a_session(), {"user": "shop"})
    notice = b"N" + error_response("NOTICE", "01000", "early")[1:]
    talk.take_client()
    talk.gives(Dialled({}, (1, b"abcd")), FromUpstream(notice))
    assert talk.take_client() == b""
    talk.gives(Learned(None))
    down = talk.take_client()
    assert down.startswith(b"R")
    assert down.endswith(notice)


# --- transactions and denials ---


def test_client_is_denied_inside_a_transaction_and_the_upstream_fails_too_P10() -> None:
    talk = opened()
    run(talk, "BEGIN", complete("BEGIN") + READY_T)
    talk.take_upstream()
    talk.take_client()
    talk.gives(FromClient(query("DELETE FROM orders")))
    talk.deny()
    assert talk.take_upstream() == FAILING_QUERY
    assert isinstance(talk.permits[-1], SessionPermit)
    talk.gives(FromUpstream(error_response("ERROR", "42601", "syntax error") + READY_E))
    down = talk.take_client()
    assert sqlstates(down) == ["42501"]
    assert down.endswith(READY_E)


def test_client_sends_a_syntax_error_and_gets_the_parsers_own_error_with_its_position() -> None:
    talk = opened()
    talk.gives(FromClient(query("SELECT 1 FROM WHERE")))
    talk.deny()
    down = talk.take_client()
    assert sqlstates(down) == ["42601"]
    assert b"P15\0" in down


def test_client_is_denied_in_a_batch_and_what_follows_until_sync_is_skipped_T3() -> None:
    talk = opened()
    batch = (
        Parse(b"", b"DELETE FROM orders").encode()
        + Bind(b"", b"").encode()
        + Execute(b"").encode()
        + Parse(b"later", b"SELECT 1").encode()
    )
    talk.gives(FromClient(batch))
    talk.deny()
    assert len(talk.asked) == 1
    assert talk.take_upstream() == FAILING_PARSE
    talk.gives(FromClient(SYNC))
    assert talk.take_upstream() == SYNC
    talk.gives(FromUpstream(error_response("ERROR", "42601", "syntax error") + READY))
    talk.gives(FromClient(Bind(b"", b"later").encode() + SYNC))
    assert FAILING_PARSE in talk.take_upstream()


def test_a_parse_is_asked_about_with_what_it_prepares() -> None:
    talk = opened()
    talk.gives(FromClient(Parse(b"s", b"DELETE FROM orders").encode()))
    action = talk.the(Ask).action
    assert action.leaves == ("session/postgres.parse",)
    assert "destroy/postgres.delete" in action.foreseen


# --- names and order (T3) ---


def test_client_renames_a_prepared_statement_and_bind_is_decided_by_what_the_server_has_T3() -> None:
    talk = opened()
    talk.gives(FromClient(Parse(b"s", b"SELECT n FROM t1").encode() + SYNC))
    talk.permit()
    talk.gives(FromUpstream(backend.PARSE_COMPLETE + READY))
    talk.gives(FromClient(Close("S", b"s").encode() + Parse(b"s", b"DELETE FROM orders").encode()))
    talk.permit()
    talk.gives(FromClient(Bind(b"", b"s").encode()))
    assert "destroy/postgres.delete" in talk.the(Ask).action.leaves


def test_a_pipelined_close_fails_and_bind_in_the_next_batch_waits_for_the_truth_T3() -> None:
    talk = opened()
    talk.gives(FromClient(Parse(b"s", b"DELETE FROM orders").encode() + SYNC))
    talk.permit()
    talk.gives(FromUpstream(backend.PARSE_COMPLETE + READY))
    # The first message of this batch will fail upstream, so Close and Parse behind it never happen there.
    talk.gives(FromClient(Parse(b"x", b"SELECT nope").encode() + Close("S", b"s").encode()))
    talk.permit()
    talk.gives(FromClient(Parse(b"s", b"SELECT n FROM t1").encode() + SYNC + Bind(b"", b"s").encode() + SYNC))
    talk.permit()
    assert len(talk.asked) == 3
    talk.gives(FromUpstream(error_response("ERROR", "42703", 'column "nope" does not exist')))
    assert len(talk.asked) == 4
    assert "destroy/postgres.delete" in talk.asked[-1].action.leaves


def test_client_prepares_by_sql_and_execute_has_the_effects_of_what_it_names() -> None:
    talk = opened()
    run(talk, "PREPARE d AS DELETE FROM orders", complete("PREPARE") + READY)
    talk.gives(FromClient(query("EXECUTE d")))
    assert "destroy/postgres.delete" in talk.the(Ask).action.leaves


def test_a_prepare_by_sql_failed_and_the_name_keeps_its_old_meaning_T3() -> None:
    talk = opened()
    run(talk, "PREPARE d AS DELETE FROM orders", complete("PREPARE") + READY)
    run(talk, "PREPARE d AS SELECT 1", error_response("ERROR", "42P05", "already exists") + READY)
    talk.gives(FromClient(query("EXECUTE d")))
    assert "destroy/postgres.delete" in talk.the(Ask).action.leaves


def test_a_batch_redefines_the_name_that_it_executes_and_counts_as_not_known_T3() -> None:
    talk = opened()
    run(talk, "PREPARE d AS DELETE FROM orders", complete("PREPARE") + READY)
    talk.gives(FromClient(query("EXECUTE d; DEALLOCATE d; PREPARE d AS SELECT 1")))
    leaves = talk.the(Ask).action.leaves
    assert any(leaf.startswith(("unknown/", "execute/", "destroy/")) for leaf in leaves)


def test_client_binds_what_was_never_prepared_and_the_server_never_hears_of_it_T3() -> None:
    talk = opened()
    talk.gives(FromClient(Bind(b"", b"ghost").encode() + Execute(b"").encode() + SYNC))
    assert not talk.asked
    assert talk.take_upstream() == FAILING_PARSE + SYNC
    talk.gives(FromUpstream(error_response("ERROR", "42601", "syntax error") + READY))
    assert sqlstates(talk.take_client()) == ["26000"]


def test_client_executes_a_portal_again_after_it_ended_and_is_asked_again() -> None:
    talk = opened()
    talk.gives(FromClient(Parse(b"", b"SELECT n FROM t1").encode()))
    talk.permit()
    talk.gives(FromClient(Bind(b"p", b"").encode()))
    talk.permit()
    talk.gives(FromClient(Execute(b"p").encode() + Flush().encode()))
    talk.gives(FromUpstream(backend.PARSE_COMPLETE + backend.BIND_COMPLETE + row("1") + complete("SELECT 1")))
    before = len(talk.asked)
    talk.gives(FromClient(Execute(b"p").encode()))
    assert len(talk.asked) == before + 1


def test_client_changes_the_role_between_bind_and_execute_and_is_asked_again_T19() -> None:
    talk = opened()
    run(talk, "BEGIN", complete("BEGIN") + READY_T)
    talk.gives(FromClient(Parse(b"", b"SELECT n FROM t1").encode()))
    talk.permit()
    talk.gives(FromClient(Bind(b"p", b"").encode() + SYNC))
    talk.permit()
    talk.gives(FromUpstream(backend.PARSE_COMPLETE + backend.BIND_COMPLETE + READY_T))
    first = talk.asked[-1].action
    run(talk, "SET search_path = evil", complete("SET") + READY_T)
    talk.gives(FromClient(Execute(b"p").encode()))
    again = talk.the(Ask).action
    assert again.leaves == first.leaves
    assert again.digest != first.digest


def test_parameters_are_part_of_what_is_decided_and_recorded_T19() -> None:
    talk = opened()
    talk.gives(FromClient(Parse(b"", b"DELETE FROM orders WHERE id = $1").encode()))
    talk.permit()
    talk.gives(FromClient(Bind(b"", b"", (), (b"1",)).encode()))
    first = talk.the(Ask).action
    talk.permit()
    talk.gives(FromClient(Bind(b"", b"", (), (b"2",)).encode()))
    second = talk.the(Ask).action
    assert first.digest != second.digest
    assert first.parameters == (b"1",)
    assert b"DELETE FROM orders WHERE id = $1" in second.payload


# --- settings and barriers ---


def test_a_statement_that_may_change_settings_is_finished_before_the_next_is_read_T5() -> None:
    talk = opened()
    talk.gives(FromClient(query("SET search_path = a") + query("SELECT n FROM t1")))
    talk.permit()
    assert len(talk.asked) == 1
    talk.gives(FromUpstream(complete("SET") + READY))
    assert len(talk.asked) == 2


def test_a_barrier_in_the_extended_protocol_makes_the_server_answer_by_a_flush() -> None:
    talk = opened()
    talk.gives(FromClient(Parse(b"", b"SET search_path = a").encode()))
    talk.permit()
    talk.gives(FromClient(Bind(b"", b"").encode()))
    talk.permit()
    talk.gives(FromClient(Execute(b"").encode() + Parse(b"", b"SELECT n FROM t1").encode()))
    assert talk.take_upstream().endswith(Flush().encode())
    talk.gives(FromUpstream(backend.PARSE_COMPLETE + backend.BIND_COMPLETE + complete("SET")))
    assert talk.asked[-1].action.text == "SELECT n FROM t1"


@pytest.mark.parametrize(
    "text",
    [
        "SET client_encoding = 'SJIS'",
        "SET NAMES 'LATIN1'",
        "SET standard_conforming_strings = off",
        "SELECT set_config('client_encoding', 'BIG5', false)",
        "BEGIN; SET LOCAL client_encoding TO GBK",
    ],
)
def test_client_tries_to_change_how_text_is_read_and_is_refused_whatever_policy_says_T5(text: str) -> None:
    talk = opened()
    talk.gives(FromClient(query(text)))
    refusal = talk.the(Ask).refusal
    assert refusal is not None
    assert refusal.code == "encoding"


def test_upstream_says_that_text_is_read_otherwise_now_and_the_session_ends_T5() -> None:
    talk = opened()
    talk.gives(FromUpstream(backend.ParameterStatus("client_encoding", "SJIS").encode()))
    assert talk.closed == "upstream_protocol"


def test_client_gives_a_reason_and_later_questions_carry_it() -> None:
    talk = opened()
    run(talk, "SET interlock.reason = 'ticket 42'", complete("SET") + READY)
    talk.gives(FromClient(query("DELETE FROM orders")))
    assert talk.the(Ask).reason == "ticket 42"


def test_a_local_reason_ends_with_its_transaction() -> None:
    talk = opened()
    run(talk, "BEGIN", complete("BEGIN") + READY_T)
    run(talk, "SET LOCAL interlock.reason = 'once'", complete("SET") + READY_T)
    talk.gives(FromClient(query("SELECT n FROM t1")))
    assert talk.the(Ask).reason == "once"
    talk.permit()
    talk.gives(FromUpstream(complete("SELECT 0") + READY_T))
    run(talk, "COMMIT", complete("COMMIT") + READY)
    talk.gives(FromClient(query("SELECT n FROM t1")))
    assert talk.the(Ask).reason is None


def test_client_makes_a_function_and_the_catalogue_is_read_again_after_the_transaction() -> None:
    talk = opened()
    run(talk, "BEGIN", complete("BEGIN") + READY_T)
    text = "CREATE FUNCTION lower(x int) RETURNS int LANGUAGE sql AS 'SELECT 1'"
    run(talk, text, complete("CREATE FUNCTION") + READY_T)
    assert not talk.all(Lookup)
    run(talk, "COMMIT", complete("COMMIT") + READY)
    assert talk.the(Lookup).refresh


# --- COPY ---

COPY_IN = b"G\0\0\0\x07\0\0\0"


def test_client_streams_copy_data_under_the_commands_permit_and_it_is_digested() -> None:
    talk = opened()
    talk.gives(FromClient(query("COPY items FROM STDIN")))
    permit = talk.permit()
    assert permit
    talk.take_upstream()
    talk.gives(FromUpstream(COPY_IN))
    data = b"d\0\0\0\x071\t\n" + b"c\0\0\0\4"
    talk.gives(FromClient(data))
    up = talk.the(ToUpstream)
    assert up.data == data
    assert isinstance(up.permit, Permit)
    talk.gives(FromUpstream(complete("COPY 1") + READY))
    outcome = talk.the(Done).outcome
    assert outcome.data_bytes == len(data)
    assert outcome.data_digest


def test_client_sends_copy_data_that_nothing_asked_for_and_it_is_dropped_T6() -> None:
    talk = opened()
    talk.gives(FromClient(b"d\0\0\0\x071\t\n" + b"c\0\0\0\4"))
    assert not talk.take_upstream()
    assert talk.closed is None


def test_client_sends_copy_data_before_the_server_is_ready_for_it_and_it_waits() -> None:
    talk = opened()
    talk.gives(FromClient(query("COPY items FROM STDIN") + b"d\0\0\0\x071\t\n"))
    talk.permit()
    assert b"1\t\n" not in talk.take_upstream()
    talk.gives(FromUpstream(COPY_IN))
    assert b"1\t\n" in talk.take_upstream()


def test_syncs_sent_before_copy_took_data_are_not_waited_for() -> None:
    talk = opened()
    talk.gives(FromClient(Parse(b"", b"COPY items FROM STDIN").encode()))
    talk.permit()
    talk.gives(FromClient(Bind(b"", b"").encode()))
    talk.permit()
    talk.gives(FromClient(Execute(b"").encode() + SYNC))
    talk.gives(FromUpstream(backend.PARSE_COMPLETE + backend.BIND_COMPLETE + COPY_IN))
    talk.gives(FromClient(b"c\0\0\0\4" + SYNC))
    talk.gives(FromUpstream(complete("COPY 0") + READY))
    talk.gives(FromClient(query("SELECT n FROM t1")))
    talk.permit()
    talk.gives(FromUpstream(complete("SELECT 0") + READY))
    assert talk.closed is None
    assert talk.the(Done).outcome.tag == "SELECT 0"


# --- holds, limits, ends ---


def test_client_hears_at_once_and_at_an_interval_that_its_statement_is_held() -> None:
    talk = opened(Limits(notice_seconds=30))
    talk.gives(FromClient(query("DELETE FROM orders")))
    ask = talk.the(Ask)
    talk.gives(Held(ask.action.id, "apr-7", ("dba",), 1800))
    first = talk.take_client()
    assert first.startswith(b"N")
    assert b"apr-7" in first
    assert ticking(talk)
    talk.gives(Tick(100.0), Tick(110.0))
    assert not talk.take_client()
    talk.gives(Tick(130.5))
    assert b"waited 30 s" in talk.take_client()
    talk.permit(ask, stored=ask.action.payload)
    assert not ticking(talk)
    assert b"DELETE FROM orders" in talk.take_upstream()


def test_an_earlier_error_of_the_batch_arrives_while_the_next_message_is_held_and_it_is_withdrawn() -> None:
    talk = opened()
    talk.gives(FromClient(Parse(b"a", b"SELECT nope").encode()))
    talk.permit()
    talk.gives(FromClient(Parse(b"b", b"DELETE FROM orders").encode()))
    ask = talk.the(Ask)
    talk.take_upstream()
    talk.gives(FromUpstream(error_response("ERROR", "42703", "no such column")))
    assert talk.the(Withdraw).action_id == ask.action.id
    talk.permit(ask)
    assert not talk.take_upstream()
    assert talk.done[-1].outcome.status == "skipped"


def test_policy_limits_rows_and_the_client_gets_that_many_and_an_error() -> None:
    talk = opened()
    talk.gives(FromClient(query("SELECT n FROM t1")))
    talk.permit(obligations=Obligations(max_rows=2))
    talk.gives(FromUpstream(ROW_DESCRIPTION + row("1") + row("2") + row("3") + row("4")))
    assert talk.all(CancelUpstream)
    talk.gives(FromUpstream(row("5") + error_response("ERROR", "57014", "canceled") + READY))
    down = talk.take_client()
    assert down.count(b"D\0\0\0") == 2
    assert sqlstates(down) == ["54000"]
    assert talk.the(Done).outcome.rows == 2
    assert talk.the(Done).outcome.truncated


def test_the_rows_limit_and_the_upstreams_end_cross_and_the_client_still_gets_an_error() -> None:
    talk = opened()
    talk.gives(FromClient(query("SELECT n FROM t1")))
    talk.permit(obligations=Obligations(max_rows=1))
    talk.gives(FromUpstream(ROW_DESCRIPTION + row("1") + row("2") + complete("SELECT 2") + READY))
    down = talk.take_client()
    assert sqlstates(down) == ["54000"]
    assert down.count(b"D\0\0\0") == 1
    assert down.endswith(READY)


def test_a_statement_over_the_limit_is_refused_and_recorded_and_never_forwarded_P2() -> None:
    talk = opened(Limits(statement_bytes=100))
    talk.gives(FromClient(query("SELECT 1 /*" + "x" * 200 + "*/")))
    ask = talk.the(Ask)
    assert ask.refusal is not None
    assert ask.refusal.code == "too_large"
    talk.deny(ask, code="too_large")
    assert not talk.take_upstream()
    assert sqlstates(talk.take_client()) == ["54000"]
    assert talk.closed is None


def test_a_message_over_the_limit_is_refused_unread_and_the_session_goes_on_P2() -> None:
    talk = opened(Limits(message_bytes=1000))
    talk.gives(FromClient(query("x" * 5000)[:2000]))
    ask = talk.the(Ask)
    assert ask.refusal is not None
    talk.deny(ask, code="too_large")
    talk.gives(FromClient(query("x" * 5000)[2000:] + query("SELECT n FROM t1")))
    assert talk.the(Ask).action.text == "SELECT n FROM t1"


def test_a_large_text_is_analysed_off_the_loop_and_what_follows_waits() -> None:
    talk = opened(Limits(inline_bytes=50))
    text = "SELECT n FROM t1 WHERE x IN (" + ",".join(str(n) for n in range(50)) + ")"
    talk.gives(FromClient(query(text) + query("SELECT n FROM t2")))
    job = talk.the(Analyse)
    assert not talk.asked
    talk.gives(Analysed(job.ticket, ANALYSER.analyse(job.text)))
    assert talk.the(Ask).action.text == text
    talk.permit()
    assert talk.asked[-1].action.text == "SELECT n FROM t2"


def test_the_gateway_has_no_room_to_parse_and_the_text_is_refused() -> None:
    talk = opened(Limits(inline_bytes=50))
    talk.gives(FromClient(query("SELECT " + "1," * 100 + "1")))
    talk.gives(Analysed(talk.the(Analyse).ticket, LimitExceeded("parsing", limit=1, got=2)))
    refusal = talk.the(Ask).refusal
    assert refusal is not None
    assert refusal.code == "overloaded"


def test_client_calls_a_function_by_the_fast_path_and_is_refused_T7() -> None:
    talk = opened()
    talk.gives(FromClient(FunctionCall(1598, (), (), 0).encode()))
    refusal = talk.the(Ask).refusal
    assert refusal is not None
    talk.deny(code="unsupported")
    assert sqlstates(talk.take_client()) == ["0A000"]
    assert not talk.take_upstream()


def test_upstream_sends_rows_that_nothing_asked_for_and_the_session_ends() -> None:
    talk = opened()
    talk.gives(FromUpstream(row("1")))
    assert talk.closed == "upstream_protocol"
    assert b"D\0\0\0" not in talk.take_client()


def test_upstream_says_goodbye_and_the_client_hears_why_once() -> None:
    talk = opened()
    farewell = error_response("FATAL", "57P01", "terminating connection due to administrator command")
    talk.gives(FromUpstream(farewell), UpstreamClosed())
    assert talk.take_client() == farewell
    assert talk.closed == "upstream_closed"


def test_client_sends_a_bind_that_does_not_add_up_and_only_its_batch_fails() -> None:
    talk = opened()
    talk.gives(FromClient(b"B\0\0\0\x08\0\0\0\7" + SYNC))
    assert talk.take_upstream() == FAILING_PARSE + SYNC
    talk.gives(FromUpstream(error_response("ERROR", "42601", "syntax error") + READY))
    assert sqlstates(talk.take_client()) == ["08P01"]
    assert talk.closed is None


def test_ten_thousand_pipelined_denials_are_a_loop_and_not_a_recursion() -> None:
    talk = opened()
    talk.gives(FromClient(query("DELETE FROM orders") * 10_000))
    for _ in range(10_000):
        talk.deny()
    assert talk.take_client().count(READY) == 10_000
    assert not talk.take_upstream()


def test_a_stranger_sends_a_large_query_instead_of_a_password_and_none_of_it_is_held_T30() -> None:
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=Limits()))
    talk.gives(FromClient(StartupMessage(PROTOCOL_3_0, {"user": "shop"}).encode()))
    talk.gives(FromClient(query("x" * 1_000_000)[:500_000]))
    assert talk.closed == "client_protocol"


def test_client_makes_a_table_and_its_next_statement_waits_until_the_catalogue_is_read_again() -> None:
    talk = opened()
    talk.gives(FromClient(query("CREATE TABLE t9 (n int)") + query("SELECT n FROM t9")))
    talk.permit()
    talk.gives(FromUpstream(complete("CREATE TABLE") + READY))
    assert talk.all(Lookup)
    assert len(talk.asked) == 1
    talk.gives(Learned(None))
    assert len(talk.asked) == 2


def test_the_catalogue_cannot_be_read_and_nothing_counts_as_harmless_T4() -> None:
    talk = opened()
    talk.gives(FromClient(query("SELECT lower(n) FROM t1")))
    assert any(leaf.startswith("execute/") for leaf in talk.the(Ask).action.leaves)
