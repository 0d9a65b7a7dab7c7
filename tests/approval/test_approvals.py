import asyncio
import itertools
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from interlock.approval import (
    Approvals,
    ApprovalStore,
    HeldAction,
    HoldLimits,
    HoldState,
    MemoryApprovalStore,
    Refused,
    Rejected,
    Released,
    VerdictKind,
)
from interlock.approval.sealing import SealBroken
from interlock.core.action import Action
from interlock.core.decision import Hold
from interlock.core.errors import LimitExceeded
from interlock.core.principal import Actor, Principal, PrincipalKind
from interlock.core.resource import Resource
from interlock.core.session import Session
from interlock.storage import Database, SqlApprovalStore, migrate

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
KEY = bytes(range(32))
APPROVE, DENY = VerdictKind.APPROVE, VerdictKind.DENY


def principal(
    name: str, *groups: str, kind: PrincipalKind = PrincipalKind.HUMAN, person: str | None = None
) -> Principal:
    return Principal(
        subject=name,
        issuer="https://idp/",
        kind=kind,
        expires_at=NOW + timedelta(hours=1),
        token_id=f"t-{name}",
        groups=frozenset(groups),
        person=person,
    )


BOT = replace(principal("bot", kind=PrincipalKind.AGENT, person="alice"), actors=(Actor("ci-runner", "https://ci/"),))
SESSION = Session(
    id="s1",
    principal=BOT,
    resource=Resource("shop", "postgres", "db:5432"),
    database="shop",
    client_address="127.0.0.1:5",
    started_at=NOW,
    expires_at=NOW + timedelta(hours=1),
    reason="migration \u202e42",
)
ACTION = Action(
    id="s1.7",
    kind="postgres.alter_table",
    leaves=("destroy/postgres.drop_column",),
    facts={"drops": ("column:orders.note",), "bounded": False},
    text="ALTER TABLE orders DROP COLUMN note",
    payload=b"Q\0\0\0\x28ALTER TABLE orders DROP COLUMN note\0",
    digest="d" * 64,
)
HOLD = Hold(policies=("destructive-needs-dba",), policy_hash="h1", groups=("dba",), expires_seconds=600)
DBA = principal("bob", "dba")


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def approvals_over(store: ApprovalStore, clock: Clock | None = None, **settings: Any) -> Approvals:
    counter = itertools.count(1)
    return Approvals(
        store=store,
        key=KEY,
        clock=clock or Clock(),
        random_bytes=lambda count: next(counter).to_bytes(count, "big"),
        **{"poll_seconds": 60.0, **settings},
    )


async def held(approvals: Approvals, hold: Hold = HOLD, **changes: Any) -> HeldAction:
    session = changes.pop("session", SESSION)
    return await approvals.hold(session, msgspec.structs.replace(ACTION, **changes), hold, approval_id="a1", now=NOW)


def run(story: Callable[[MemoryApprovalStore, Approvals], Coroutine[Any, Any, None]]) -> None:
    store = MemoryApprovalStore()
    asyncio.run(story(store, approvals_over(store)))


def test_agent_s_action_is_held_a_person_approves_and_the_stored_bytes_run() -> None:
    async def story(store: MemoryApprovalStore, approvals: Approvals) -> None:
        await held(approvals)
        waiting = asyncio.get_running_loop().create_task(approvals.wait("a1"))
        await asyncio.sleep(0)
        decided = await approvals.decide("a1", DBA, APPROVE, comment="go", now=NOW)
        assert isinstance(decided, HeldAction)
        assert decided.state is HoldState.RELEASED
        assert await waiting == Released("a1", groups=("dba",), approvers=("https://idp/|bob",))
        assert await approvals.consume("a1", session=SESSION, digest=ACTION.digest, now=NOW) == ACTION.payload
        again = await approvals.consume("a1", session=SESSION, digest=ACTION.digest, now=NOW)
        assert isinstance(again, Refused)
        assert again.code == "hold_consumed"

    run(story)


def test_person_refuses_and_the_waiting_agent_hears_at_once() -> None:
    async def story(store: MemoryApprovalStore, approvals: Approvals) -> None:
        await held(approvals)
        waiting = asyncio.get_running_loop().create_task(approvals.wait("a1"))
        await asyncio.sleep(0)
        await approvals.decide("a1", DBA, DENY, comment="no", now=NOW)
        answer = await waiting
        assert isinstance(answer, Refused)
        assert (answer.code, answer.approvers) == ("hold_denied", ("https://idp/|bob",))
        late = await approvals.decide("a1", principal("carol", "dba"), APPROVE, comment="", now=NOW)
        assert late == Rejected("hold_ended", "this is already denied")

    run(story)


