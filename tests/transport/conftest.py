"""A line protocol with a real listener, real sockets and a gate that tests can steer.

The mediator here is small but whole: it authenticates, dials, asks about each line, forwards it with its permit and
records what comes back. The gate follows the interface's contract as ``transport.services`` states it.
"""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from interlock.config.model import LimitsConfig
from interlock.core.action import Action
from interlock.core.commands import (
    Answered,
    Ask,
    Authenticate,
    Authenticated,
    CancelRequested,
    CancelUpstream,
    ClientClosed,
    Close,
    Command,
    Dial,
    DialFailed,
    Dialled,
    Done,
    Event,
    FromClient,
    FromUpstream,
    Held,
    Killed,
    Record,
    Refused,
    Tick,
    ToClient,
    ToUpstream,
    UpstreamClosed,
    Withdraw,
)
from interlock.core.decision import Deny
from interlock.core.errors import UpstreamUnavailable
from interlock.core.outcome import Outcome, OutcomeStatus
from interlock.core.permit import GATE_MINT, Permit, SessionPermit  # noqa: TID251 - the gate's contract, kept by a fake
from interlock.core.principal import Principal, PrincipalKind
from interlock.core.resource import Resource
from interlock.core.secret import Secret
from interlock.core.session import Session
from interlock.transport.cancel import CancelKeys
from interlock.transport.listener import Listener, Opened, bind
from interlock.transport.services import Services
from interlock.transport.sessions import Sessions


class LineMediator:
    """``login TOKEN``, then lines: each is asked about, sent up, and answered by one line from the upstream."""

    def __init__(self) -> None:
        self.buffer = b""
        self.session: Session | None = None
        self.permit: SessionPermit | None = None
        self.ready = False
        self.asking: str | None = None
        self.running: list[str] = []
        self.count = 0
        self.held = False
        self.forge = False

    @property
    def backlog(self) -> int:
        return len(self.buffer)

    @property
    def wants_ticks(self) -> bool:
        return self.held

    def step(self, event: Event) -> list[Command]:
        match event:
            case FromClient(data):
                self.buffer += data
                return self._advance()
            case Authenticated(session, permit):
                self.session, self.permit = session, permit
                return [Dial(permit, {}, cancel_secret_bytes=32)]
            case Refused(deny):
                return [ToClient(f"refused {deny.code}\n".encode()), Close("authentication")]
            case Dialled(_, (pid, secret)):
                self.ready = True
                return [ToClient(f"ready {pid} {secret.hex()}\n".encode()), *self._advance()]
            case DialFailed(code):
                return [ToClient(f"fatal {code}\n".encode()), Close(code)]
            case Answered(action_id, answer):
                self.asking, self.held = None, False
                if isinstance(answer, Deny):
                    return [ToClient(f"denied {answer.code}\n".encode()), *self._advance()]
                line, self.buffer = self._cut()
                self.running.append(action_id)
                return [ToUpstream(line, answer), *self._advance()]
            case FromUpstream(data):
                commands: list[Command] = []
                for line in data.splitlines(keepends=True):
                    if self.running:
                        commands.append(Record(self.running[0], line))
                    commands.append(ToClient(line, recorded=True))
                    if self.running and line.endswith(b"\n"):
                        commands.append(Done(self.running.pop(0), Outcome(OutcomeStatus.OK)))
                return commands
            case Held():
                self.held = True
                return [ToClient(b"held\n")]
            case Tick():
                return [ToClient(b"tick\n")]
            case CancelRequested():
                return [Withdraw(self.asking)] if self.asking else [CancelUpstream()]
            case Killed(code):
                return [ToClient(f"fatal {code}\n".encode()), Close(code)]
            case ClientClosed():
                return [*([Withdraw(self.asking)] if self.asking else []), Close("client_closed")]
            case UpstreamClosed():
                return [ToClient(b"fatal upstream_closed\n"), Close("upstream_closed")]
            case _:
                raise TypeError

    def _cut(self) -> tuple[bytes, bytes]:
        line, _, rest = self.buffer.partition(b"\n")
        return line + b"\n", rest

    def _advance(self) -> list[Command]:
        if self.asking or b"\n" not in self.buffer:
            return []
        if self.session is None:
            line, self.buffer = self._cut()
            return [Authenticate("lines", "", Secret(line.decode().split()[1]), {})]
        if not self.ready:
            return []
        line, rest = self._cut()
        if line.startswith(b"crash"):
            raise ZeroDivisionError(line)
        if line.startswith(b"forge"):
            self.buffer = rest
            forged = Permit(mint=GATE_MINT, action_id="a thing nobody asked about")
            return [ToUpstream(line, forged)]
        if line.startswith(b"deny"):
            self.buffer = rest
        self.count += 1
        assert self.session is not None
        self.asking = f"{self.session.id}-{self.count}"
        text = line.decode()
        action = Action(self.asking, "lines.line", ("read/lines.line",), {}, text, line, "")
        return [Ask(action)]


