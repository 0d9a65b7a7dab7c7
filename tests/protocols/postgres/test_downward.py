"""What the upstream says: believed only where it was asked for, and noted when it changes what statements mean."""

import struct

import pytest

from interlock.core.commands import (
    Ask,
    CancelUpstream,
    Done,
    FromClient,
    FromUpstream,
    Learned,
    Lookup,
    UpstreamClosed,
    Withdraw,
)
from interlock.core.decision import Obligations
from interlock.core.resource import Resource
from interlock.protocols.postgres.limits import Limits
from interlock.wire.postgres import backend
from interlock.wire.postgres.frontend import Bind, Close, Describe, Execute, Flush, FunctionCall, Parse
from interlock.wire.postgres.replies import error_response
from tests.protocols.dialogue import pieces
from tests.protocols.postgres.conversation import (
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
)


def test_a_prepare_by_sql_failed_and_the_name_keeps_its_old_meaning_T3() -> None:
    talk = opened()
    run(talk, "PREPARE d AS DELETE FROM orders", complete("PREPARE") + READY)
    run(talk, "PREPARE d AS SELECT 1", error_response("ERROR", "42P05", "already exists") + READY)
    talk.gives(FromClient(query("EXECUTE d")))
    assert "destroy/postgres.delete" in talk.the(Ask).action.leaves


def test_upstream_says_that_text_is_read_otherwise_now_and_the_session_ends_T5() -> None:
    talk = opened()
    talk.gives(FromUpstream(backend.ParameterStatus("client_encoding", "SJIS").encode()))
    assert talk.closed == "upstream_protocol"


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


def test_client_makes_a_table_and_its_next_statement_waits_until_the_catalogue_is_read_again() -> None:
    talk = opened()
    talk.gives(FromClient(query("CREATE TABLE t9 (n int)") + query("SELECT n FROM t9")))
    talk.permit()
    talk.gives(FromUpstream(complete("CREATE TABLE") + READY))
    assert talk.all(Lookup)
    assert len(talk.asked) == 1
    talk.gives(Learned(None))
    assert len(talk.asked) == 2


def test_upstream_sends_a_message_over_the_limit_and_the_session_ends_P10() -> None:
    talk = opened(Limits(upstream_message_bytes=100_000))
    talk.gives(FromClient(query("SELECT n FROM t1")))
    talk.permit()
    talk.gives(FromUpstream(b"T" + struct.pack("!I", 200_000)))
    assert talk.closed == "upstream_protocol"
    assert [done.outcome.status for done in talk.done] == ["unknown"]


@pytest.mark.parametrize(
    "said",
    [
        complete("SELECT 1"),
        backend.PARSE_COMPLETE,
        backend.BIND_COMPLETE,
        b"s\0\0\0\4",
        b"d\0\0\0\5x",
        b"V\0\0\0\x08\xff\xff\xff\xff",
        READY,
    ],
)
def test_upstream_answers_what_nobody_asked_and_the_session_ends_T6(said: bytes) -> None:
    talk = opened()
    talk.gives(FromUpstream(said))
    assert talk.closed == "upstream_protocol"


@pytest.mark.parametrize(
    "said", [backend.PARSE_COMPLETE, b"V\0\0\0\x08\xff\xff\xff\xff", b"Z\0\0\0\5X", b"G\0\0\0\7\0\0\0"]
)
def test_upstream_answers_a_query_with_another_messages_reply_and_the_session_ends_T6(said: bytes) -> None:
    talk = opened()
    talk.gives(FromClient(query("SELECT n FROM t1")))
    talk.permit()
    talk.gives(FromUpstream(said))
    assert talk.closed == "upstream_protocol"


def test_a_row_in_pieces_arrives_whole_and_counts_once() -> None:
    talk = opened()
    talk.gives(FromClient(query("SELECT n FROM t1")))
    talk.permit()
    large = row("x" * 300_000)
    for piece in pieces(ROW_DESCRIPTION + large + complete("SELECT 1") + READY, 40_000):
        talk.gives(FromUpstream(piece))
    assert talk.take_client() == ROW_DESCRIPTION + large + complete("SELECT 1") + READY
    assert talk.done[-1].outcome.rows == 1


