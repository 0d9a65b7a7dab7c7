"""The gateway's own replies: the right SQLSTATE, and nothing of the inside in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.analysis.postgres.analyser import Analyser
from interlock.analysis.postgres.statement import SyntaxRejected
from interlock.core.commands import Held
from interlock.core.decision import Deny
from interlock.protocols.postgres import replies
from interlock.wire.postgres.frontend import Parse, Query
from interlock.wire.postgres.replies import ErrorResponse, NoticeResponse


def error_of(data: bytes) -> ErrorResponse:
    assert data[:1] == b"E"
    assert int.from_bytes(data[1:5]) == len(data) - 1
    return ErrorResponse.decode(data[5:])


def notice_of(data: bytes) -> NoticeResponse:
    assert data[:1] == b"N"
    return NoticeResponse.decode(data[5:])


@pytest.mark.parametrize(
    ("code", "sqlstate"),
    [
        ("policy_denied", "42501"),
        ("reason_required", "42501"),
        ("hold_denied", "42501"),
        ("hold_expired", "42501"),
        ("read_only", "25006"),
        ("withdrawn", "57014"),
        ("audit_unavailable", "58030"),
        ("too_large", "54000"),
        ("overloaded", "53400"),
        ("encoding", "0A000"),
        ("row_limit", "54000"),
        ("a code of later days", "42501"),
    ],
)
def test_a_denial_has_the_sqlstate_that_drivers_know(code: str, sqlstate: str) -> None:
    error = error_of(replies.denial(Deny(code, "no")))
    assert error.sqlstate == sqlstate == replies.sqlstate_of(Deny(code, "no"))
    assert error.get("S") == error.get("V") == "ERROR"


def test_a_denial_names_the_policies_and_the_approval() -> None:
    error = error_of(replies.denial(Deny("hold_denied", "bob refused", ("needs-dba", "other"), "h" * 64, "apr-7")))
    assert error.get("M") == "bob refused"
    assert error.get("D") == "Interlock decision: hold_denied; policies: needs-dba, other; approval: apr-7"
    assert "h" * 64 not in repr(error)


def test_a_withdrawn_statement_reads_as_a_cancelled_one() -> None:
    error = error_of(replies.denial(Deny("withdrawn", "inside", ("p",), approval_id="apr-7")))
    assert (error.get("M"), error.get("D")) == ("canceling statement due to user request", "")


@given(st.text(), st.lists(st.text(), max_size=2).map(tuple), st.text())
def test_whatever_a_reason_holds_the_reply_is_one_well_formed_message_P10(
    reason: str, policies: tuple[str, ...], approval: str
) -> None:
    error = error_of(replies.denial(Deny("policy_denied", reason, policies, "", approval)))
    assert [code for code, _ in error.fields if code not in "MD"] == ["S", "V", "C"]


def test_a_fatal_error_ends_with_its_hint_and_an_error_carries_its_position() -> None:
    fatal = error_of(replies.fatal("0A000", "no", "Set PGCLIENTENCODING=UTF8."))
    assert (fatal.get("V"), fatal.get("H")) == ("FATAL", "Set PGCLIENTENCODING=UTF8.")
    error = error_of(replies.error("42601", "syntax error", position=15))
    assert (error.get("P"), error_of(replies.error("42601", "x")).get("P")) == ("15", "")


def test_a_notice_tells_who_is_asked_how_long_and_how_to_give_up() -> None:
    held = Held("s1.1", "apr-7", ("dba", "owner"), 1800)
    first = notice_of(replies.held_notice(held, 0))
    assert first.get("M") == "Interlock holds this statement until dba and owner approves it (expires in 1800 s)"
    assert "interlock approvals show apr-7" in first.get("H")
    later = notice_of(replies.held_notice(held, 60))
    assert "(waited 60 s, expires in 1740 s)" in later.get("M")
    assert "expires in 0 s" in notice_of(replies.held_notice(held, 9999)).get("M")
    assert "s1.1" not in repr(first)


def test_the_statement_that_always_fails_is_no_statement_at_all_P10() -> None:
    assert isinstance(Analyser().analyse(replies.FAILING_TEXT.decode()), SyntaxRejected)
    assert Query(replies.FAILING_TEXT).encode() == replies.FAILING_QUERY
    # The unnamed statement stays as it was: a failing Parse without a name would destroy it.
    assert Parse(b"interlock_refused", replies.FAILING_TEXT).encode() == replies.FAILING_PARSE
