from datetime import UTC, datetime

from interlock.approval.held import HoldState, Requester
from interlock.core.principal import Principal, PrincipalKind


def test_only_what_can_still_run_is_open() -> None:
    assert {state.value for state in HoldState if state.is_open} == {"waiting", "released"}


def test_stored_requester_keeps_no_token_and_no_claims_P5() -> None:
    principal = Principal(
        subject="bot",
        issuer="i",
        kind=PrincipalKind.AGENT,
        expires_at=datetime(2026, 1, 1, tzinfo=UTC),
        token_id="CANARY-1",
        claims={"secret": "CANARY-2"},
        person="alice",
    )
    requester = Requester.of(principal)
    assert (requester.id, requester.person) == ("i|bot", "alice")
    assert "CANARY" not in repr(requester)
