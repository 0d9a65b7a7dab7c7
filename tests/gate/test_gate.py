"""The pipeline with its real rooms: policy, approvals, and a recorder process that can be killed."""

import asyncio
import itertools
import os
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from interlock.approval import Approvals, MemoryApprovalStore, VerdictKind
from interlock.audit.client import RecorderClient
from interlock.audit.entry import Entry
from interlock.audit.journal import Journal
from interlock.audit.launch import RecorderProcess
from interlock.audit.reading import LogReader, RecordingReader
from interlock.core.action import Action
from interlock.core.commands import Ask, Authenticate, Held
from interlock.core.decision import Deny
from interlock.core.errors import AuthenticationError, StorageError
from interlock.core.outcome import Outcome, OutcomeStatus
from interlock.core.permit import GATE_MINT, Permit, SessionPermit  # noqa: TID251 - the rule is attacked here
from interlock.core.principal import Actor, Principal, PrincipalKind
from interlock.core.resource import Resource
from interlock.core.secret import Secret
from interlock.core.session import Session
from interlock.gate import Gate
from interlock.gate.services import GateLimits
from interlock.policy import Decider, PolicySet
from interlock.policy.leaves import CONNECT_FACTS

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
POLICIES = """
@id("readers") permit (principal in Group::"agents", action in [Action::"read", Action::"session"], resource);
@id("writers") permit (principal in Group::"agents", action in [Action::"write", Action::"destroy"], resource);
@id("needs-dba") @approvers("dba") @expires("10m")
forbid (principal, action in Action::"destroy", resource) unless { context.approved_by.contains("dba") };
"""
READ_ONLY = '\n@id("ro") @read_only permit (principal, action == Action::"session/connect", resource);'
SHOP = Resource("shop", "postgres", "127.0.0.1:5432", {"environment": "production"})
AGENT = Principal(
    "reviewer",
    "https://ci",
    PrincipalKind.AGENT,
    NOW + timedelta(minutes=15),
    "t1",
    groups=frozenset({"agents"}),
    person="https://idp|alice",
    actors=(Actor("runner", "https://ci"),),
)
DBA = Principal(
    "bob",
    "https://idp",
    PrincipalKind.HUMAN,
    NOW + timedelta(hours=1),
    "t2",
    frozenset({"dba"}),
    person="https://idp|bob",
)


class Tokens:
    """An authenticator of two tokens."""

    def __init__(self, principal: Principal) -> None:
        self.principal = principal

    async def authenticate(self, credential: Secret, resource: str, now: datetime) -> Principal:
        if credential.reveal() != "good":
            msg = "signature"
            raise AuthenticationError(msg)
        return self.principal


class Registry:
    """Open sessions of one process; ``broken`` makes it fail as a database would."""

    def __init__(self) -> None:
        self.open: dict[str, Session] = {}
        self.broken = False

    async def opened(self, session: Session) -> None:
        if self.broken:
            msg = "disk I/O error"
            raise StorageError(msg)
        self.open[session.id] = session

    async def closed(self, session_id: str, code: str) -> None:
        self.open.pop(session_id, None)

    async def count_open(self, principal_id: str) -> int:
        return sum(session.principal.id == principal_id for session in self.open.values())


@dataclass
class Bench:
    """A gate with everything around it."""

    gate: Gate
    recorder: RecorderProcess
    client: RecorderClient
    approvals: Approvals
    registry: Registry
    directory: Path
    tokens: Tokens

    def entries(self) -> list[Entry]:
        return [logged.entry for logged in LogReader(self.directory).entries() if logged.entry.session]

    async def written(self, count: int) -> list[Entry]:
        """The sessions' entries, once the recorder has everything."""
        await self.client.sync()
        entries = self.entries()
        assert len(entries) == count, [entry.type for entry in entries]
        return entries

    async def open(self) -> Session:
        request = Authenticate("shop", "shop", Secret("good"), {"application_name": "psql"})
        opened = await self.gate.open_session(request, protocol="postgres", client_address="127.0.0.1:9", tls=True)
        assert not isinstance(opened, Deny), opened
        return opened[0]


def an_action(session: Session, leaf: str, number: int = 1, **changes: object) -> Action:
    text = f"{leaf} {number}"
    action = Action(
        f"{session.id}.{number}", leaf.partition("/")[2], (leaf,), CONNECT_FACTS, text, text.encode(), f"{number:064x}"
    )
    return msgspec.structs.replace(action, **changes)


