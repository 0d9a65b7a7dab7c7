"""The extended protocol: names of statements and portals as the server has them. Server behaviour seen in 15."""

import pytest

from interlock.analysis.postgres.catalogue import SNAPSHOT_QUERIES, Catalogue
from interlock.core.commands import Ask, FromClient, FromUpstream, Learned
from interlock.core.permit import Permit
from interlock.protocols.postgres.limits import Limits
from interlock.protocols.postgres.replies import FAILING_PARSE
from interlock.wire.postgres import backend
from interlock.wire.postgres.frontend import Bind, Close, Describe, Execute, Parse
from interlock.wire.postgres.replies import error_response
from tests.protocols.dialogue import Dialogue
from tests.protocols.postgres.conversation import (
    CATALOGUE,
    READY,
    READY_T,
    SYNC,
    complete,
    opened,
    query,
    run,
    sqlstates,
)


def prepared(talk: Dialogue, name: bytes, text: bytes, ready: bytes = READY) -> None:
    talk.gives(FromClient(Parse(name, text).encode() + SYNC))
    talk.permit()
    talk.gives(FromUpstream(backend.PARSE_COMPLETE + ready))


def bound(talk: Dialogue, portal: bytes, statement: bytes) -> None:
    talk.gives(FromClient(Bind(portal, statement).encode() + SYNC))
    talk.permit()
    talk.gives(FromUpstream(backend.BIND_COMPLETE + READY_T))


def in_a_transaction() -> Dialogue:
    talk = opened()
    run(talk, "BEGIN", complete("BEGIN") + READY_T)
    return talk


def test_two_long_names_are_one_to_the_server_so_neither_is_taken_T3() -> None:
    talk = opened()
    talk.gives(FromClient(Parse(b"n" * 63 + b"X", b"SELECT 1").encode() + SYNC))
    assert talk.take_upstream() == FAILING_PARSE + SYNC
    talk.gives(FromUpstream(error_response("ERROR", "42601", "syntax error") + READY))
    assert sqlstates(talk.take_client()) == ["08P01"]
    assert talk.closed is None


def test_a_name_of_63_bytes_is_all_read_by_the_server_T3() -> None:
    talk = opened()
    prepared(talk, b"n" * 63, b"SELECT 1")
    talk.gives(FromClient(Bind(b"", b"n" * 63).encode() + SYNC))
    assert talk.the(Ask).action.leaves == ("read/postgres.select",)


def test_sql_closes_a_bound_portal_and_declares_a_cursor_of_its_name_T3() -> None:
    talk = in_a_transaction()
    prepared(talk, b"s", b"SELECT 1", READY_T)
    bound(talk, b"c", b"s")
    run(
        talk,
        "CLOSE c; DECLARE c CURSOR FOR SELECT n FROM secrets",
        complete("CLOSE CURSOR") + complete("DECLARE CURSOR") + READY_T,
    )
    talk.take_upstream()
    talk.gives(FromClient(Execute(b"c").encode() + SYNC))
    assert talk.take_upstream() == b""
    assert talk.the(Ask).action.facts["reads"] == ("secrets",)


def test_a_portal_ends_with_a_transaction_that_another_follows_in_the_same_text_T3() -> None:
    talk = in_a_transaction()
    prepared(talk, b"s", b"SELECT 1", READY_T)
    bound(talk, b"c", b"s")
    run(talk, "COMMIT; BEGIN", complete("COMMIT") + complete("BEGIN") + READY_T)
    talk.take_upstream()
    talk.gives(FromClient(Execute(b"c").encode() + SYNC))
    assert talk.take_upstream() == FAILING_PARSE + SYNC


def test_what_a_bound_execute_names_is_redefined_and_it_is_asked_about_again_P9() -> None:
    talk = opened()
    run(talk, "PREPARE x AS SELECT 1; BEGIN", complete("PREPARE") + complete("BEGIN") + READY_T)
    prepared(talk, b"e", b"EXECUTE x", READY_T)
    bound(talk, b"p", b"e")
    bound(talk, b"q", b"e")
    run(
        talk,
        "DEALLOCATE x; PREPARE x AS DELETE FROM orders",
        complete("DEALLOCATE") + complete("PREPARE") + READY_T,
    )
    for portal in (b"p", b"q"):
        talk.take_upstream()
        talk.gives(FromClient(Execute(portal).encode() + SYNC))
        assert talk.take_upstream() == b""
        assert "destroy/postgres.delete" in talk.the(Ask).action.leaves
        talk.permit()
        talk.gives(FromUpstream(complete("DELETE 1") + READY_T))


