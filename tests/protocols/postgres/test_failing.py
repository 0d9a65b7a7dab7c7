"""Failing in a message's place: client and upstream agree on the state afterwards."""

from interlock.core.commands import FromClient, FromUpstream
from interlock.core.permit import SessionPermit
from interlock.protocols.postgres.replies import FAILING_PARSE, FAILING_QUERY
from interlock.wire.postgres.frontend import Bind, Execute, Parse
from interlock.wire.postgres.replies import error_response
from tests.protocols.postgres.conversation import READY, READY_E, READY_T, SYNC, complete, opened, query, run, sqlstates


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
