import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from interlock.approval import Approvals, HeldAction, HoldState, MemoryApprovalStore
from interlock.audit.journal import Journal
from interlock.control import (
    ControlClient,
    ControlError,
    ControlServer,
    GatewayUnreachable,
    HandleIssuer,
    Operations,
    RecordedChanges,
)
from interlock.control.messages import (
    Decide,
    IssueHandle,
    KillSession,
    ListApprovals,
    ListSessions,
    Ping,
    Reload,
    Request,
    Revoke,
    ShowApproval,
    Status,
    TailLog,
)
from interlock.core.action import Action
from interlock.core.decision import Hold
from interlock.core.errors import AuditUnavailable, AuthenticationError, InterlockError, PolicyError
from interlock.core.principal import Principal, PrincipalKind
from interlock.core.resource import Resource
from interlock.core.secret import Secret
from interlock.core.session import Session
from interlock.storage import Database, SqlHandleStore, SqlRevocationStore, SqlSessionStore, migrate

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def principal(name: str, *groups: str, kind: PrincipalKind = PrincipalKind.HUMAN) -> Principal:
    return Principal(
        subject=name,
        issuer="https://idp/",
        kind=kind,
        expires_at=NOW + timedelta(hours=1),
        token_id=f"t-{name}",
        groups=frozenset(groups),
    )


PEOPLE = {
    "bob-token": principal("bob", "dba"),
    "bot-token": principal("bot", "dba", kind=PrincipalKind.AGENT),
}
SESSION = Session(
    id="s1",
    principal=principal("bot", kind=PrincipalKind.AGENT),
    resource=Resource("shop", "postgres", "db:5432"),
    database="shop",
    client_address="127.0.0.1:5",
    started_at=NOW,
    expires_at=NOW + timedelta(hours=1),
)
ACTION = Action(
    "s1.1", "postgres.delete", ("destroy/postgres.delete",), {}, "DELETE FROM t", b"DELETE FROM t", "d" * 64
)