def test_decision_made_in_another_process_is_found_by_the_poll() -> None:
    async def story() -> None:
        store = MemoryApprovalStore()
        here, there = approvals_over(store, poll_seconds=0.001), approvals_over(store)
        await held(here)
        waiting = asyncio.get_running_loop().create_task(here.wait("a1"))
        await asyncio.sleep(0)
        await there.decide("a1", DBA, APPROVE, comment="", now=NOW)
        assert isinstance(await waiting, Released)

    asyncio.run(story())


def test_nobody_decides_and_the_hold_expires_and_its_copy_is_gone_P7() -> None:
    async def story() -> None:
        store, clock = MemoryApprovalStore(), Clock()
        approvals = approvals_over(store, clock)
        await held(approvals)
        waiting = asyncio.get_running_loop().create_task(approvals.wait("a1"))
        await asyncio.sleep(0)
        clock.now = NOW + timedelta(seconds=600)
        approvals.notify("a1")
        answer = await waiting
        assert isinstance(answer, Refused)
        assert answer.code == "hold_expired"
        assert await approvals.view("a1") is None

    asyncio.run(story())


def test_approval_given_or_used_after_the_deadline_does_not_count_P9() -> None:
    async def story(store: MemoryApprovalStore, approvals: Approvals) -> None:
        await held(approvals)
        late = await approvals.decide("a1", DBA, APPROVE, comment="", now=NOW + timedelta(seconds=600))
        assert isinstance(late, Rejected)
        assert late.code == "hold_expired"
        await approvals.decide("a1", DBA, APPROVE, comment="", now=NOW + timedelta(seconds=599))
        used = await approvals.consume("a1", session=SESSION, digest=ACTION.digest, now=NOW + timedelta(seconds=600))
        assert isinstance(used, Refused)
        assert used.code == "hold_expired"

    run(story)


def test_client_hangs_up_and_the_later_approval_finds_nothing_to_release() -> None:
    async def story(store: MemoryApprovalStore, approvals: Approvals) -> None:
        await held(approvals)
        assert await approvals.withdraw("a1", now=NOW)
        assert not await approvals.withdraw("a1", now=NOW)
        late = await approvals.decide("a1", DBA, APPROVE, comment="", now=NOW)
        assert late == Rejected("hold_ended", "this is already withdrawn")
        answer = await approvals.wait("a1")
        assert isinstance(answer, Refused)
        assert answer.code == "withdrawn"

    run(story)


def test_unapproved_action_cannot_be_consumed_P9() -> None:
    async def story(store: MemoryApprovalStore, approvals: Approvals) -> None:
        await held(approvals)
        answer = await approvals.consume("a1", session=SESSION, digest=ACTION.digest, now=NOW)
        assert isinstance(answer, Refused)
        assert answer.code == "hold_waiting"

    run(story)


@pytest.mark.parametrize(
    ("approver", "code"),
    [
        (BOT, "approver_not_human"),
        (principal("deploy", "dba", kind=PrincipalKind.WORKLOAD), "approver_not_human"),
        (replace(DBA, actors=(Actor("helper-bot", "https://idp/"),)), "approver_delegated"),
        (replace(DBA, expires_at=NOW), "approver_expired"),
        (replace(DBA, development=True), "approver_development"),
        (replace(DBA, resources=frozenset({"other"})), "approver_resource"),
        (principal("alice", "dba"), "approver_is_requester"),
        (principal("someone", "dba", person="ALICE "), "approver_is_requester"),
        (replace(principal("alice", "dba"), issuer="https://second-idp/"), "approver_is_requester"),
        (principal("a.smith", "dba", person="\uff41lice"), "approver_is_requester"),
        (principal("ci-runner", "dba"), "approver_is_requester"),
        (principal("bot", "dba"), "approver_is_requester"),
        (principal("carol", "security"), "approver_not_in_group"),
        (principal("dave"), "approver_not_in_group"),
    ],
)
@pytest.mark.parametrize("kind", [APPROVE, DENY])
def test_who_may_not_decide_is_rejected_and_nothing_changes_P9_T21(
    approver: Principal, code: str, kind: VerdictKind
) -> None:
    async def story(store: MemoryApprovalStore, approvals: Approvals) -> None:
        hold = await held(approvals)
        answer = await approvals.decide("a1", approver, kind, comment="", now=NOW)
        assert isinstance(answer, Rejected)
        assert answer.code == code
        assert await approvals.find_objection("a1", approver, kind, now=NOW) == answer
        assert await store.find("a1") == hold

    run(story)


