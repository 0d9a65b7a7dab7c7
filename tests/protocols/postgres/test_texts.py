"""Texts of statements: read or refused, and asked about with what they may name or change."""

import pytest

from interlock.core.commands import Analyse, Analysed, Ask, FromClient, FromUpstream, Learned
from interlock.core.errors import LimitExceeded
from interlock.protocols.postgres.limits import Limits
from interlock.protocols.postgres.replies import FAILING_PARSE
from interlock.wire.postgres.frontend import Bind, Parse, Query
from interlock.wire.postgres.replies import error_response
from tests.protocols.postgres.conversation import ANALYSER, READY, SYNC, complete, opened, query, run, sqlstates


def test_client_sends_a_syntax_error_and_gets_the_parsers_own_error_with_its_position() -> None:
    talk = opened()
    talk.gives(FromClient(query("SELECT 1 FROM WHERE")))
    talk.deny()
    down = talk.take_client()
    assert sqlstates(down) == ["42601"]
    assert b"P15\0" in down


def test_a_parse_is_asked_about_with_what_it_prepares() -> None:
    talk = opened()
    talk.gives(FromClient(Parse(b"s", b"DELETE FROM orders").encode()))
    action = talk.the(Ask).action
    assert action.leaves == ("session/postgres.parse",)
    assert "destroy/postgres.delete" in action.foreseen


def test_client_prepares_by_sql_and_execute_has_the_effects_of_what_it_names() -> None:
    talk = opened()
    run(talk, "PREPARE d AS DELETE FROM orders", complete("PREPARE") + READY)
    talk.gives(FromClient(query("EXECUTE d")))
    assert "destroy/postgres.delete" in talk.the(Ask).action.leaves


def test_a_batch_redefines_the_name_that_it_executes_and_counts_as_not_known_T3() -> None:
    talk = opened()
    run(talk, "PREPARE d AS DELETE FROM orders", complete("PREPARE") + READY)
    talk.gives(FromClient(query("EXECUTE d; DEALLOCATE d; PREPARE d AS SELECT 1")))
    leaves = talk.the(Ask).action.leaves
    assert any(leaf.startswith(("unknown/", "execute/", "destroy/")) for leaf in leaves)


def test_a_statement_that_may_change_settings_is_finished_before_the_next_is_read_T5() -> None:
    talk = opened()
    talk.gives(FromClient(query("SET search_path = a") + query("SELECT n FROM t1")))
    talk.permit()
    assert len(talk.asked) == 1
    talk.gives(FromUpstream(complete("SET") + READY))
    assert len(talk.asked) == 2


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


def test_client_gives_a_reason_and_later_questions_carry_it() -> None:
    talk = opened()
    run(talk, "SET interlock.reason = 'ticket 42'", complete("SET") + READY)
    talk.gives(FromClient(query("DELETE FROM orders")))
    assert talk.the(Ask).reason == "ticket 42"


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


def test_the_catalogue_cannot_be_read_and_nothing_counts_as_harmless_T4() -> None:
    talk = opened()
    talk.gives(Learned(None))
    talk.gives(FromClient(query("SELECT lower(n) FROM t1")))
    assert any(leaf.startswith("execute/") for leaf in talk.the(Ask).action.leaves)


def test_a_query_that_is_no_utf8_fails_as_the_server_would_have_it_and_is_never_forwarded_T5() -> None:
    talk = opened()
    talk.gives(FromClient(Query(b"SELECT '\xff'").encode()))
    assert not talk.asked
    assert not talk.take_upstream()
    assert sqlstates(talk.take_client()) == ["22021"]
    assert talk.closed is None


def test_a_parse_that_is_no_utf8_fails_in_its_place_and_its_batch_is_skipped_T5() -> None:
    talk = opened()
    talk.gives(FromClient(Parse(b"", b"SELECT '\xc0\xaf'").encode() + Bind(b"", b"").encode() + SYNC))
    assert not talk.asked
    assert talk.take_upstream() == FAILING_PARSE + SYNC
    talk.gives(FromUpstream(error_response("ERROR", "42601", "syntax error") + READY))
    assert sqlstates(talk.take_client()) == ["22021"]


def test_a_large_parse_is_analysed_off_the_loop_and_a_stale_analysis_is_not_taken_T2() -> None:
    talk = opened(Limits(inline_bytes=50))
    text = "SELECT n FROM t1 WHERE x IN (" + ",".join(str(n) for n in range(50)) + ")"
    talk.gives(FromClient(Parse(b"s", text.encode()).encode()))
    job = talk.the(Analyse)
    talk.gives(Analysed(job.ticket + 1, ANALYSER.analyse("SELECT 1")))
    assert not talk.asked
    talk.gives(Analysed(job.ticket, ANALYSER.analyse(job.text)))
    assert talk.the(Ask).action.text == text
    assert talk.the(Ask).action.kind == "postgres.parse"
    talk.gives(Analysed(job.ticket, ANALYSER.analyse("SELECT 1")))
    assert len(talk.asked) == 1


def test_the_gateway_has_no_room_to_parse_a_prepared_text_and_it_fails_in_its_place() -> None:
    talk = opened(Limits(inline_bytes=50))
    talk.gives(FromClient(Parse(b"s", b"SELECT " + b"1," * 100 + b"1").encode() + SYNC))
    talk.gives(Analysed(talk.the(Analyse).ticket, LimitExceeded("parsing", limit=1, got=2)))
    talk.deny(code="overloaded")
    assert talk.take_upstream() == FAILING_PARSE + SYNC
    talk.gives(FromUpstream(error_response("ERROR", "42601", "syntax error") + READY))
    assert sqlstates(talk.take_client()) == ["53400"]


def test_a_batch_failed_while_its_large_text_was_analysed_and_nothing_is_asked() -> None:
    talk = opened(Limits(inline_bytes=50))
    talk.gives(FromClient(Parse(b"a", b"SELECT nope").encode()))
    talk.permit()
    talk.gives(FromClient(Parse(b"s", b"SELECT " + b"1," * 100 + b"1").encode()))
    job = talk.the(Analyse)
    talk.gives(FromUpstream(error_response("ERROR", "42703", "no such column")))
    talk.gives(Analysed(job.ticket, ANALYSER.analyse(job.text)))
    assert len(talk.asked) == 1


def test_a_session_has_no_room_for_a_cursor_that_sql_declares_P10() -> None:
    talk = opened(Limits(names=1))
    run(talk, "PREPARE a AS SELECT 1", complete("PREPARE") + READY)
    talk.gives(FromClient(query("PREPARE b AS SELECT 1")))
    refusal = talk.the(Ask).refusal
    assert refusal is not None
    assert refusal.code == "too_large"


def test_client_prepares_a_change_of_how_text_is_read_and_is_refused_T5() -> None:
    talk = opened()
    talk.gives(FromClient(Parse(b"s", b"SET client_encoding = 'SJIS'").encode()))
    refusal = talk.the(Ask).refusal
    assert refusal is not None
    assert refusal.code == "encoding"


def test_a_syntax_error_that_policy_permits_is_forwarded_as_it_came() -> None:
    talk = opened()
    talk.gives(FromClient(query("SELEKT 1")))
    talk.permit()
    assert talk.take_upstream() == query("SELEKT 1")


def test_an_analysis_of_another_language_is_a_bug_and_never_taken() -> None:
    talk = opened(Limits(inline_bytes=50))
    talk.gives(FromClient(query("SELECT " + "1," * 100 + "1")))
    with pytest.raises(TypeError):
        talk.mediator.step(Analysed(1, "read"))
    assert not talk.asked