def test_a_row_in_pieces_beyond_the_row_limit_never_begins() -> None:
    talk = opened()
    talk.gives(FromClient(query("SELECT n FROM t1")))
    talk.permit(obligations=Obligations(max_rows=1))
    whole = ROW_DESCRIPTION + row("y" * 300_000) + row("x" * 300_000) + complete("SELECT 2") + READY
    for piece in pieces(whole, 40_000):
        talk.gives(FromUpstream(piece))
    down = talk.take_client()
    assert down.count(b"y") >= 300_000
    assert b"xx" not in down
    assert sqlstates(down) == ["54000"]
    assert talk.done[-1].outcome.rows == 1


def test_client_describes_its_statement_and_portal_and_both_answers_pass() -> None:
    talk = opened()
    talk.gives(FromClient(Parse(b"s", b"SELECT n FROM t1").encode() + SYNC))
    talk.permit()
    talk.gives(FromUpstream(backend.PARSE_COMPLETE + READY))
    talk.gives(FromClient(Describe("S", b"s").encode()))
    asked = talk.the(Ask).action
    assert (asked.kind, asked.leaves) == ("postgres.describe", ("session/postgres.describe",))
    talk.permit()
    described = b"t\0\0\0\6\0\0" + ROW_DESCRIPTION
    talk.gives(FromUpstream(described))
    assert talk.the(Done).action_id == asked.id
    assert talk.take_client().endswith(described)
    talk.gives(FromClient(Bind(b"p", b"s").encode()))
    talk.permit()
    talk.gives(
        FromClient(Describe("P", b"p").encode() + SYNC), FromUpstream(backend.BIND_COMPLETE + b"n\0\0\0\4" + READY)
    )
    assert talk.take_client() == backend.BIND_COMPLETE + b"n\0\0\0\4" + READY


def test_upstream_describes_parameters_twice_and_the_session_ends_T6() -> None:
    talk = opened()
    talk.gives(FromClient(Parse(b"s", b"SELECT n FROM t1").encode()))
    talk.permit()
    talk.gives(FromClient(Describe("S", b"s").encode()))
    talk.permit()
    talk.gives(FromUpstream(backend.PARSE_COMPLETE + b"t\0\0\0\6\0\0" * 2))
    assert talk.closed == "upstream_protocol"


def test_a_portal_is_read_in_parts_and_its_action_ends_with_the_last() -> None:
    talk = opened()
    talk.gives(FromClient(Parse(b"", b"SELECT n FROM t1").encode()))
    talk.permit()
    talk.gives(FromClient(Bind(b"p", b"").encode()))
    talk.permit()
    bound = talk.asked[-1].action.id
    talk.gives(FromClient(Execute(b"p", 1).encode() + Flush().encode()))
    talk.gives(FromUpstream(backend.PARSE_COMPLETE + backend.BIND_COMPLETE + row("1") + b"s\0\0\0\4"))
    assert bound not in [done.action_id for done in talk.done]
    talk.gives(FromClient(Execute(b"p", 1).encode() + SYNC))
    talk.gives(FromUpstream(row("2") + complete("SELECT 1") + READY))
    done = next(done for done in talk.done if done.action_id == bound)
    assert (done.outcome.rows, done.outcome.status) == (2, "ok")


def test_client_closes_a_portal_and_its_action_ends() -> None:
    talk = opened()
    talk.gives(FromClient(Parse(b"", b"SELECT n FROM t1").encode()))
    talk.permit()
    talk.gives(FromClient(Bind(b"p", b"").encode()))
    talk.permit()
    bound = talk.asked[-1].action.id
    talk.gives(FromClient(Close("P", b"p").encode() + SYNC))
    talk.gives(FromUpstream(backend.PARSE_COMPLETE + backend.BIND_COMPLETE + b"3\0\0\0\4" + READY))
    assert [done.action_id for done in talk.done][-1] == bound
    talk.gives(FromClient(Execute(b"p").encode() + SYNC))
    talk.gives(FromUpstream(error_response("ERROR", "42601", "syntax error") + READY))
    assert sqlstates(talk.take_client()) == ["34000"]