def test_a_bound_execute_runs_unasked_while_names_stay_as_they_are() -> None:
    talk = opened()
    run(talk, "PREPARE x AS SELECT 1", complete("PREPARE") + READY)
    prepared(talk, b"e", b"EXECUTE x")
    talk.gives(FromClient(Bind(b"", b"e").encode() + Execute(b"").encode() + SYNC))
    asked = len(talk.asked)
    talk.permit()
    assert len(talk.asked) == asked
    assert isinstance(talk.permits[-1], Permit)


def test_a_session_has_no_room_for_more_names_and_the_next_fails_P10() -> None:
    talk = opened(Limits(names=2))
    prepared(talk, b"a", b"SELECT 1")
    prepared(talk, b"b", b"SELECT 1")
    talk.take_client()
    talk.take_upstream()
    talk.gives(FromClient(Parse(b"c", b"SELECT 1").encode() + SYNC))
    assert talk.take_upstream() == FAILING_PARSE + SYNC
    talk.gives(FromUpstream(error_response("ERROR", "42601", "syntax error") + READY))
    assert sqlstates(talk.take_client()) == ["54000"]
    talk.gives(FromClient(query("PREPARE c AS SELECT 1")))
    refusal = talk.the(Ask).refusal
    assert refusal is not None
    assert refusal.code == "too_large"
    talk.deny(code="too_large")
    talk.gives(FromClient(Close("S", b"a").encode() + SYNC))
    talk.gives(FromUpstream(backend.CLOSE_COMPLETE + READY))
    prepared(talk, b"c", b"SELECT 1")
    assert talk.closed is None


def test_parameters_of_bound_portals_are_held_within_a_budget_P10() -> None:
    talk = opened(Limits(names_bytes=10_000))
    run(talk, "BEGIN", complete("BEGIN") + READY_T)
    prepared(talk, b"s", b"SELECT $1", READY_T)
    talk.gives(FromClient(Bind(b"p", b"s", parameters=(b"x" * 10_000,)).encode() + SYNC))
    talk.permit()
    talk.gives(FromUpstream(backend.BIND_COMPLETE + READY_T))
    talk.take_upstream()
    talk.gives(FromClient(Bind(b"q", b"s", parameters=(b"x",)).encode() + SYNC))
    assert talk.take_upstream() == FAILING_PARSE + SYNC


def test_a_parameters_type_by_oid_is_part_of_what_is_decided_T4() -> None:
    talk = opened()
    talk.gives(Learned(Catalogue.from_rows({name: () for name, _ in SNAPSHOT_QUERIES}), unasked=False))
    talk.gives(FromClient(Parse(b"", b"SELECT $1", (23,)).encode()))
    assert talk.the(Ask).action.foreseen == ("read/postgres.select",)
    talk.permit()
    talk.gives(FromClient(Parse(b"", b"SELECT $1", (16600,)).encode()))
    assert talk.the(Ask).action.foreseen == ("execute/postgres.select", "read/postgres.select")
    talk.permit()
    talk.gives(FromClient(Bind(b"", b"", parameters=(b"5",)).encode()))
    assert talk.the(Ask).action.leaves == ("execute/postgres.select", "read/postgres.select")


def test_a_function_that_may_do_anything_is_finished_before_the_next_text_is_read_T5() -> None:
    talk = opened()
    talk.gives(FromClient(query("SELECT set_it_all()") + query("SELECT 1")))
    assert "execute/postgres.select" in talk.the(Ask).action.leaves
    talk.permit()
    assert len(talk.asked) == 1
    talk.gives(FromUpstream(complete("SELECT 1") + READY))
    assert len(talk.asked) == 1
    talk.gives(Learned(CATALOGUE))
    assert talk.asked[-1].action.text == "SELECT 1"


def test_a_function_runs_between_bind_and_execute_of_another_portal_and_that_is_asked_again_T19() -> None:
    talk = in_a_transaction()
    prepared(talk, b"s", b"SELECT 1", READY_T)
    bound(talk, b"p", b"s")
    run(talk, "SELECT set_it_all()", complete("SELECT 1") + READY_T)
    asked = len(talk.asked)
    talk.gives(FromClient(Execute(b"p").encode() + SYNC))
    assert len(talk.asked) == asked + 1


def test_a_functions_own_portal_goes_on_without_a_second_question_P9() -> None:
    talk = in_a_transaction()
    prepared(talk, b"s", b"SELECT set_it_all()", READY_T)
    bound(talk, b"p", b"s")
    asked = len(talk.asked)
    for _ in range(3):
        talk.gives(FromClient(Execute(b"p", 1).encode() + SYNC), FromUpstream(b"s\0\0\0\4" + READY_T))
    assert len(talk.asked) == asked


