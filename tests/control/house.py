"""A control server over real approvals and a real database; the rest of the gateway is a few lines that remember."""

import asyncio
import json
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from interlock.approval import Approvals, HeldAction, MemoryApprovalStore
from interlock.audit.journal import Journal
from interlock.control import ControlClient, ControlServer, HandleIssuer, Operations, RecordedChanges
from interlock.control.messages import Request
from interlock.core.action import Action
from interlock.core.decision import Hold
from interlock.core.errors import AuditUnavailable, AuthenticationError, PolicyError
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
    """What it did is in ``events``, in order."""

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
            yield b'{"seq":%d,"type":"intent","reason":"a\\u001b[2J"}' % number
        if follow:
            await asyncio.Event().wait()


class House:
    """A control server over real approvals and a real database, and the one who asks it."""

    def __init__(self, folder: Path, database: Database, *, path: Path | None = None, **settings: Any) -> None:
        self.path = path or folder / "control.sock"
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


@contextmanager
def living_house(folder: Path, socket: Path) -> Iterator[House]:
    """A house that serves in a thread of its own, for commands that block."""
    ready, houses, stop = threading.Event(), list[House](), list[Callable[[], object]]()

    async def live() -> None:
        await migrate(folder / "house.db")
        database = Database(folder / "house.db")
        house = House(folder, database, path=socket)
        await house.server.start()
        await house.held()
        await house.sessions.add(SESSION, worker=1)
        leaving = asyncio.Event()
        loop = asyncio.get_running_loop()
        houses.append(house)
        stop.append(partial(loop.call_soon_threadsafe, leaving.set))
        ready.set()
        await leaving.wait()
        await house.server.close()
        await database.close()

    thread = threading.Thread(target=lambda: asyncio.run(live()), daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield houses[0]
    finally:
        stop[0]()
        thread.join(30)