def test_client_binds_an_empty_text_and_its_action_ends_with_the_empty_answer() -> None:
    talk = opened()
    talk.gives(FromClient(Parse(b"", b"").encode()))
    talk.permit()
    talk.gives(FromClient(Bind(b"", b"").encode()))
    talk.permit()
    talk.gives(FromClient(Execute(b"").encode() + SYNC))
    talk.gives(FromUpstream(backend.PARSE_COMPLETE + backend.BIND_COMPLETE + b"I\0\0\0\4" + READY))
    assert [done.outcome.status for done in talk.done] == ["ok", "ok"]


def test_upstream_fails_between_statements_and_the_client_hears_of_it() -> None:
    talk = opened()
    failure = error_response("ERROR", "57014", "canceling statement due to user request")
    talk.gives(FromUpstream(failure))
    assert talk.take_client() == failure
    assert talk.closed is None


def test_client_deallocates_everything_and_no_name_is_left_T3() -> None:
    talk = opened()
    run(talk, "PREPARE d AS DELETE FROM orders", complete("PREPARE") + READY)
    run(talk, "DEALLOCATE ALL", complete("DEALLOCATE ALL") + READY)
    talk.gives(FromClient(query("EXECUTE d")))
    assert any(leaf.startswith(("unknown/", "execute/")) for leaf in talk.the(Ask).action.leaves)


def test_client_closes_all_cursors_and_a_fetch_is_no_longer_what_it_was_T3() -> None:
    talk = opened()
    run(talk, "BEGIN", complete("BEGIN") + READY_T)
    run(talk, "DECLARE c CURSOR FOR SELECT n FROM t1", complete("DECLARE CURSOR") + READY_T)
    talk.gives(FromClient(query("FETCH c")))
    before = talk.the(Ask).action.leaves
    talk.permit()
    talk.gives(FromUpstream(complete("FETCH 0") + READY_T))
    run(talk, "CLOSE ALL", complete("CLOSE CURSOR ALL") + READY_T)
    talk.gives(FromClient(query("FETCH c")))
    assert talk.the(Ask).action.leaves != before


def test_the_function_call_that_a_resource_allows_runs_and_its_answer_is_recorded() -> None:
    talk = opened(resource=Resource("shop", "postgres", "127.0.0.1:5432", allow=frozenset({"function_call"})))
    called = FunctionCall(1598, (), (), 0).encode()
    talk.gives(FromClient(called))
    assert talk.the(Ask).refusal is None
    talk.permit()
    assert talk.take_upstream() == called
    answer = b"V\0\0\0\x08\xff\xff\xff\xff"
    talk.gives(FromUpstream(answer + READY))
    assert talk.take_client() == answer + READY
    assert talk.recorded[talk.asked[-1].action.id].startswith(answer)


def test_policy_limits_bytes_and_the_client_gets_the_whole_rows_that_fit_and_an_error_P10() -> None:
    talk = opened()
    talk.gives(FromClient(query("SELECT n FROM t1")))
    talk.permit(obligations=Obligations(max_bytes=2 * len(row("1")) + 3))
    talk.gives(FromUpstream(ROW_DESCRIPTION + row("1") + row("2") + row("3") + row("4")))
    assert talk.all(CancelUpstream)
    talk.gives(FromUpstream(error_response("ERROR", "57014", "canceled") + READY))
    down = talk.take_client()
    assert down.count(b"D\0\0\0") == 2
    assert sqlstates(down) == ["54000"]


def test_a_single_huge_row_is_over_the_limit_of_bytes_and_none_of_it_is_delivered_P10() -> None:
    talk = opened()
    talk.gives(FromClient(query("SELECT n FROM t1")))
    talk.permit(obligations=Obligations(max_bytes=1000))
    huge = row("x" * 600_000)
    talk.gives(FromUpstream(ROW_DESCRIPTION + huge[:300_000]), FromUpstream(huge[300_000:]))
    talk.gives(FromUpstream(error_response("ERROR", "57014", "canceled") + READY))
    down = talk.take_client()
    assert b"xxx" not in down
    assert sqlstates(down) == ["54000"]
