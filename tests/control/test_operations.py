from datetime import timedelta
from pathlib import Path

import pytest

from interlock.approval import HoldState
from interlock.control import ControlError
from interlock.control.messages import (
    Decide,
    IssueHandle,
    KillSession,
    ListApprovals,
    ListSessions,
    Reload,
    Request,
    Revoke,
    ShowApproval,
)
from tests.control.house import NOW, SESSION, House, run


def test_person_sees_what_waits_approves_it_and_the_worker_is_told_after_it_is_recorded(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.held()
        (row,) = await house.ask(ListApprovals())
        assert (row["id"], row["state"], row["groups"]) == ("a1", "waiting", ["dba"])
        shown = await house.ask(ShowApproval("a1"))
        assert (shown["text"], shown["marks"]) == ("DELETE FROM t", 0)
        decided = await house.ask(Decide("a1", "approve", "bob-token", "fine"))
        assert decided["state"] == "released"
        assert house.gateway.events == ["recorded approval approved by https://idp/|bob", "notified a1"]

    run(tmp_path, story)


@pytest.mark.parametrize(
    ("token", "code"),
    [("bot-token", "approver_not_human"), ("stolen", "authentication"), ("", "authentication")],
)
def test_who_may_not_approve_reaches_the_socket_and_nothing_is_released_P9_T21(
    tmp_path: Path, token: str, code: str
) -> None:
    async def story(house: House) -> None:
        await house.held()
        with pytest.raises(ControlError) as caught:
            await house.ask(Decide("a1", "approve", token))
        assert caught.value.reply_code == code
        hold = await house.approvals.find("a1")
        assert hold is not None
        assert hold.state is HoldState.WAITING
        assert "recorded approval approved" not in " ".join(house.gateway.events)

    run(tmp_path, story)


def test_rejected_approver_is_on_record(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.held()
        with pytest.raises(ControlError):
            await house.ask(Decide("a1", "approve", "bot-token"))
        assert house.gateway.events == ["recorded approval rejected by https://idp/|bot"]

    run(tmp_path, story)


@pytest.mark.parametrize(
    "request_",
    [
        Decide("a1", "approve", "bob-token"),
        KillSession("s1"),
        Revoke("person", "x"),
        Reload(),
        IssueHandle("shop", "bob-token"),
    ],
)
def test_change_cannot_be_recorded_and_is_not_made_P1(tmp_path: Path, request_: Request) -> None:
    async def story(house: House) -> None:
        await house.held()
        await house.sessions.add(SESSION, worker=1)
        house.gateway.recording = False
        with pytest.raises(ControlError) as caught:
            await house.ask(request_)
        assert caught.value.reply_code == "audit_unavailable"
        assert house.gateway.events == []
        hold = await house.approvals.find("a1")
        assert hold is not None
        assert hold.state is HoldState.WAITING
        assert await house.revocations.find_all(now=NOW) == []

    run(tmp_path, story)


def test_operator_kills_a_session_after_it_is_recorded_with_the_kernel_s_word_for_who(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.sessions.add(SESSION, worker=1)
        (row,) = await house.ask(ListSessions())
        assert row["id"] == "s1"
        assert await house.ask(KillSession("s1", "test")) == {"killed": "s1"}
        recorded, killed = house.gateway.events
        assert recorded.startswith("recorded admin kill by local:")
        assert killed == "killed s1"
        with pytest.raises(ControlError, match="no session s9"):
            await house.ask(KillSession("s9"))

    run(tmp_path, story)


def test_operator_revokes_and_it_is_in_force_before_sessions_end(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        answer = await house.ask(Revoke("person", "alice", seconds=60))
        assert answer["sessions_ended"] == 2
        (kept,) = await house.revocations.find_all(now=NOW)
        assert (kept.kind, kept.value, kept.until) == ("person", "alice", NOW + timedelta(seconds=60))
        for bad in (Revoke("everything", "x"), Revoke("token", ""), Revoke("token", "x", seconds=0)):
            with pytest.raises(ControlError) as caught:
                await house.ask(bad)
            assert caught.value.reply_code == "bad_request"

    run(tmp_path, story)


def test_reload_fails_and_the_reason_and_the_failure_are_told_and_recorded(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        assert await house.ask(Reload()) == {"policy_hash": "abc"}
        house.gateway.policies_are_broken = True
        with pytest.raises(ControlError, match=r"readers\.cedar:3.*stays in force"):
            await house.ask(Reload())
        assert [event.split(" by")[0] for event in house.gateway.events][-2:] == [
            "recorded admin reload",
            "recorded admin reload_failed",
        ]

    run(tmp_path, story)
