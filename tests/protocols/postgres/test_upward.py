"""Upward: what must wait so that every reply is that of the message it is taken for. Server behaviour seen in 15."""

import struct

import pytest

from interlock.core.commands import Ask, Done, FromClient, FromUpstream
from interlock.core.decision import Obligations
from interlock.core.outcome import OutcomeStatus
from interlock.protocols.postgres.limits import Limits
from interlock.protocols.postgres.replies import FLUSH
from interlock.wire.postgres import backend
from interlock.wire.postgres.copying import CopyData, CopyDone
from interlock.wire.postgres.frontend import Bind, Close, Execute, Parse
from interlock.wire.postgres.replies import error_response
from tests.protocols.dialogue import Dialogue
from tests.protocols.postgres.conversation import (
    READY,
    ROW_DESCRIPTION,
    SYNC,
    complete,
    opened,
    query,
    row,
    run,
    sqlstates,
)

COPY_IN = b"G" + struct.pack("!IBH", 4 + 3, 0, 0)
FAILED = error_response("ERROR", "42P01", "relation does not exist")


def copying_in_the_extended_protocol(text: bytes = b"COPY t FROM STDIN") -> Dialogue:
    """A COPY that was permitted and forwarded; the client has pipelined its Sync, as libpq does."""
    talk = opened()
    talk.gives(FromClient(Parse(b"", text).encode() + Bind(b"", b"").encode() + Execute(b"").encode() + SYNC))
    talk.permit()
    talk.permit()
    return talk


def copying() -> Dialogue:
    """A COPY by Query that takes data."""
    talk = opened()
    run(talk, "COPY t FROM STDIN", COPY_IN)
    talk.take_upstream()
    talk.take_client()
    return talk


def test_a_query_behind_a_parse_without_sync_waits_since_a_failed_parse_would_have_it_skipped_T1() -> None:
    talk = opened()
    talk.gives(FromClient(Parse(b"", b"SELECT * FROM nonesuch").encode() + query("SELECT n FROM secrets")))
    talk.permit()
    assert b"secrets" not in talk.take_upstream()
    talk.gives(FromUpstream(FAILED))
    assert len(talk.asked) == 1, "the server skips what comes before Sync, so it isn't asked about"
    talk.gives(FromClient(SYNC))
    assert talk.take_upstream() == SYNC
    talk.take_client()
    talk.gives(FromUpstream(READY), FromClient(query("SELECT n FROM t1")))
    assert talk.take_client() == READY
    assert talk.asked[-1].action.text == "SELECT n FROM t1"


def test_a_query_behind_a_parse_without_sync_runs_when_the_parse_succeeded() -> None:
    talk = opened()
    talk.gives(FromClient(Parse(b"s", b"SELECT 1").encode() + query("SELECT n FROM t1")))
    talk.permit()
    assert talk.take_upstream().endswith(FLUSH)
    talk.gives(FromUpstream(backend.PARSE_COMPLETE))
    assert talk.asked[-1].action.text == "SELECT n FROM t1"
    talk.permit()
    talk.gives(FromUpstream(complete("SELECT 0") + READY))
    assert [one.outcome.status for one in talk.done] == [OutcomeStatus.OK] * 2


def test_a_message_over_the_limit_behind_a_parse_without_sync_waits_as_well_T1() -> None:
    talk = opened(Limits(message_bytes=10_000))
    talk.gives(FromClient(Parse(b"", b"SELECT * FROM nonesuch").encode()))
    talk.permit()
    talk.gives(FromClient(query("x" * 20_000)))
    assert len(talk.asked) == 1
    talk.gives(FromUpstream(FAILED))
    assert len(talk.asked) == 1


def test_copy_fails_before_it_reads_the_pipelined_sync_and_replies_stay_in_step_T1() -> None:
    talk = copying_in_the_extended_protocol(b"COPY a_view FROM STDIN")
    assert SYNC not in talk.take_upstream().replace(FLUSH, b"")
    refused = error_response("ERROR", "42809", "cannot copy to view")
    talk.gives(FromUpstream(backend.PARSE_COMPLETE + backend.BIND_COMPLETE + COPY_IN + refused))
    assert talk.take_upstream() == SYNC
    talk.gives(FromUpstream(READY))
    assert talk.closed is None
    assert talk.take_client().endswith(refused + READY)