class LineGate:
    """A gate of three verdicts, by the first word of a line: ``deny`` at once, ``hold`` asks people, else allow."""

    def __init__(self) -> None:
        self.opened: list[Session] = []
        self.closed: list[tuple[str, str]] = []
        self.recorded: list[tuple[str, bytes]] = []
        self.done_actions: list[tuple[str, OutcomeStatus]] = []
        self.permitted: list[str] = []
        self.waiting: dict[str, asyncio.Future[Permit | Deny]] = {}
        self.full = False
        self.has_room = asyncio.Event()
        self.has_room.set()
        self.session_seconds = 3600.0
        self.changed = asyncio.Condition()

    async def open_session(
        self, request: Authenticate, *, protocol: str, client_address: str, tls: bool
    ) -> tuple[Session, SessionPermit] | Deny:
        if request.credential.reveal() == "wrong":
            return Deny("authentication", "no")
        now = datetime.now(UTC)  # noqa: TID251 - sessions here end in real time
        principal = Principal("ada", "test", PrincipalKind.HUMAN, now + timedelta(hours=1), request.credential.reveal())
        session = Session(
            f"s{len(self.opened)}",
            principal,
            Resource(request.resource, protocol, ""),
            request.database,
            client_address,
            now,
            now + timedelta(seconds=self.session_seconds),
        )
        self.opened.append(session)
        return session, SessionPermit(mint=GATE_MINT, session_id=session.id)

    def authorize_now(self, session: Session, ask: Ask) -> Permit | Deny | None:
        if ask.action.text.startswith("deny"):
            return Deny("policy_denied", "no")
        if ask.action.text.startswith("hold"):
            return None
        self.permitted.append(ask.action.text)
        return Permit(mint=GATE_MINT, action_id=ask.action.id)

    async def authorize(self, session: Session, ask: Ask, on_held: Callable[[Held], None]) -> Permit | Deny:
        future: asyncio.Future[Permit | Deny] = asyncio.get_running_loop().create_future()
        self.waiting[ask.action.id] = future
        on_held(Held(ask.action.id, "a1", ("dba",), 60))
        await self._tell()
        return await future

    def withdraw(self, action_id: str) -> None:
        future = self.waiting.pop(action_id, None)
        if future is not None and not future.done():
            future.set_result(Deny("withdrawn", "withdrawn"))

    def approve_all(self) -> None:
        for action_id, future in self.waiting.items():
            self.permitted.append(action_id)
            future.set_result(Permit(mint=GATE_MINT, action_id=action_id))
        self.waiting.clear()

    def waits_for_people(self, session: Session) -> bool:
        return bool(self.waiting)

    def record(self, session: Session, action_id: str, data: bytes) -> bool:
        if self.full:
            return False
        self.recorded.append((action_id, data))
        return True

    async def room(self) -> None:
        await self.has_room.wait()

    def done(self, session: Session, action_id: str, outcome: Outcome, data: bytes = b"") -> bool:
        self.done_actions.append((action_id, outcome.status))
        return True

    async def close_session(self, session: Session, code: str) -> None:
        self.closed.append((session.id, code))
        await self._tell()

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(5), self.changed:
            await self.changed.wait_for(condition)


class LineUpstream:
    """A plain TCP connection to the test's upstream."""

    def __init__(self, port: int, cancelled: list[int]) -> None:
        self.port = port
        self.cancelled = cancelled
        self.parameters: Mapping[str, str] = {}
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setblocking(False)

    async def connect(self) -> None:
        class Waiting(asyncio.Protocol):
            pass

        self.transport, _ = await asyncio.get_running_loop().create_connection(Waiting, sock=self.sock)

    def attach(self, leg: asyncio.Protocol) -> None:
        self.transport.set_protocol(leg)
        leg.connection_made(self.transport)

    def abort(self) -> None:
        self.transport.abort()

    async def cancel(self) -> None:
        self.cancelled.append(self.port)


