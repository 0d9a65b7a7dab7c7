"""The driver of every stream protocol: one inbox, one reader, commands performed in order.

    bytes, answers, ticks -> inbox -> mediator.step -> commands -> bytes, questions, records

Rules that hold here and nowhere else need hold:

* The mediator is stepped by ``_drain`` only, and never by two at once; a callback that finds it busy leaves an event.
* What waits (a gate that asks people, a dial, a thread) waits in a task of this conversation's group, so a hang-up is
  seen meanwhile, and its answer is an event like any other.
* Nothing goes upstream but with a permit that this session was given and that hasn't ended (P1), and no response byte
  goes to the client before the recorder has it: a recorder without room stops both legs.
* Ten thousand pipelined denials are a loop; every ``BURST`` steps the loop goes round, so that no other session waits.
* When anything fails, the client gets the protocol's own error by ``Killed``, and operators the place, never content.
"""

import asyncio
import logging
import select
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, final

from interlock.core.commands import (
    Analyse,
    Analysed,
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
    Learned,
    Lookup,
    Mediator,
    Record,
    Refused,
    Tick,
    ToClient,
    ToUpstream,
    UpstreamClosed,
    Withdraw,
)
from interlock.core.decision import Deny
from interlock.core.errors import AuditUnavailable, InterlockError, UpstreamUnavailable
from interlock.core.outcome import Outcome, OutcomeStatus
from interlock.core.permit import Permit, SessionPermit
from interlock.core.session import Session
from interlock.transport.legs import ClientLeg, UpstreamLeg
from interlock.transport.services import Services, Upstream

_log = logging.getLogger("interlock.transport")

BURST: Final = 64
"""Steps before other sessions get their turn."""
FLUSH_BYTES: Final = 128 * 1024
TICK_SECONDS: Final = 1.0
CLOSE_SECONDS: Final = 5.0
"""How long the last bytes may take to leave."""
SETTLE_SECONDS: Final = 10.0
"""How long the gate may take to settle what a session that is gone still asked."""


class PermitViolation(InterlockError):
    """A mediator wanted to send what it has no permit for: a bug, stopped here (P1)."""

    code = "internal"