def test_copy_takes_data_in_the_extended_protocol_and_the_sync_before_it_is_not_waited_for() -> None:
    talk = copying_in_the_extended_protocol()
    talk.gives(FromUpstream(backend.PARSE_COMPLETE + backend.BIND_COMPLETE + COPY_IN))
    talk.take_upstream()
    talk.gives(FromClient(CopyData(b"1\n").encode() + CopyDone().encode() + SYNC))
    assert talk.take_upstream() == CopyData(b"1\n").encode() + CopyDone().encode() + SYNC
    talk.gives(FromUpstream(complete("COPY 1") + READY))
    assert talk.closed is None
    assert talk.take_client().endswith(complete("COPY 1") + READY)


def test_client_sends_sync_among_copy_data_and_a_failed_copy_cannot_answer_it_T1() -> None:
    talk = copying()
    bad = CopyData(b"no number\n").encode()
    talk.gives(FromClient(bad + SYNC))
    assert talk.take_upstream() == bad
    talk.gives(FromUpstream(error_response("ERROR", "22P02", "invalid input") + READY))
    talk.gives(FromClient(query("SELECT n FROM t1")))
    talk.permit()
    assert talk.closed is None
    talk.gives(FromUpstream(complete("SELECT 0") + READY))
    assert talk.done[-1].outcome.tag == "SELECT 0"


def test_a_second_copy_of_one_query_takes_the_sync_that_came_after_the_first_T1() -> None:
    talk = opened()
    run(talk, "COPY t FROM STDIN; COPY a_view FROM STDIN", COPY_IN)
    talk.take_upstream()
    talk.gives(FromClient(CopyDone().encode() + SYNC))
    assert talk.take_upstream() == CopyDone().encode()
    talk.gives(FromUpstream(complete("COPY 0") + COPY_IN + error_response("ERROR", "42809", "view") + READY))
    assert talk.take_upstream() == SYNC
    talk.gives(FromUpstream(READY))
    assert talk.closed is None


def test_client_sends_a_query_into_copy_and_is_cut_off_as_the_server_would_T6() -> None:
    talk = copying()
    talk.gives(FromClient(query("SELECT 1")))
    assert talk.closed == "client_protocol"
    assert sqlstates(talk.take_client()) == ["08P01"]
    assert talk.take_upstream() == b""


def test_upstream_asks_for_data_where_no_copy_runs_and_the_client_is_not_told_T6() -> None:
    talk = opened()
    run(talk, "SELECT n FROM t1", COPY_IN)
    assert talk.closed == "upstream_protocol"
    assert COPY_IN not in talk.take_client()


@pytest.mark.parametrize("message", [SYNC, Close("S", b"x").encode(), query("SELECT 1")])
def test_client_pipelines_without_end_and_what_is_owed_stays_bounded_P10(message: bytes) -> None:
    talk = opened(Limits(pipelined=5))
    talk.gives(FromClient(Parse(b"", b"SELECT 1").encode() + Bind(b"", b"").encode() + Execute(b"").encode()))
    talk.permit()
    talk.permit()
    talk.take_upstream()
    talk.gives(FromClient(message * 1000))
    while talk.all(Ask):
        talk.permit()
    assert talk.take_upstream().replace(FLUSH, b"").count(message) <= 2


def test_a_query_ends_the_action_of_the_unnamed_portal_that_it_destroys() -> None:
    talk = opened()
    run(talk, "BEGIN", complete("BEGIN") + b"Z\0\0\0\5T")
    talk.gives(FromClient(Parse(b"", b"SELECT 1").encode() + Bind(b"", b"").encode() + SYNC))
    talk.permit()
    talk.permit()
    talk.gives(FromUpstream(backend.PARSE_COMPLETE + backend.BIND_COMPLETE + b"Z\0\0\0\5T"))
    bound = talk.asked[-1].action.id
    talk.gives(FromClient(query("SELECT n FROM t1")))
    talk.permit()
    assert bound in [one.action_id for one in talk.all(Done)]


def test_rows_are_cut_and_a_later_statement_of_the_query_brings_no_second_error() -> None:
    talk = opened()
    talk.gives(FromClient(query("SELECT n FROM t1; SELECT n FROM t2")))
    talk.permit(obligations=Obligations(max_rows=1))
    rows = ROW_DESCRIPTION + row("1") + row("2") + complete("SELECT 2")
    talk.gives(FromUpstream(rows + rows + READY))
    assert sqlstates(talk.take_client()) == ["54000"]