def test_the_server_tells_only_after_sync_how_text_is_read_so_a_backslash_before_that_is_unknown_T5() -> None:
    talk = opened()
    prepared(talk, b"s", b"SELECT set_it_all()")
    talk.gives(FromClient(Bind(b"", b"s").encode() + Execute(b"").encode()))
    talk.permit()
    talk.gives(FromUpstream(backend.BIND_COMPLETE + complete("SELECT 1")))
    for text in (rb"SELECT '\' || purge() || '\'", "SELECT 'é'".encode()):
        talk.gives(FromClient(Parse(b"", text).encode()))
        assert talk.the(Ask).action.leaves == ("unknown/postgres.unparsed",)
        talk.permit()
        talk.gives(FromUpstream(backend.PARSE_COMPLETE))
    talk.gives(FromClient(Parse(b"", b"SELECT 'plain'").encode()))
    assert talk.the(Ask).action.leaves == ("session/postgres.parse",)
    talk.permit()
    talk.gives(FromClient(SYNC + Parse(b"", rb"SELECT '\'").encode()))
    assert talk.all(Ask) == [], "the server's answer is on its way"
    talk.gives(FromUpstream(backend.PARSE_COMPLETE + READY))
    assert talk.all(Ask) == [], "the catalogue is read again after code ran"
    talk.gives(Learned(CATALOGUE))
    assert talk.the(Ask).action.leaves == ("session/postgres.parse",)


def test_client_executes_a_cursor_that_sql_declared_and_is_asked_about_what_it_reads_T3() -> None:
    talk = in_a_transaction()
    run(talk, "DECLARE c CURSOR FOR SELECT n FROM secrets", complete("DECLARE CURSOR") + READY_T)
    talk.take_upstream()
    talk.gives(FromClient(Execute(b"c").encode()))
    action = talk.the(Ask).action
    assert action.facts["reads"] == ("secrets",)
    assert not talk.take_upstream()
    talk.permit()
    assert talk.take_upstream() == Execute(b"c").encode()


def test_client_describes_a_cursor_that_sql_declared_and_it_is_an_action_of_its_own() -> None:
    talk = in_a_transaction()
    run(talk, "DECLARE c CURSOR FOR SELECT n FROM t1", complete("DECLARE CURSOR") + READY_T)
    talk.gives(FromClient(Describe("P", b"c").encode()))
    assert talk.the(Ask).action.kind == "postgres.describe"


@pytest.mark.parametrize(
    ("message", "sqlstate"),
    [
        (Describe("S", b"ghost").encode(), "26000"),
        (Describe("P", b"ghost").encode(), "34000"),
        (Execute(b"ghost").encode(), "34000"),
        (Bind(b"", b"ghost").encode(), "26000"),
        (Bind(b"", b"\xff").encode(), "08P01"),
        (Close("S", b"\xff").encode(), "08P01"),
    ],
)
def test_client_names_what_is_not_there_and_the_server_never_hears_of_it_T3(message: bytes, sqlstate: str) -> None:
    talk = opened()
    talk.gives(FromClient(message + SYNC))
    assert not talk.asked
    assert talk.take_upstream() == FAILING_PARSE + SYNC
    talk.gives(FromUpstream(error_response("ERROR", "42601", "syntax error") + READY))
    assert sqlstates(talk.take_client()) == [sqlstate]
    assert talk.closed is None


def test_a_describe_of_a_name_that_an_earlier_batch_changes_waits_for_the_truth_T3() -> None:
    talk = opened()
    prepared(talk, b"s", b"SELECT 1")
    talk.gives(FromClient(Close("S", b"s").encode() + SYNC + Describe("S", b"s").encode() + SYNC))
    asked = len(talk.asked)
    talk.take_upstream()
    talk.gives(FromUpstream(b"3\0\0\0\4" + READY))
    assert len(talk.asked) == asked
    assert talk.take_upstream().startswith(FAILING_PARSE)


def test_an_approved_bind_runs_from_the_gateways_own_copy_P3() -> None:
    talk = opened()
    prepared(talk, b"s", b"DELETE FROM orders WHERE id = $1")
    talk.take_upstream()
    approved = Bind(b"", b"s", (), (b"1",)).encode()
    talk.gives(FromClient(approved))
    stored = talk.the(Ask).action.payload
    talk.permit(stored=stored)
    assert talk.take_upstream() == approved