@final
class Conversation:
    """One client's connection, from its first protected byte to its closed entry."""

    def __init__(
        self,
        mediator: Mediator,
        services: Services,
        *,
        client_address: str,
        tls: bool,
        accepted_at: float,
        on_authenticated: Callable[[], None],
    ) -> None:
        self._mediator: Final = mediator
        self._services: Final = services
        self._gate: Final = services.gate
        self._loop: Final = asyncio.get_running_loop()
        self._client_address: Final = client_address
        self._tls: Final = tls
        self._on_authenticated: Final = on_authenticated
        self.buffer_bytes: Final = min(services.limits.buffer_bytes, 256 * 1024)
        self.session: Session | None = None
        self.client: Final = ClientLeg(self)
        self._upstream: Upstream | None = None
        self._upstream_leg: UpstreamLeg | None = None
        self._cancel_key: tuple[int, bytes] | None = None
        self._session_permit: SessionPermit | None = None
        self._permits: Final[dict[str, Permit]] = {}
        self._asking: Final[dict[str, asyncio.Task[None]]] = {}
        # the inbox: answers of the fast path first, since they belong to the step before
        self._inbox: Final[deque[Event]] = deque()
        self._answers: Final[deque[Answered]] = deque()
        self._commands: Final[deque[Command]] = deque()
        self._to_client: Final[list[bytes]] = []
        self._to_upstream: Final[list[bytes]] = []
        self._buffered = 0
        self._draining = False
        self._continuing = False
        self._recorder_full = False
        self._failing = False
        self._close_code = ""
        self._client_ended = False
        self._upstream_ended = False
        # time, all monotonic
        self._active_at = accepted_at
        self._handshake_until = accepted_at + services.limits.handshake_seconds
        self._ends_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._group: asyncio.TaskGroup | None = None
        self._tasks: Final[set[asyncio.Task[None]]] = set()
        self._opening: asyncio.Task[None] | None = None
        self._ended: Final[asyncio.Future[None]] = self._loop.create_future()

    # --- life -------------------------------------------------------------------------------------------------------

    def begin(self, group: asyncio.TaskGroup, transport: asyncio.Transport, first: bytes) -> asyncio.Future[None]:
        """Start on ``transport``, of which ``first`` was already read; the future says that both legs are gone."""
        self._group = group
        self._schedule()
        transport.set_protocol(self.client)
        self.client.connection_made(transport)
        self.client.data_received(first)
        return self._ended

    def stop(self) -> None:
        """End at once whatever still goes on: the gateway stops, or both legs are gone anyway."""
        self._finish("gateway_stopped")
        self._abort()

    def kill(self, code: str, message: str) -> None:
        """End the conversation with the protocol's own error, if the client takes bytes at all."""
        if self._close_code:
            return
        if self._recorder_full or self.client.full_since is not None:
            self._finish(code)
        else:
            self._feed(Killed(code, message))

    def cancel(self) -> None:
        """The client asked, with the right key, to cancel what runs."""
        if not self._close_code:
            self._inbox.appendleft(CancelRequested())
            self._drain()

    def monotonic(self) -> float:
        """The loop's clock, which every deadline here is on."""
        return self._loop.time()

    async def settle(self) -> None:
        """Leave nothing running: what was asked is settled by the gate, the rest is cancelled."""
        owed = [*self._asking.values(), *([self._opening] if self._opening is not None else [])]
        for task in self._tasks.difference(owed):
            task.cancel()
        if owed:
            _, late = await asyncio.wait(owed, timeout=SETTLE_SECONDS)
            for task in late:
                task.cancel()

    async def end_session(self) -> None:
        """Close what is open in the log: actions without an outcome, then the session."""
        if self._timer is not None:
            self._timer.cancel()
        session = self.session
        if self._cancel_key is not None:
            self._services.cancel_keys.withdraw(self._cancel_key)
        if session is None:
            return
        self._services.sessions.remove(session)
        self._services.catalogues.release(session)
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                for action_id in list(self._permits):
                    while not self._gate.done(session, action_id, Outcome(OutcomeStatus.UNKNOWN)):
                        await self._gate.room()
                    del self._permits[action_id]
                await self._gate.close_session(session, self._close_code)
        except (InterlockError, TimeoutError) as error:
            self._report("session_end_not_recorded", error)

    # --- callbacks of the legs --------------------------------------------------------------------------------------

    def client_sent(self, data: bytes) -> None:
        """Bytes from the client."""
        self._active_at = self._loop.time()
        self._inbox.append(FromClient(data))
        self._drain()

    def upstream_sent(self, data: bytes) -> None:
        """Bytes from the upstream."""
        self._active_at = self._loop.time()
        self._inbox.append(FromUpstream(data))
        self._drain()

    def client_ended(self) -> None:
        """The client hung up."""
        if not self._client_ended:
            self._client_ended = True
            self._feed(ClientClosed())

    def upstream_ended(self) -> None:
        """The upstream hung up."""
        if not self._upstream_ended:
            self._upstream_ended = True
            self._feed(UpstreamClosed())

    def leg_lost(self) -> None:
        """A transport is gone; when both are, so is the conversation."""
        if not self._close_code:
            return
        if self._is_gone() and not self._ended.done():
            self._ended.set_result(None)

    def regulate(self) -> None:
        """Back-pressure: whoever can't be served isn't read; whoever takes bytes again is served on."""
        client, upstream = self.client, self._upstream_leg
        client_full = client.full_since is not None
        held_up = client_full or self._recorder_full
        backlog = self._mediator.backlog > self.buffer_bytes
        client.read_if(
            not (held_up or backlog or self._inbox or (upstream is not None and upstream.full_since is not None))
        )
        if upstream is not None:
            upstream.read_if(not (held_up or self._inbox))
        if client_full or (upstream is not None and upstream.full_since is not None):
            self._schedule()
        if (self._inbox or self._answers) and not (self._draining or held_up or self._continuing):
            self._continuing = True
            self._loop.call_soon(self._continue)

    # --- the one reader ---------------------------------------------------------------------------------------------

    def _continue(self) -> None:
        self._continuing = False
        self._drain()

    def _feed(self, event: Event) -> None:
        self._inbox.append(event)
        self._drain()

    def _drain(self) -> None:
        """Step the mediator until nothing is left to do, then send what it said, at once."""
        if self._draining or self._recorder_full:
            return
        self._draining = True
        try:
            self._perform_all()
        except Exception as error:  # noqa: BLE001 - the per-connection boundary: no session harms another
            self._fail(error)
        finally:
            self._draining = False
        if not self._close_code:
            self.regulate()
            if self._asking or not self.client.reading or self._mediator.wants_ticks:
                self._schedule()

    def _perform_all(self) -> None:
        commands, answers, inbox = self._commands, self._answers, self._inbox
        steps = 0
        while True:
            while commands:
                command = commands.popleft()
                if not self._perform(command):
                    commands.appendleft(command)
                    self._wait_for_room()
                    return
            if self._buffered > FLUSH_BYTES:
                self._flush()
            if self._close_code or not (answers or inbox):
                break
            if self._is_client_stalled() and not (inbox and type(inbox[0]) is CancelRequested):
                break
            steps += 1
            if steps > BURST:
                break  # regulate() has the rest done when the loop has gone round
            event = answers.popleft() if answers and not self._is_client_stalled() else inbox.popleft()
            commands.extend(self._mediator.step(event))
            if type(event) is ClientClosed and not any(type(command) is Close for command in commands):
                commands.append(Close("client_closed"))
        self._flush()

    def _is_client_stalled(self) -> bool:
        """True while stepping on would only pile up bytes that the client doesn't take."""
        return self.client.full_since is not None and not self.client.ended

    def _perform(self, command: Command) -> bool:
        """Perform one command; False if the recorder had no room for it, and it must be performed again."""
        kind = type(command)
        if kind is ToClient:
            assert isinstance(command, ToClient)
            self._to_client.append(command.data)
            self._buffered += len(command.data)
        elif kind is ToUpstream:
            assert isinstance(command, ToUpstream)
            self._verify_permit(command.permit)
            self._to_upstream.append(command.data)
            self._buffered += len(command.data)
        elif kind is Ask:
            assert isinstance(command, Ask)
            self._ask(command)
        elif kind is Record:
            assert isinstance(command, Record)
            return self._gate.record(self._open_session(), command.action_id, command.data)
        elif kind is Done:
            assert isinstance(command, Done)
            if not self._gate.done(self._open_session(), command.action_id, command.outcome, command.data):
                return False
            self._permits.pop(command.action_id, None)
        else:
            self._perform_rare(command)
        return True

    def _perform_rare(self, command: Command) -> None:
        match command:
            case Authenticate():
                self._opening = self._start(self._authenticate(command), "authenticate")
            case Dial():
                self._verify_permit(command.permit)
                self._spawn(self._dial(command), "dial")
            case Lookup():
                self._verify_permit(command.permit)
                self._spawn(self._look_up(command), "lookup")
            case Analyse():
                self._spawn(self._analyse(command), "analyse")
            case Withdraw():
                if command.action_id in self._asking:
                    self._gate.withdraw(command.action_id)
            case CancelUpstream():
                if self._upstream is not None:
                    self._spawn(self._cancel_upstream(self._upstream), "cancel")
            case Close():
                self._finish(command.code)
            case ToClient() | ToUpstream() | Ask() | Record() | Done():
                pass  # performed by _perform

    def _flush(self) -> None:
        """One write a leg for everything said since the last."""
        if self._to_upstream:
            data = self._to_upstream[0] if len(self._to_upstream) == 1 else b"".join(self._to_upstream)
            self._to_upstream.clear()
            if self._upstream_leg is not None:
                self._upstream_leg.write(data)
        if self._to_client:
            data = self._to_client[0] if len(self._to_client) == 1 else b"".join(self._to_client)
            self._to_client.clear()
            self.client.write(data)
        self._buffered = 0

    # --- permits ----------------------------------------------------------------------------------------------------

    def _verify_permit(self, permit: Permit | SessionPermit) -> None:
        """Bytes go up only on a permit that this session holds and that no outcome has closed."""
        if isinstance(permit, Permit):
            if self._permits.get(permit.action_id) is not permit:
                msg = "a permit that this session doesn't hold"
                raise PermitViolation(msg)
        elif permit is not self._session_permit:
            msg = "a session permit of another session"
            raise PermitViolation(msg)

    def _open_session(self) -> Session:
        if self.session is None:
            msg = "a command that needs a session, before there is one"
            raise PermitViolation(msg)
        return self.session

    def _ask(self, ask: Ask) -> None:
        session = self._open_session()
        answer = self._gate.authorize_now(session, ask)
        if answer is None:
            self._asking[ask.action.id] = self._start(self._authorize(session, ask), "authorize")
        else:
            self._answers.append(self._accept(ask.action.id, answer))

    def _accept(self, action_id: str, answer: Permit | Deny) -> Answered:
        """Take the gate's answer; a permit must be for the action that was asked about."""
        if isinstance(answer, Permit):
            if answer.action_id != action_id:
                msg = "the gate's permit is for another action"
                raise PermitViolation(msg)
            self._permits[action_id] = answer
        return Answered(action_id, answer)

    # --- what waits, beside the inbox -------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Do ``work`` beside the inbox; it is cancelled when the conversation ends."""
        _ = self._start(work, name)

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        assert self._group is not None
        session = self.session.id if self.session is not None else self._client_address
        task = self._group.create_task(self._bounded(work), name=f"{name} {session}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _bounded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - the per-connection boundary: no session harms another
            self._fail(error)

    async def _authenticate(self, request: Authenticate) -> None:
        opened = await self._gate.open_session(
            request, protocol=self._services.protocol, client_address=self._client_address, tls=self._tls
        )
        if isinstance(opened, Deny):
            self._feed(Refused(opened))
            return
        self.session, self._session_permit = opened
        if self._close_code:
            return
        self._services.sessions.add(self.session, self)
        self._on_authenticated()
        granted = (self.session.expires_at - self._services.now()).total_seconds()
        self._ends_at = self.monotonic() + min(granted, self._services.limits.session_seconds)
        self._schedule()
        self._feed(Authenticated(*opened))

    async def _dial(self, command: Dial) -> None:
        try:
            async with asyncio.timeout(self._services.limits.dial_seconds):
                upstream = await self._services.dialler.dial(self._open_session(), command.permit, command.parameters)
        except (UpstreamUnavailable, TimeoutError) as error:
            self._report("dial_failed", error)
            self._feed(DialFailed(error.code if isinstance(error, InterlockError) else "upstream_timeout"))
            return
        if self._close_code:
            upstream.abort()
            return
        self._upstream = upstream
        self._cancel_key = self._services.cancel_keys.issue(self.cancel, secret_bytes=command.cancel_secret_bytes)
        self._upstream_leg = UpstreamLeg(self)
        self._feed(Dialled(upstream.parameters, self._cancel_key))
        upstream.attach(self._upstream_leg)

    async def _look_up(self, command: Lookup) -> None:
        try:
            catalogue = await self._services.catalogues.look_up(
                self._open_session(), command.permit, refresh=command.refresh, on_change=self._on_catalogue_changed
            )
        except UpstreamUnavailable as error:
            self._report("lookup_failed", error)
            catalogue = None
        self._feed(Learned(catalogue))

    def _on_catalogue_changed(self, catalogue: object) -> None:
        if not self._close_code:
            self._feed(Learned(catalogue, unasked=True))

    async def _analyse(self, command: Analyse) -> None:
        self._feed(Analysed(command.ticket, await self._services.offload.analyse(command.text)))

    async def _cancel_upstream(self, upstream: Upstream) -> None:
        try:
            async with asyncio.timeout(self._services.limits.dial_seconds):
                await upstream.cancel()
        except (UpstreamUnavailable, TimeoutError) as error:
            self._report("cancel_failed", error)

    async def _authorize(self, session: Session, ask: Ask) -> None:
        action_id = ask.action.id

        def on_held(held: Held) -> None:
            self._feed(held)

        answer: Permit | Deny
        try:
            answer = await self._gate.authorize(session, ask, on_held)
        except InterlockError as error:
            self._report("authorize_failed", error)
            answer = Deny(error.code, "Interlock can't decide this now; try again later.")
        finally:
            self._asking.pop(action_id, None)
        answered = self._accept(action_id, answer)
        if not self._close_code:
            self._feed(answered)

    def _wait_for_room(self) -> None:
        self._flush()
        self._recorder_full = True
        self.regulate()
        self._spawn(self._await_room(), "room")

    async def _await_room(self) -> None:
        """Wait until the recorder takes bytes; without one for long, nothing may happen (fail closed)."""
        try:
            async with asyncio.timeout(self._services.limits.write_seconds):
                await self._gate.room()
        except TimeoutError as error:
            raise AuditUnavailable from error
        self._recorder_full = False
        self._drain()

    # --- time -------------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        """Have ``_on_time`` called when the next deadline is due, or each second while somebody waits."""
        now = self.monotonic()
        at = self._next_deadline(now)
        if self._timer is not None:
            if self._timer_at <= at and self._timer_at > now:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._on_time)

    def _next_deadline(self, now: float) -> float:
        if self._close_code:
            return now + CLOSE_SECONDS
        if self.session is None:
            return self._handshake_until
        upstream = self._upstream_leg
        waits = self._asking or not self.client.reading or self._mediator.wants_ticks
        if waits or (upstream is not None and upstream.full_since is not None):
            return now + TICK_SECONDS
        at = max(self._ends_at, now) if self._ends_at is not None else now + TICK_SECONDS
        if self._services.limits.idle_seconds:
            at = min(at, max(self._active_at + self._services.limits.idle_seconds, now + TICK_SECONDS))
        return max(at, now)

    def _on_time(self) -> None:
        self._timer = None
        if self._close_code:
            self._abort()
            return
        now = self.monotonic()
        limits = self._services.limits
        upstream = self._upstream_leg
        if self.session is None and now >= self._handshake_until:
            self.kill("handshake_timeout", "the client took too long to authenticate")
        elif self._ends_at is not None and now >= self._ends_at and not self._waits_for_people():
            self.kill("expired", "the session has expired; connect again with a fresh token")
        elif limits.idle_seconds and now >= self._active_at + limits.idle_seconds and not self.is_busy:
            self.kill("idle", "the session was idle for too long")
        elif self._is_overdue(self.client.full_since, now):
            self._finish("client_stalled")
            self._abort()
        elif upstream is not None and self._is_overdue(upstream.full_since, now):
            self.kill("upstream_stalled", "the upstream takes no more bytes")
        elif not self.client.reading and self._has_hung_up():
            self.client.ended = True
            self.client_ended()
        elif self._mediator.wants_ticks:
            self._feed(Tick(now))
        if not self._close_code:
            self._schedule()

    def _is_overdue(self, since: float | None, now: float) -> bool:
        return since is not None and now >= since + self._services.limits.write_seconds

    def _waits_for_people(self) -> bool:
        return self.session is not None and self._gate.waits_for_people(self.session)

    @property
    def is_busy(self) -> bool:
        """True while an action of it runs or is asked about."""
        return bool(self._permits or self._asking)

    def _has_hung_up(self) -> bool:
        """True if the client closed its end, even behind bytes that back-pressure leaves unread."""
        transport = self.client.transport
        if transport is None or transport.is_closing():
            return True
        poll = select.poll()
        poll.register(transport.get_extra_info("socket").fileno(), getattr(select, "POLLRDHUP", select.POLLHUP))
        return bool(poll.poll(0))

    # --- the end ----------------------------------------------------------------------------------------------------

    def _finish(self, code: str) -> None:
        """Close both legs after what was said is sent, and withdraw what was asked; the first code stays."""
        if self._close_code:
            return
        self._close_code = code
        self._flush()
        self._commands.clear()
        self._answers.clear()
        self._inbox.clear()
        self.client.close()
        if self._upstream_leg is not None:
            self._upstream_leg.close()
        for action_id in list(self._asking):
            self._gate.withdraw(action_id)
        self._schedule()
        self.leg_lost()

    def _abort(self) -> None:
        self.client.abort()
        if self._upstream_leg is not None:
            self._upstream_leg.abort()

    def _is_gone(self) -> bool:
        client = self.client.lost or self.client.transport is None
        return client and (self._upstream_leg is None or self._upstream_leg.lost)

    def _fail(self, error: Exception) -> None:
        """Something broke: tell operators where, tell the client in its own protocol, end this session only."""
        self._report("session_failed", error)
        if self._failing or self._close_code:
            self._finish("internal")
            self._abort()
            return
        self._failing = True
        self._commands.clear()
        self._answers.clear()
        self._inbox.clear()
        code = error.code if isinstance(error, InterlockError) else "internal"
        if self._recorder_full:
            self._finish(code)
            return
        self._inbox.append(Killed(code, "Interlock had to end this session; the operators' log says why"))
        self._loop.call_soon(self._drain_last)

    def _drain_last(self) -> None:
        self._drain()
        self._finish("internal")

    def _report(self, event: str, error: BaseException) -> None:
        """An event for operators: the kind of error and its place, never its content."""
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        _log.warning(
            event,
            extra={
                "session_id": self.session.id if self.session is not None else "",
                "client_address": self._client_address,
                "error": type(error).__name__,
                "code": getattr(error, "code", ""),
                "place": f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place is not None else "",
            },
        )