class LineDialler:
    def __init__(self) -> None:
        self.port = 0
        self.cancelled: list[int] = []

    async def dial(self, session: Session, permit: SessionPermit, parameters: Mapping[str, str]) -> LineUpstream:
        if not self.port:
            raise UpstreamUnavailable
        upstream = LineUpstream(self.port, self.cancelled)
        await upstream.connect()
        return upstream


class NoCatalogues:
    async def look_up(self, session: Session, permit: SessionPermit, **_: object) -> object | None:
        return None

    def release(self, session: Session) -> None:
        pass


class NoOffload:
    async def analyse(self, text: str) -> object:
        return text


class PlainDoor:
    """No words before the protocol's own."""

    async def open(self, sock: socket.socket) -> Opened | None:
        from interlock.transport.postgres.door import _adopt  # noqa: PLC0415 - the same hand-over as PostgreSQL's

        words = await _adopt(sock, None)
        assert words.transport is not None
        try:
            first = await words.read_exactly(1)
        except BaseException:
            words.transport.abort()
            raise
        return Opened(words.transport, first + words.take_rest(), tls=False)

    def refusal(self, code: str) -> bytes:
        return b"refused connections\n"


class Gateway:
    """A listener of the line protocol and what it was given."""

    def __init__(self, limits: LimitsConfig) -> None:
        self.gate = LineGate()
        self.dialler = LineDialler()
        self.keys = CancelKeys(
            3,
            random_bytes=secrets.token_bytes,
            monotonic=asyncio.get_running_loop().time,
            forward=lambda worker, pid, secret: self.forwarded.append((worker, pid, secret)),
        )
        self.forwarded: list[tuple[int, int, bytes]] = []
        self.sessions = Sessions()
        self.services = Services(
            protocol="lines",
            gate=self.gate,
            dialler=self.dialler,
            catalogues=NoCatalogues(),
            offload=NoOffload(),
            cancel_keys=self.keys,
            sessions=self.sessions,
            limits=limits,
            now=lambda: datetime.now(UTC),  # noqa: TID251 - sessions here end in real time
        )
        self.sock = bind("127.0.0.1", 0)
        self.port = self.sock.getsockname()[1]
        self.listener = Listener(self.sock, door=PlainDoor(), services=self.services, make_mediator=LineMediator)
        self.seen = bytearray()
        """Everything that the upstream got."""
        self.writers: list[asyncio.StreamWriter] = []

    async def upper(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The upstream: answers each line in capitals; ``flood N`` with N lines, ``vanish`` by hanging up."""
        self.writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                self.seen += line
                word, _, rest = line.decode().strip().partition(" ")
                if word == "vanish":
                    writer.write(b"half an ans")
                    await writer.drain()
                    break
                if word == "flood":
                    for _ in range(int(rest)):
                        writer.write(b"x" * 1023 + b"\n")
                        await writer.drain()
                elif word != "silent":
                    writer.write(line.upper())
                    await writer.drain()
        writer.close()

    async def until(self, condition: Callable[[], object]) -> None:
        await until(condition)

    async def client(self, token: str = "good") -> "Client":
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
        self.writers.append(writer)
        client = Client(reader, writer)
        if token:
            client.send(f"login {token}")
        return client


async def until(condition: Callable[[], object]) -> None:
    """Let the loop go round until something holds that nobody announces."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0)


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, *lines: str) -> None:
        self.writer.write("".join(line + "\n" for line in lines).encode())

    async def line(self) -> str:
        async with asyncio.timeout(5):
            return (await self.reader.readline()).decode().strip()

    async def rest(self) -> str:
        async with asyncio.timeout(5):
            return (await self.reader.read()).decode()


@contextlib.asynccontextmanager
async def running(limits: LimitsConfig | None = None, *, upstream: bool = True) -> AsyncIterator[Gateway]:
    gateway = Gateway(limits or LimitsConfig())
    server = await asyncio.start_server(gateway.upper, "127.0.0.1", 0)
    if upstream:
        gateway.dialler.port = server.sockets[0].getsockname()[1]
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(gateway.listener.serve())
        try:
            yield gateway
        finally:
            serving.cancel()
            await asyncio.wait([serving])
            server.close()
            for writer in gateway.writers:
                writer.transport.abort()


@pytest.fixture
def gateway() -> Any:
    """The context manager that runs a gateway of the line protocol."""
    return running
