"""The contract of ``ApprovalStore``, run on the database's implementation and on the one in memory."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from interlock.approval import (
    ApprovalStore,
    HeldAction,
    HoldState,
    MemoryApprovalStore,
    Requester,
    Verdict,
    VerdictKind,
)
from interlock.core.errors import StorageError
from interlock.core.principal import Actor, Model, PrincipalKind
from interlock.storage import Database, SqlApprovalStore, migrate

NOW = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
REQUESTER = Requester(
    id="https://i/|bot",
    subject="bot",
    issuer="https://i/",
    kind=PrincipalKind.AGENT,
    person="alice",
    actors=(Actor("ci", "https://i/", PrincipalKind.WORKLOAD), Actor("x", "y")),
    model=Model("v", "n", "1", attested=True),
)
HOLD = HeldAction(
    id="a1",
    version=1,
    state=HoldState.WAITING,
    session_id="s1",
    action_id="s1.4",
    digest="d" * 64,
    payload_bytes=3,
    kind="postgres.delete",
    leaves=("destroy/postgres.delete",),
    resource="shop",
    database="shop",
    requester=REQUESTER,
    groups=("dba", "security"),
    policies=("p",),
    policy_hash="h",
    created_at=NOW,
    expires_at=NOW + timedelta(minutes=30),
)
VERDICT = Verdict(VerdictKind.APPROVE, "bob", "https://i/|bob", ("dba",), "ok ‹U+202E›", NOW)

Check = Callable[[ApprovalStore], Awaitable[None]]
Runner = Callable[[Check], None]


@pytest.fixture(params=["memory", "sqlite"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Runner:
    async def on_sqlite(check: Check) -> None:
        await migrate(tmp_path / "state.db")
        database = Database(tmp_path / "state.db")
        try:
            await check(SqlApprovalStore(database))
        finally:
            await database.close()

    async def in_memory(check: Check) -> None:
        await check(MemoryApprovalStore())

    chosen = in_memory if request.param == "memory" else on_sqlite
    return lambda check: asyncio.run(chosen(check))


def test_hold_is_found_as_it_was_stored(run: Runner) -> None:
    async def check(store: ApprovalStore) -> None:
        await store.insert(HOLD, payload=b"sealed", view=b"shown")
        assert await store.find("a1") == HOLD
        assert await store.find_view("a1") == b"shown"
        assert await store.find("a2") is None
        assert await store.find_view("a2") is None
        voted = replace(HOLD, version=2, verdicts=(VERDICT,))
        assert await store.replace(voted)
        assert await store.find("a1") == voted

    run(check)


def test_hold_is_stored_twice_and_the_first_stays(run: Runner) -> None:
    async def check(store: ApprovalStore) -> None:
        await store.insert(HOLD, payload=b"sealed", view=b"shown")
        with pytest.raises(StorageError):
            await store.insert(replace(HOLD, session_id="other"), payload=b"x", view=b"x")
        assert await store.find("a1") == HOLD

    run(check)


def test_change_of_an_old_version_is_refused(run: Runner) -> None:
    async def check(store: ApprovalStore) -> None:
        await store.insert(HOLD, payload=b"sealed", view=b"shown")
        assert await store.replace(replace(HOLD, version=2, state=HoldState.RELEASED))
        assert not await store.replace(replace(HOLD, version=2, state=HoldState.DENIED))
        assert not await store.replace(replace(HOLD, version=4, state=HoldState.DENIED))
        assert await store.take(replace(HOLD, version=2, state=HoldState.CONSUMED)) is None
        assert not await store.replace(replace(HOLD, id="a2", version=2))
        assert await store.find_view("a1") == b"shown"

    run(check)


@pytest.mark.parametrize("state", [state for state in HoldState if not state.is_open])
def test_hold_ends_and_its_sealed_parts_are_gone_P7(run: Runner, state: HoldState) -> None:
    async def check(store: ApprovalStore) -> None:
        await store.insert(HOLD, payload=b"sealed", view=b"shown")
        assert await store.replace(replace(HOLD, version=2, state=state))
        assert await store.find_view("a1") is None
        assert await store.take(replace(HOLD, version=3, state=HoldState.CONSUMED)) is None

    run(check)


def test_sealed_payload_is_taken_once_and_gone_P7(run: Runner) -> None:
    async def check(store: ApprovalStore) -> None:
        await store.insert(HOLD, payload=b"sealed", view=b"shown")
        taken = replace(HOLD, version=2, state=HoldState.CONSUMED)
        assert await store.take(taken) == b"sealed"
        assert await store.take(taken) is None
        assert await store.find("a1") == taken
        assert await store.find_view("a1") is None

    run(check)


def test_a_hundred_take_at_once_and_exactly_one_gets_it_T20(run: Runner) -> None:
    async def check(store: ApprovalStore) -> None:
        await store.insert(HOLD, payload=b"sealed", view=b"shown")
        taken = replace(HOLD, version=2, state=HoldState.CONSUMED)
        results = await asyncio.gather(*(store.take(taken) for _ in range(100)))
        assert [result for result in results if result is not None] == [b"sealed"]

    run(check)


def test_holds_are_listed_by_state_newest_first_and_counted(run: Runner) -> None:
    async def check(store: ApprovalStore) -> None:
        for number in range(4):
            hold = replace(HOLD, id=f"a{number}", created_at=NOW + timedelta(seconds=number))
            await store.insert(hold, payload=b"p", view=b"v")
        other = replace(HOLD, id="b", session_id="s2", requester=replace(REQUESTER, id="z"), created_at=NOW)
        await store.insert(other, payload=b"p", view=b"v")
        await store.replace(replace(HOLD, id="a1", version=2, state=HoldState.RELEASED, created_at=NOW))
        await store.replace(replace(HOLD, id="a2", version=2, state=HoldState.DENIED, created_at=NOW))
        listed = await store.find_all((HoldState.WAITING,), limit=2)
        assert [hold.id for hold in listed] == ["a3", "b"]
        assert await store.count_open(session_id="s1") == 3
        assert await store.count_open(principal_id=REQUESTER.id) == 3
        assert await store.count_open(session_id="s2", principal_id="z") == 1
        assert await store.count_open() == 4

    run(check)