def test_approver_s_token_lacks_the_demanded_second_factor_T21() -> None:
    async def story() -> None:
        approvals = approvals_over(MemoryApprovalStore(), required_claims={"amr": "mfa"})
        await held(approvals)
        without = await approvals.decide("a1", replace(DBA, claims={"amr": "pwd"}), APPROVE, comment="", now=NOW)
        assert isinstance(without, Rejected)
        assert without.code == "approver_claim"
        with_it = replace(DBA, claims={"amr": "pwd mfa"})
        assert isinstance(await approvals.decide("a1", with_it, APPROVE, comment="", now=NOW), HeldAction)

    asyncio.run(story())


def test_development_token_approves_where_development_is_allowed() -> None:
    async def story() -> None:
        approvals = approvals_over(MemoryApprovalStore(), allow_development=True)
        await held(approvals)
        decided = await approvals.decide("a1", replace(DBA, development=True), APPROVE, comment="", now=NOW)
        assert isinstance(decided, HeldAction)

    asyncio.run(story())


def test_two_groups_need_two_people_and_one_in_both_counts_once_P9() -> None:
    async def story(store: MemoryApprovalStore, approvals: Approvals) -> None:
        await held(approvals, replace(HOLD, groups=("dba", "security")))
        both = principal("bob", "dba", "security")
        first = await approvals.decide("a1", both, APPROVE, comment="", now=NOW)
        assert isinstance(first, HeldAction)
        assert first.state is HoldState.WAITING
        again = await approvals.decide("a1", replace(both, token_id="t2"), APPROVE, comment="", now=NOW)
        assert isinstance(again, Rejected)
        assert again.code == "approver_again"
        second = await approvals.decide("a1", principal("carol", "dba"), APPROVE, comment="", now=NOW)
        assert isinstance(second, HeldAction)
        assert second.state is HoldState.RELEASED
        released = await approvals.wait("a1")
        assert isinstance(released, Released)
        assert released.approvers == ("https://idp/|carol", "https://idp/|bob")

    run(story)


def test_same_group_approves_twice_and_the_other_is_still_needed_P9() -> None:
    async def story(store: MemoryApprovalStore, approvals: Approvals) -> None:
        await held(approvals, replace(HOLD, groups=("dba", "security")))
        await approvals.decide("a1", DBA, APPROVE, comment="", now=NOW)
        answer = await approvals.decide("a1", principal("carol", "dba"), APPROVE, comment="", now=NOW)
        assert answer == Rejected("group_already_approved", "your group has approved; somebody of security must still")

    run(story)


@pytest.mark.parametrize(
    ("session", "digest"),
    [
        (replace(SESSION, principal=replace(BOT, subject="other")), ACTION.digest),
        (SESSION, "e" * 64),
    ],
)
def test_approved_copy_does_not_open_for_another_principal_or_action_T19_T20(session: Session, digest: str) -> None:
    async def story(store: MemoryApprovalStore, approvals: Approvals) -> None:
        await held(approvals)
        await approvals.decide("a1", DBA, APPROVE, comment="", now=NOW)
        with pytest.raises(SealBroken):
            await approvals.consume("a1", session=session, digest=digest, now=NOW)

    run(story)


def test_approval_is_used_from_another_session_and_stays_unused_T20() -> None:
    async def story(store: MemoryApprovalStore, approvals: Approvals) -> None:
        await held(approvals)
        await approvals.decide("a1", DBA, APPROVE, comment="", now=NOW)
        stolen = await approvals.consume("a1", session=replace(SESSION, id="s2"), digest=ACTION.digest, now=NOW)
        assert isinstance(stolen, Refused)
        assert stolen.code == "hold_missing"
        assert await approvals.consume("a1", session=SESSION, digest=ACTION.digest, now=NOW) == ACTION.payload

    run(story)


def test_two_holds_copies_are_swapped_in_the_database_and_neither_opens_T19() -> None:
    async def story(store: MemoryApprovalStore, approvals: Approvals) -> None:
        await held(approvals)
        await approvals.hold(SESSION, msgspec.structs.replace(ACTION, payload=b"DROP"), HOLD, approval_id="a2", now=NOW)
        sealed = store._sealed
        sealed["a1"], sealed["a2"] = sealed["a2"], sealed["a1"]
        await approvals.decide("a1", DBA, APPROVE, comment="", now=NOW)
        with pytest.raises(SealBroken):
            await approvals.view("a2")
        with pytest.raises(SealBroken):
            await approvals.consume("a1", session=SESSION, digest=ACTION.digest, now=NOW)

    run(story)


def test_a_hundred_consume_at_once_over_four_processes_connections_and_one_runs_T20(tmp_path: Path) -> None:
    async def story() -> None:
        await migrate(tmp_path / "s.db")
        databases = [Database(tmp_path / "s.db") for _ in range(4)]
        workers = [approvals_over(SqlApprovalStore(database)) for database in databases]
        await held(workers[0])
        await workers[1].decide("a1", DBA, APPROVE, comment="", now=NOW)
        results = await asyncio.gather(
            *(workers[n % 4].consume("a1", session=SESSION, digest=ACTION.digest, now=NOW) for n in range(100))
        )
        assert [result for result in results if isinstance(result, bytes)] == [ACTION.payload]
        assert {result.code for result in results if isinstance(result, Refused)} == {"hold_consumed"}
        for database in databases:
            await database.close()

    asyncio.run(story())