def play(
    directory: Path,
    story: Callable[[Bench], Coroutine[None, None, None]],
    *,
    policies: str = POLICIES,
    strict: bool = False,
) -> None:
    """Run a story against a gate with a real recorder process."""

    async def scene() -> None:
        ids = itertools.count(1)
        recorder = RecorderProcess(directory, instance="test", durability="balanced", random=os.urandom)
        end = recorder.add_channel("w0")
        recorder.start()
        journal = Journal(
            instance="test",
            worker="w0",
            now_us=lambda: time.time_ns() // 1000,
            mono_us=lambda: time.monotonic_ns() // 1000,
            random=os.urandom,
        )
        client = RecorderClient(
            end.sock.dup(), os.dup(end.kick), gap=lambda lost, count: journal.gap("refused", lost=lost, count=count)
        )
        client.attach(asyncio.get_running_loop())
        approvals = Approvals(
            store=MemoryApprovalStore(), key=bytes(32), clock=lambda: NOW, random_bytes=os.urandom, poll_seconds=30.0
        )
        registry, tokens = Registry(), Tokens(AGENT)
        gate = Gate(
            authenticator=tokens,
            decider=Decider(PolicySet.from_sources({"test.cedar": policies})),
            approvals=approvals,
            recorder=client,
            journal=journal,
            registry=registry,
            resources={"shop": SHOP},
            limits=GateLimits(connections_per_principal=3, strict=strict),
            now=lambda: NOW,
            new_id=lambda: f"id{next(ids)}",
            upstream_user=lambda resource, principal: "app",
        )
        try:
            await story(Bench(gate, recorder, client, approvals, registry, directory, tokens))
        finally:
            client._timeout = 0.2
            await client.close()
            recorder.close()

    asyncio.run(asyncio.wait_for(scene(), 60))


def test_only_the_gate_mints_permits_P1() -> None:
    with pytest.raises(TypeError):
        Permit(mint=object(), action_id="a")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        SessionPermit(mint=None, session_id="s")  # type: ignore[arg-type]
    assert Permit(mint=GATE_MINT, action_id="a").action_id == "a"


