"""Dialogues of the PostgreSQL mediator: the shared contract, and what goes through all its parts."""

import pytest

from interlock.core.commands import (
    Ask,
    CancelRequested,
    CancelUpstream,
    Done,
    FromClient,
    FromUpstream,
    Held,
    Killed,
    Learned,
    Lookup,
    Tick,
    ToUpstream,
    UpstreamClosed,
    Withdraw,
)
from interlock.core.permit import Permit, SessionPermit
from interlock.protocols.postgres.limits import Limits
from interlock.protocols.postgres.replies import FAILING_PARSE
from interlock.wire.postgres import backend
from interlock.wire.postgres.frontend import Bind, Close, Describe, Execute, Flush, FunctionCall, Parse
from interlock.wire.postgres.replies import error_response
from tests.protocols.contract import MediatorContract
from tests.protocols.dialogue import Dialogue
from tests.protocols.postgres.conversation import (
    CATALOGUE,
    READY,
    READY_T,
    ROW_DESCRIPTION,
    SYNC,
    complete,
    opened,
    query,
    row,
    run,
    sqlstates,
    ticking,
)


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


COPY_IN = b"G\0\0\0\x07\0\0\0"


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
    talk.gives(FromUpstream(complete("COPY 0") + READY), Learned(CATALOGUE))
    talk.gives(FromClient(query("SELECT n FROM t1")))
    talk.permit()
    talk.gives(FromUpstream(complete("SELECT 0") + READY))
    assert talk.closed is None
    assert talk.the(Done).outcome.tag == "SELECT 0"


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


def test_client_calls_a_function_by_the_fast_path_and_is_refused_T7() -> None:
    talk = opened()
    talk.gives(FromClient(FunctionCall(1598, (), (), 0).encode()))
    refusal = talk.the(Ask).refusal
    assert refusal is not None
    talk.deny(code="unsupported")
    assert sqlstates(talk.take_client()) == ["0A000"]
    assert not talk.take_upstream()


def test_code_was_run_and_the_catalogue_is_in_doubt_until_it_is_read_again_T4() -> None:
    talk = opened()
    run(talk, "DO $$BEGIN PERFORM 1; END$$", complete("DO") + READY)
    assert talk.the(Lookup).refresh
    talk.gives(FromClient(query("SELECT lower(n) FROM t1")))
    assert talk.asked[-1].action.text.startswith("DO")


def test_client_cancels_while_its_statement_runs_and_the_upstream_is_asked_to_stop() -> None:
    talk = opened()
    talk.gives(CancelRequested())
    assert talk.commands == []
    talk.gives(FromClient(query("SELECT n FROM t1")))
    talk.permit()
    talk.gives(CancelRequested())
    assert talk.commands == [CancelUpstream()]


def test_an_operator_kills_the_session_while_a_statement_is_held_and_it_is_withdrawn() -> None:
    talk = opened()
    talk.gives(FromClient(query("DELETE FROM orders")))
    talk.gives(Killed("revoked", "the token was revoked"))
    assert talk.the(Withdraw).action_id == talk.asked[0].action.id
    assert sqlstates(talk.take_client()) == ["57P01"]
    assert not talk.take_upstream()


def test_client_says_goodbye_and_its_portals_end_with_it() -> None:
    talk = opened()
    talk.gives(FromClient(Parse(b"", b"SELECT n FROM t1").encode()))
    talk.permit()
    talk.gives(FromClient(Bind(b"p", b"").encode() + SYNC))
    talk.permit()
    talk.gives(FromUpstream(backend.PARSE_COMPLETE + backend.BIND_COMPLETE + READY_T))
    talk.take_upstream()
    talk.gives(FromClient(b"X\0\0\0\4"))
    assert talk.take_upstream() == b"X\0\0\0\4"
    assert talk.the(Done).outcome.status == "ok"
    assert talk.closed == "client_closed"


def test_client_says_goodbye_among_what_the_server_skips() -> None:
    talk = opened()
    talk.gives(FromClient(Parse(b"", b"DELETE FROM orders").encode() + b"X\0\0\0\4"))
    talk.deny()
    assert talk.closed == "client_closed"


def test_upstream_hangs_up_without_a_word_and_the_client_is_told() -> None:
    talk = opened()
    talk.gives(FromClient(query("SELECT n FROM t1")))
    talk.permit()
    talk.gives(UpstreamClosed())
    assert sqlstates(talk.take_client()) == ["57P01"]
    assert (talk.closed, talk.the(Done).outcome.status) == ("upstream_closed", "unknown")


def test_upstream_hangs_up_inside_a_row_and_no_error_is_put_into_it_T6() -> None:
    talk = opened()
    talk.gives(FromClient(query("SELECT n FROM t1")))
    talk.permit()
    talk.gives(FromUpstream((ROW_DESCRIPTION + row("x" * 300_000))[:200_000]), UpstreamClosed())
    assert talk.take_client().endswith(b"x")


def test_client_sends_a_message_that_only_a_server_may_send_and_its_connection_ends_T1() -> None:
    talk = opened()
    talk.gives(FromClient(READY))
    assert talk.closed == "client_protocol"


def test_a_catalogue_of_another_protocol_is_a_bug_and_never_taken() -> None:
    with pytest.raises(TypeError):
        opened().mediator.step(Learned("tables"))


def test_client_sends_data_for_a_copy_that_is_behind_a_barrier_and_it_waits_T6() -> None:
    talk = opened()
    talk.gives(FromClient(query("SET search_path = a") + b"d\0\0\0\x071\t\n"))
    talk.permit()
    assert b"1\t\n" not in talk.take_upstream()
    talk.gives(FromUpstream(complete("SET") + READY))
    assert b"1\t\n" not in talk.take_upstream()
    assert talk.closed is None
