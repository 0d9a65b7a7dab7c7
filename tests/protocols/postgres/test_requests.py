"""Actions from messages: what is digested, numbered and stored."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.analysis.postgres.analyser import Analyser
from interlock.analysis.postgres.statement import Analysis, Settled
from interlock.core.action import Action
from interlock.protocols.postgres.requests import (
    UNSEEN,
    Requests,
    bind_of_payload,
    bind_payload,
    function_call,
    unparsed,
    unsupported_encoding,
)
from interlock.wire.postgres.frontend import Bind

ANALYSER = Analyser()


def read(text: str) -> Analysis:
    analysis = ANALYSER.analyse(text)
    assert isinstance(analysis, Analysis)
    return analysis


def settled(requests: Requests, text: str) -> Settled:
    return requests.settle(read(text), {}, {})


def asked(requests: Requests, text: str = "SELECT n FROM t1") -> Action:
    return requests.action(settled(requests, text), text, text.encode())


def after(*texts: str) -> Requests:
    """Requests of a session that ran these statements."""
    requests = Requests("s1", ANALYSER)
    for text in texts:
        requests.note_settings(read(text).statements)
    return requests


@given(st.text(st.characters(exclude_categories=["Cs"])), st.binary(max_size=40))
def test_the_bind_of_a_stored_payload_is_the_one_that_was_asked_about_P3(text: str, parameter: bytes) -> None:
    bind = Bind(b"", b"s", (), (parameter,)).encode()
    payload = bind_payload(text, bind)
    assert bind_of_payload(payload) == bind
    assert text.encode() in payload


def test_text_cannot_pass_for_a_part_of_the_bind_message_T19() -> None:
    assert bind_payload("SELECT 1", b"Bxxx") != bind_payload("SELECT", b" 1Bxxx")
    assert bind_payload("", b"abc") != bind_payload("abc", b"")


def test_actions_of_a_session_are_numbered_and_bound_to_their_payload() -> None:
    requests = Requests("s1", ANALYSER)
    first, second = asked(requests), asked(requests)
    assert (first.id, second.id) == ("s1.1", "s1.2")
    assert first.digest == second.digest == hashlib.sha256(b"SELECT n FROM t1").hexdigest()
    assert asked(requests, "SELECT n FROM t2").digest != first.digest


@pytest.mark.parametrize(
    "text",
    [
        "SET search_path = evil",
        "SET ROLE dba",
        "SET SESSION AUTHORIZATION dba",
        "SET datestyle = 'SQL, DMY'",
        "SET TIME ZONE 'Asia/Tokyo'",
        "SET session_replication_role = replica",
        "RESET ALL",
        "SELECT set_config('search_path', 'evil', false)",
    ],
)
def test_a_setting_that_alters_meaning_makes_the_same_text_another_action_T19(text: str) -> None:
    changed = after(text)
    assert asked(changed).digest != asked(Requests("s1", ANALYSER)).digest
    assert changed.epoch == 1


def test_a_setting_that_alters_no_meaning_leaves_an_approval_in_force() -> None:
    requests = after("SET application_name = 'x'", "SET statement_timeout = 1000")
    assert asked(requests).digest == asked(Requests("s1", ANALYSER)).digest
    assert requests.epoch == 0


def test_the_same_settings_in_another_order_mean_the_same() -> None:
    one, other = "SET search_path = a", "SET datestyle = 'ISO'"
    assert asked(after(one, other)).digest == asked(after(other, one)).digest
    assert asked(after(one)).digest != asked(after(other)).digest


def test_code_that_may_change_settings_starts_a_new_epoch_T19() -> None:
    requests = Requests("s1", ANALYSER)
    assert requests.note_settings(read("DO 'BEGIN PERFORM 1; END'").statements)
    assert not requests.note_settings(read("SELECT n FROM t1").statements)
    assert requests.epoch == 1


def test_a_parse_is_asked_about_as_session_with_the_statement_foreseen() -> None:
    requests = Requests("s1", ANALYSER)
    what = settled(requests, "DELETE FROM orders")
    action = requests.action(
        what, "DELETE FROM orders", b"", foreseen=True, kind="postgres.parse", leaf="session/postgres.parse"
    )
    assert (action.kind, action.leaves) == ("postgres.parse", ("session/postgres.parse",))
    assert action.foreseen == what.leaves
    assert "destroy/postgres.delete" in action.foreseen


def test_without_a_catalogue_every_call_and_relation_may_run_code_T4() -> None:
    assert UNSEEN.judge(("lower",), "function", 1, dirty=False).verdict == "unknown"
    assert UNSEEN.relation_code(("public", "t1"), for_write=False, dirty=False) == ("relation public.t1",)


def test_what_is_not_read_is_asked_about_as_unknown_and_may_do_anything_P2() -> None:
    what, analysis = unparsed()
    assert what.leaves == ("unknown/postgres.unparsed",)
    assert analysis.statements[0].lifts_read_only
    assert analysis.statements[0].changes_catalogue


def test_a_function_called_by_its_oid_is_code_of_which_nothing_is_known_T7() -> None:
    called = function_call()
    assert called.leaves == ("execute/postgres.function_call",)
    assert called.facts["dynamic"] is True


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("SET client_encoding = 'SJIS'", "client_encoding=sjis"),
        ("SET NAMES 'LATIN1'", "client_encoding=latin1"),
        ("PREPARE p AS SELECT set_config('client_encoding', 'GBK', true)", "client_encoding=gbk"),
        ("SET standard_conforming_strings TO off", "standard_conforming_strings=off"),
        ("SET standard_conforming_strings = 0", "standard_conforming_strings=off"),
        ("SET standard_conforming_strings = fa", "standard_conforming_strings=off"),
        ("SET client_encoding = 'UTF-8'", ""),
        ("SET NAMES 'unicode'", ""),
        ("SET standard_conforming_strings = on", ""),
        ("SELECT 'SET client_encoding = SJIS'", ""),
    ],
)
def test_a_setting_under_which_the_server_reads_text_otherwise_is_seen_T5(text: str, setting: str) -> None:
    assert unsupported_encoding(read(text).statements) == setting