def test_a_read_is_permitted_at_once_and_its_intent_survives_a_kill_of_the_recorder_P1(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        session = await bench.open()
        os.kill(bench.recorder.pid or 0, 9)
        answer = bench.gate.authorize_now(session, Ask(an_action(session, "read/postgres.select")))
        assert isinstance(answer, Permit)
        bench.recorder.kill()
        assert bench.recorder.restart_if_dead()
        start, intent = await bench.written(2)
        assert (start.type, intent.type, intent.action) == ("session_start", "intent", answer.action_id)

    play(tmp_path, story)


def test_a_write_waits_until_its_intent_is_on_disk_P1(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        session = await bench.open()
        ask = Ask(an_action(session, "write/postgres.insert"))
        assert bench.gate.authorize_now(session, ask) is None
        answer = await bench.gate.authorize(session, ask, lambda held: None)
        assert isinstance(answer, Permit)
        assert [entry.type for entry in bench.entries()] == ["session_start", "intent"]

    play(tmp_path, story)


def test_strict_durability_has_even_reads_on_disk_first_P1(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        session = await bench.open()
        ask = Ask(an_action(session, "read/postgres.select"))
        assert bench.gate.authorize_now(session, ask) is None
        assert isinstance(await bench.gate.authorize(session, ask, lambda held: None), Permit)
        assert bench.entries()[-1].type == "intent"

    play(tmp_path, story, strict=True)


def test_the_recorder_is_gone_and_nothing_is_permitted_P1_T22(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        session = await bench.open()
        bench.client._timeout = 0.2
        bench.recorder.kill()
        answer = await bench.gate.authorize(
            session, Ask(an_action(session, "write/postgres.insert")), lambda held: None
        )
        assert isinstance(answer, Deny)
        assert answer.code == "audit_unavailable"
        request = Authenticate("shop", "shop", Secret("good"), {})
        refused = await bench.gate.open_session(request, protocol="postgres", client_address="::1:9", tls=True)
        assert isinstance(refused, Deny)
        assert refused.code == "audit_unavailable"

    play(tmp_path, story)


def test_a_denial_is_recorded_with_what_was_asked(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        session = await bench.open()
        ask = Ask(an_action(session, "admin/postgres.grant"), reason="because")
        answer = await bench.gate.authorize(session, ask, lambda held: None)
        assert isinstance(answer, Deny)
        assert answer.code == "policy_denied"
        entry = (await bench.written(2))[-1]
        assert (entry.type, entry.decision, entry.reason) == ("decision", "deny", "because")
        recorded = list(RecordingReader(bench.directory).session(session.id))
        assert any(b"admin/postgres.grant 1" in one.payload.content for one in recorded)

    play(tmp_path, story)


def test_the_protocols_own_refusal_is_recorded_and_given_back(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        session = await bench.open()
        refusal = Deny("encoding", "no")
        ask = Ask(an_action(session, "read/postgres.select"), refusal=refusal)
        assert bench.gate.authorize_now(session, ask) is None
        assert await bench.gate.authorize(session, ask, lambda held: None) == refusal
        assert (await bench.written(2))[-1].code == "encoding"

    play(tmp_path, story)


async def held(bench: Bench, session: Session, ask: Ask) -> tuple["asyncio.Task[Permit | Deny]", Held]:
    told: asyncio.Future[Held] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()
    waiting = loop.create_task(bench.gate.authorize(session, ask, told.set_result))
    return waiting, await told


def test_a_risky_action_is_held_approved_by_another_and_runs_from_the_stored_copy_P3_P9(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        session = await bench.open()
        ask = Ask(an_action(session, "destroy/postgres.drop_column"))
        waiting, notice = await held(bench, session, ask)
        assert notice.groups == ("dba",)
        assert bench.gate.waits_for_people(session)
        await bench.approvals.decide(notice.approval_id, DBA, VerdictKind.APPROVE, comment="ok", now=NOW)
        answer = await waiting
        assert isinstance(answer, Permit)
        assert answer.stored == ask.action.payload
        assert not bench.gate.waits_for_people(session)
        entries = await bench.written(4)
        assert [(entry.type, entry.decision) for entry in entries] == [
            ("session_start", ""), ("decision", "hold"), ("approval", "consumed"), ("intent", "allow"),
        ]  # fmt: skip
        assert entries[-1].approvers == ("https://idp|bob",)
        assert entries[-1].approval == notice.approval_id

    play(tmp_path, story)


def test_a_person_refuses_and_the_action_never_runs(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        session = await bench.open()
        waiting, notice = await held(bench, session, Ask(an_action(session, "destroy/postgres.delete")))
        await bench.approvals.decide(notice.approval_id, DBA, VerdictKind.DENY, comment="no", now=NOW)
        answer = await waiting
        assert isinstance(answer, Deny)
        assert answer.code == "hold_denied"
        assert [entry.decision for entry in await bench.written(3)] == ["", "hold", "deny"]

    play(tmp_path, story)


def test_the_client_withdraws_and_a_later_approval_releases_nothing_T20(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        session = await bench.open()
        ask = Ask(an_action(session, "destroy/postgres.delete"))
        waiting, notice = await held(bench, session, ask)
        bench.gate.withdraw(ask.action.id)
        answer = await waiting
        assert isinstance(answer, Deny)
        assert answer.code == "withdrawn"
        await bench.approvals.decide(notice.approval_id, DBA, VerdictKind.APPROVE, comment="", now=NOW)
        late = await bench.approvals.consume(notice.approval_id, session=session, digest=ask.action.digest, now=NOW)
        assert not isinstance(late, bytes)

    play(tmp_path, story)


def test_the_client_withdraws_before_anybody_was_asked_and_nobody_waits_P10(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        session = await bench.open()
        ask = Ask(an_action(session, "destroy/postgres.delete"))
        bench.gate.withdraw(ask.action.id)
        async with asyncio.timeout(5):
            answer = await bench.gate.authorize(session, ask, lambda _: None)
        assert isinstance(answer, Deny)
        assert answer.code == "withdrawn"

    play(tmp_path, story)


def test_the_session_ends_while_people_deliberate_and_nothing_runs(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        session = await bench.open()
        waiting, _ = await held(bench, session, Ask(an_action(session, "destroy/postgres.delete")))
        await bench.gate.close_session(session, "client_closed")
        assert isinstance(await waiting, Deny)
        assert bench.gate.authorize_now(session, Ask(an_action(session, "read/postgres.select", 2))) is not None
        assert not bench.registry.open

    play(tmp_path, story)


def test_policy_changed_while_people_deliberated_and_its_no_is_final_T19(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        session = await bench.open()
        waiting, notice = await held(bench, session, Ask(an_action(session, "destroy/postgres.delete")))
        stricter = POLICIES + '@id("never") forbid (principal, action in Action::"destroy", resource);'
        decider = Decider(PolicySet.from_sources({"test.cedar": stricter}))
        bench.gate.reload(decider=decider, resources={"shop": SHOP}, limits=GateLimits())
        await bench.approvals.decide(notice.approval_id, DBA, VerdictKind.APPROVE, comment="", now=NOW)
        answer = await waiting
        assert isinstance(answer, Deny)
        assert answer.code == "policy_denied"

    play(tmp_path, story)


@pytest.mark.parametrize("leaf", ["write/postgres.insert", "destroy/postgres.delete", "execute/postgres.do"])
def test_a_read_only_session_may_only_read_whatever_policy_says_otherwise(tmp_path: Path, leaf: str) -> None:
    async def story(bench: Bench) -> None:
        session = await bench.open()
        assert session.read_only
        assert isinstance(bench.gate.authorize_now(session, Ask(an_action(session, "read/postgres.select"))), Permit)
        answer = await bench.gate.authorize(session, Ask(an_action(session, leaf, 2)), lambda held: None)
        assert isinstance(answer, Deny)
        assert answer.code == "read_only"
        lifts = an_action(session, "session/postgres.set", 3, facts={**CONNECT_FACTS, "lifts_read_only": True})
        answer = await bench.gate.authorize(session, Ask(lifts), lambda held: None)
        assert isinstance(answer, Deny)

    play(tmp_path, story, policies=POLICIES + READ_ONLY)


def test_a_stranger_is_refused_and_the_attempt_is_on_record(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        request = Authenticate("shop", "shop", Secret("stolen-4711"), {})
        refused = await bench.gate.open_session(request, protocol="postgres", client_address="10.0.0.1:9", tls=True)
        assert isinstance(refused, Deny)
        assert refused.code == "authentication"
        await bench.client.sync()
        logged = list(LogReader(bench.directory).entries())
        assert logged[-1].entry.decision == "authentication_failed"
        assert not any(b"stolen-4711" in one.data for one in logged)

    play(tmp_path, story)


def test_a_principal_opens_too_many_sessions_and_the_next_is_refused_T30(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        for _ in range(3):
            await bench.open()
        request = Authenticate("shop", "shop", Secret("good"), {})
        refused = await bench.gate.open_session(request, protocol="postgres", client_address="10.0.0.1:9", tls=True)
        assert isinstance(refused, Deny)
        assert refused.code == "too_many_sessions"

    play(tmp_path, story)


def test_state_cannot_be_written_and_no_session_opens(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        bench.registry.broken = True
        request = Authenticate("shop", "shop", Secret("good"), {})
        refused = await bench.gate.open_session(request, protocol="postgres", client_address="10.0.0.1:9", tls=True)
        assert isinstance(refused, Deny)
        assert refused.code == "storage"

    play(tmp_path, story)


def test_a_principal_that_policy_does_not_know_cannot_connect(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        bench.tokens.principal = replace(AGENT, groups=frozenset())
        request = Authenticate("shop", "shop", Secret("good"), {})
        refused = await bench.gate.open_session(request, protocol="postgres", client_address="10.0.0.1:9", tls=True)
        assert isinstance(refused, Deny)
        assert refused.code == "policy_denied"
        unknown = Authenticate("nope", "shop", Secret("good"), {})
        refused = await bench.gate.open_session(unknown, protocol="postgres", client_address="10.0.0.1:9", tls=True)
        assert isinstance(refused, Deny)
        assert refused.code == "no_resource"

    play(tmp_path, story)


def test_an_outcome_closes_the_action_and_the_chain_of_entries_holds(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        session = await bench.open()
        ask = Ask(an_action(session, "read/postgres.select"))
        assert isinstance(bench.gate.authorize_now(session, ask), Permit)
        assert bench.gate.record(session, ask.action.id, b"row")
        outcome = Outcome(OutcomeStatus.OK, tag="SELECT 1", rows=1, bytes_count=6)
        assert bench.gate.done(session, ask.action.id, outcome, b"end")
        await bench.gate.close_session(session, "client_closed")
        entries = await bench.written(4)
        assert [entry.type for entry in entries] == ["session_start", "intent", "outcome", "session_end"]
        assert [entry.session_seq for entry in entries] == [1, 2, 3, 4]
        assert (entries[2].rows, entries[2].tag, entries[3].code) == (1, "SELECT 1", "client_closed")
        response = b"".join(RecordingReader(bench.directory).responses(session.id, ask.action.id))
        assert response == b"rowend"

    play(tmp_path, story)
