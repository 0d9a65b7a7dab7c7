"""What the upstream says: believed only where it was asked for, and noted when it changes what statements mean."""

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
from interlock.wire.postgres import backend
from interlock.wire.postgres.frontend import Parse
from interlock.wire.postgres.replies import error_response
from tests.protocols.postgres.conversation import (
    READY,
    READY_T,
    ROW_DESCRIPTION,
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