def test_approval_and_refusal_race_and_exactly_one_counts_T20(tmp_path: Path) -> None:
    async def story() -> None:
        await migrate(tmp_path / "s.db")
        databases = [Database(tmp_path / "s.db") for _ in range(2)]
        one, two = (approvals_over(SqlApprovalStore(database)) for database in databases)
        await held(one)
        results = await asyncio.gather(
            one.decide("a1", DBA, APPROVE, comment="", now=NOW),
            two.decide("a1", principal("carol", "dba"), DENY, comment="", now=NOW),
            one.withdraw("a1", now=NOW),
        )
        final = await two.find("a1")
        assert final is not None
        assert final.state in (HoldState.DENIED, HoldState.WITHDRAWN)
        assert len(final.verdicts) == sum(isinstance(result, HeldAction) for result in results)
        for database in databases:
            await database.close()

    asyncio.run(story())


def test_approver_reads_the_whole_text_with_hidden_characters_shown_T19() -> None:
    async def story(store: MemoryApprovalStore, approvals: Approvals) -> None:
        text = "SELECT 1; \x1b[2K\u202e" + "x" * 100_000 + " DROP TABLE \u043erders"
        await held(approvals, text=text)
        view = await approvals.view("a1")
        assert view is not None
        assert view.text.endswith(" DROP TABLE ‹U+043E CYRILLIC SMALL LETTER O›rders")
        assert view.text.startswith("SELECT 1; ‹U+001B›[2K‹U+202E RIGHT-TO-LEFT OVERRIDE›x")
        assert (view.text_characters, view.marks) == (len(text), 3)
        assert view.reason == "migration ‹U+202E RIGHT-TO-LEFT OVERRIDE›42"
        assert view.facts == {"drops": ("column:orders.note",), "bounded": False}

    run(story)


def test_stored_hold_shows_nothing_of_the_statement_P7() -> None:
    async def story(store: MemoryApprovalStore, approvals: Approvals) -> None:
        await held(approvals, text="SELECT 'CANARY'", payload=b"SELECT 'CANARY'")
        assert "CANARY" not in repr(await store.find("a1"))
        assert not any(b"CANARY" in part for part in store._sealed["a1"])

    run(story)


def test_session_floods_approvers_and_is_stopped_by_each_limit_P10() -> None:
    async def story() -> None:
        limits = HoldLimits(per_session=1, per_principal=2, payload_bytes=100)
        approvals = approvals_over(MemoryApprovalStore(), limits=limits)
        await held(approvals)
        with pytest.raises(LimitExceeded, match="holds_per_session"):
            await approvals.hold(SESSION, ACTION, HOLD, approval_id="a2", now=NOW)
        await approvals.hold(replace(SESSION, id="s2"), ACTION, HOLD, approval_id="a3", now=NOW)
        with pytest.raises(LimitExceeded, match="holds_per_principal"):
            await approvals.hold(replace(SESSION, id="s3"), ACTION, HOLD, approval_id="a4", now=NOW)
        with pytest.raises(LimitExceeded, match="held_bytes"):
            await held(approvals, payload=b"x" * 101)

    asyncio.run(story())


def test_policy_asks_for_a_longer_hold_than_the_configuration_allows() -> None:
    async def story() -> None:
        approvals = approvals_over(MemoryApprovalStore(), limits=HoldLimits(max_expires_seconds=60))
        assert (await held(approvals)).expires_at == NOW + timedelta(seconds=60)

    asyncio.run(story())


def test_sweep_ends_what_expired_and_what_lost_its_session() -> None:
    async def story(store: MemoryApprovalStore, approvals: Approvals) -> None:
        await held(approvals)
        await approvals.hold(
            replace(SESSION, id="s2"), ACTION, replace(HOLD, expires_seconds=10), approval_id="a2", now=NOW
        )
        expired = await approvals.expire(NOW + timedelta(seconds=10))
        assert [hold.id for hold in expired] == ["a2"]
        assert await approvals.abandon(now=NOW, lives=lambda session: session == "s1") == []
        abandoned = await approvals.abandon(now=NOW, lives=lambda session: False)
        assert [hold.id for hold in abandoned] == ["a1"]
        ended = await approvals.find_all(ended=True)
        assert [(hold.id, hold.end_code) for hold in ended] == [("a2", "hold_expired"), ("a1", "session_ended")]
        assert await approvals.find_all() == []

    run(story)