class Gateway:
    """The rest of the gateway, as far as these tests look at it; what it did is in ``events``, in order."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.recording = True
        self.policies_are_broken = False

    async def append(self, entry: bytes, payload: bytes | None) -> int:
        if not self.recording:
            raise AuditUnavailable("disk full")
        decoded = json.loads(entry)
        self.events.append(
            f"recorded {decoded['type']} {decoded['decision']} by {','.join(decoded.get('approvers', []))}"
        )
        return 1

    async def authenticate_person(self, credential: Secret, now: datetime) -> Principal:
        found = PEOPLE.get(credential.reveal())
        if found is None:
            raise AuthenticationError("unknown token")
        return found

    async def kill(self, session_id: str, *, code: str, message: str) -> bool:
        self.events.append(f"killed {session_id}")
        return True

    async def notify_approval(self, approval_id: str) -> None:
        self.events.append(f"notified {approval_id}")

    async def revoked(self, kind: str, value: str) -> int:
        self.events.append(f"revoked {kind} {value}")
        return 2

    async def reload(self) -> Mapping[str, object]:
        if self.policies_are_broken:
            raise PolicyError("readers.cedar:3: unexpected token")
        self.events.append("reloaded")
        return {"policy_hash": "abc"}

    async def status(self) -> Mapping[str, object]:
        return {"version": "0"}

    async def tail(self, *, lines: int, follow: bool) -> AsyncIterator[bytes]:
        for number in range(lines):
            yield b'{"seq":%d}' % number
        if follow:
            await asyncio.Event().wait()


class House:
    """A control server over real approvals and a real database, and the one who asks it."""

    def __init__(self, folder: Path, database: Database, **settings: Any) -> None:
        self.path = folder / "control.sock"
        self.gateway = Gateway()
        self.sessions = SqlSessionStore(database)
        self.revocations = SqlRevocationStore(database)
        self.approvals = Approvals(
            store=MemoryApprovalStore(), key=bytes(32), clock=lambda: NOW, random_bytes=os.urandom
        )
        journal = Journal(instance="i", worker="0", now_us=lambda: 1, mono_us=lambda: 1, random=os.urandom)
        self.server = ControlServer(
            self.path,
            Operations(
                admin=self.gateway,
                sessions=self.sessions,
                holds=self.approvals,
                authenticator=self.gateway,
                revocations=self.revocations,
                handles=HandleIssuer(store=SqlHandleStore(database), max_seconds=60, random=os.urandom),
                log=self.gateway,
                changes=RecordedChanges(journal=journal, append=self.gateway.append),
                now=lambda: NOW,
            ),
            **settings,
        )

    async def ask(self, request: Request) -> Any:
        return await asyncio.to_thread(ControlClient(self.path).ask, request)

    async def held(self) -> HeldAction:
        hold = Hold(("p",), "h", ("dba",), 600)
        return await self.approvals.hold(SESSION, ACTION, hold, approval_id="a1", now=NOW)

    async def say(self, data: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        writer.write(data)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer


def run(folder: Path, story: Callable[[House], Any], **settings: Any) -> None:
    async def whole() -> None:
        await migrate(folder / "state.db")
        database = Database(folder / "state.db")
        house = House(folder, database, **settings)
        await house.server.start()
        try:
            await story(house)
        finally:
            await house.server.close()
            await database.close()
        assert not house.path.exists()

    asyncio.run(whole())


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


def test_person_exchanges_a_token_for_a_handle_of_one_resource(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        answer = await house.ask(IssueHandle("shop", "bob-token", uses=3, seconds=9999))
        assert answer["handle"].startswith("ilk_")
        assert datetime.fromisoformat(answer["expires_at"]) == NOW + timedelta(seconds=60)

    run(tmp_path, story)


def test_log_is_tailed_and_followed_until_the_reader_leaves(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        client = ControlClient(house.path)
        rows = await asyncio.to_thread(lambda: list(client.stream(TailLog(lines=3))))
        assert rows == [{"seq": 0}, {"seq": 1}, {"seq": 2}, None]

        def follow() -> list[Any]:
            stream = client.stream(TailLog(lines=2, follow=True), endless=True)
            return [next(stream), next(stream)]

        assert await asyncio.to_thread(follow) == [{"seq": 0}, {"seq": 1}]
        assert await house.ask(Ping()) == {"version": 1}

    run(tmp_path, story)


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{}\n",
        b'{"op":"shutdown"}\n',
        b'{"op":"ping","x":1}\n',
        b'{"op":"approvals.decide","id":1}\n',
        b"\xff\xfe\n",
        b"[" * 5000 + b"\n",
        b'{"op":"approvals.show","id":"\\ud800"}\n',
        b"x" * 70_000,
    ],
)
def test_garbage_is_answered_with_an_error_and_the_next_one_is_served_P10(tmp_path: Path, line: bytes) -> None:
    async def story(house: House) -> None:
        answer = json.loads((await house.say(line)).splitlines()[0])
        assert answer["error"]["code"] == "bad_request"
        assert await house.ask(Status()) == {"version": "0"}

    run(tmp_path, story)


def test_token_in_a_malformed_request_is_not_repeated_P5(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        answer = await house.say(b'{"op":"approvals.decide","id":"a","verdict":"approve","token":["CANARY"]}\n')
        assert b"bad_request" in answer
        assert b"CANARY" not in answer

    run(tmp_path, story)
    assert "CANARY" not in repr(Decide("a", "approve", "CANARY")) + repr(IssueHandle("r", "CANARY"))


def test_silent_client_is_dropped_and_others_are_served(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        reader, writer = await asyncio.open_unix_connection(str(house.path))
        writer.write(b'{"op":')
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        assert await house.ask(Ping()) == {"version": 1}

    run(tmp_path, story, idle_seconds=0.01)


def test_another_user_is_refused_whatever_the_file_mode_says(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        answer = json.loads(await house.say(b'{"op":"ping"}\n'))
        if os.geteuid() == 0:
            assert answer["data"] == {"version": 1}
        else:
            assert answer["error"]["code"] == "not_allowed"

    run(tmp_path, story, owner=os.geteuid() + 1)


def test_socket_is_its_owner_s_only(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        mode = await asyncio.to_thread(lambda: house.path.stat().st_mode)
        assert stat.S_IMODE(mode) == 0o600

    run(tmp_path, story)


def test_dead_socket_in_the_way_is_replaced_a_living_one_and_a_file_are_not(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "control.sock"))

    async def story(house: House) -> None:
        second = ControlServer(house.path, house.server._operations)
        with pytest.raises(InterlockError, match="another gateway"):
            await second.start()
        assert await house.ask(Ping()) == {"version": 1}

    run(tmp_path, story)
    (tmp_path / "control.sock").write_text("precious")

    async def start() -> None:
        await ControlServer(tmp_path / "control.sock", None).start()  # type: ignore[arg-type]  # never asked

    with pytest.raises(InterlockError, match="isn't a socket"):
        asyncio.run(start())
    assert (tmp_path / "control.sock").read_text() == "precious"


def test_nobody_listens_and_the_client_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(GatewayUnreachable, match="interlock serve"):
        ControlClient(tmp_path / "control.sock").ask(Ping())
