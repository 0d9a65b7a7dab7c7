"""What both directions of one conversation share: the queue of expected replies, names, and the step's output."""

from collections import deque
from typing import Final, final

from interlock.analysis.postgres.analyser import Analyser
from interlock.analysis.postgres.catalogue import Catalogue
from interlock.analysis.postgres.statement import Statement
from interlock.core.action import Action
from interlock.core.commands import Command, Held, Record, ToClient, ToUpstream
from interlock.core.outcome import OutcomeStatus
from interlock.core.permit import Permit, SessionPermit
from interlock.core.session import Session
from interlock.protocols.postgres.limits import Limits
from interlock.protocols.postgres.names import Names
from interlock.protocols.postgres.replies import FLUSH, held_notice
from interlock.protocols.postgres.requests import UNSEEN, Requests
from interlock.protocols.postgres.running import Expected, Portal, Prepared, Running
from interlock.wire.postgres.framing import FrameReader, authentication_limits, upstream_reader


@final
class Asking:
    """The one message that waits for the gate's answer."""

    __slots__ = ("action", "frame", "kind", "portal", "prepared")

    def __init__(
        self, kind: int, action: Action, frame: bytes, prepared: Prepared | None = None, portal: str = ""
    ) -> None:
        self.kind: Final = kind
        self.action: Final = action
        self.frame: Final = frame
        """The message as the client sent it: what is forwarded, unless a stored copy takes its place."""
        self.prepared: Final = prepared
        self.portal: Final = portal
        """Portal of a Bind or Execute, statement name of a Parse or Describe."""


@final
class Conversation:
    """Mutable state of one connection; only the mediator's own modules touch it."""

    def __init__(self, analyser: Analyser, limits: Limits) -> None:
        self.analyser: Final = analyser
        self.limits: Final = limits
        self.client: Final = FrameReader(authentication_limits(), from_client=True)
        """Takes nothing but a password until the session is authenticated (T30)."""
        self.upstream: Final = upstream_reader(max_body=limits.upstream_message_bytes)
        self.session: Session | None = None
        self.permit: SessionPermit | None = None
        self.requests = Requests("", analyser)
        self.statements: Names[Prepared] = Names(lambda one: len(one.text))
        self.portals: Names[Portal] = Names(lambda one: len(one.bind))
        self.cursors: dict[str, Statement] = {}
        self.unreported = -1
        """The batch in which code ran that may have changed how text is read: the server tells with ReadyForQuery."""
        self.names_epoch = 0
        """Grows when a name may stand for something else: a bound EXECUTE or FETCH is asked about again then."""
        self.expected: deque[Expected] = deque()
        self.open: dict[str, Running] = {}
        self.status = "I"
        """Transaction status of the last ReadyForQuery: I, T or E."""
        self.batch = 0
        self.unsynced = False
        """Extended messages were forwarded since the last Sync."""
        self.flushed = True
        self.discarding = False
        """The server skips until Sync, so what the client sends is dropped until then."""
        self.copying: Running | None = None
        """A COPY FROM STDIN that takes data."""
        self.barriers = 0
        self.asking: Asking | None = None
        self.analysing: int = 0
        self.reason: str | None = None
        self.local_reason: str | None = None
        self.held: Held | None = None
        self.held_since = -1.0
        self.held_told = -1.0
        self.mid_message = False
        """The last bytes for the client end inside a message."""
        self.fatal_seen = False
        self.lookup_wanted = False
        self.looking = False
        """The catalogue is being read again: nothing is judged meanwhile."""
        self.closed = False
        self.commands: list[Command] = []
        self.to_client: list[bytes] = []
        self.to_upstream: list[bytes] = []
        self.up_permit: Permit | SessionPermit | None = None
        self.touched: list[Running] = []

    def learned(self, catalogue: Catalogue | None, *, unasked: bool = False) -> None:
        """Take the catalogue as it is now; without one every call counts as not known.

        One that nobody asked for may be older than what this session has just changed: the session stays dirty.
        """
        self.requests.catalogue = UNSEEN if catalogue is None else catalogue
        if not unasked:
            self.looking = False
            self.requests.dirty = False

    def forward(self, data: bytes, permit: Permit | SessionPermit) -> None:
        """Queue bytes for the upstream; an action's permit outranks the session's for the whole step."""
        if isinstance(permit, Permit) and permit is not self.up_permit:
            if isinstance(self.up_permit, Permit):
                self.flush_forwarded()
            self.up_permit = permit
        elif self.up_permit is None:
            self.up_permit = permit
        self.to_upstream.append(data)

    def flush_forwarded(self) -> None:
        """Turn what is queued for the upstream into one command under its one permit."""
        if self.to_upstream and self.up_permit is not None:
            data = self.to_upstream[0] if len(self.to_upstream) == 1 else b"".join(self.to_upstream)
            self.to_upstream.clear()
            self.commands.append(ToUpstream(data, self.up_permit))
        self.up_permit = None

    def flow(self, data: bytes) -> None:
        """Queue a flow message (Sync, Flush, Close) or the statement that always fails."""
        if self.permit is None:
            msg = "no session"
            raise TypeError(msg)
        self.forward(data, self.permit)

    def forward_extended(self, data: bytes, permit: Permit, expected: Expected) -> None:
        """Queue one message of the extended protocol and expect its reply."""
        self.forward(data, permit)
        self.unsynced, self.flushed = True, False
        self.expect(expected)

    def expect(self, expected: Expected) -> None:
        """The upstream owes this reply next after the others."""
        self.expected.append(expected)
        if expected.barrier:
            self.barriers += 1

    def fulfilled(self) -> Expected:
        """The oldest expected reply is complete."""
        expected = self.expected.popleft()
        if expected.barrier:
            self.barriers -= 1
        return expected

    @property
    def names_full(self) -> str:
        """Why the session may have no more names, or empty."""
        count = len(self.statements) + len(self.portals) + len(self.cursors)
        if count >= self.limits.names:
            return f"the session has {count} prepared statements, portals and cursors, the gateway's limit"
        held = self.statements.weight + self.portals.weight
        if held >= self.limits.names_bytes:
            return f"prepared statements and portals hold {held} bytes, over the gateway's limit"
        return ""

    def flush_upstream(self) -> None:
        """Make the server send what it owes, so that waiting for it ends; it answers Flush with nothing of its own."""
        if self.unsynced and not self.flushed:
            self.flushed = True
            self.flow(FLUSH)

    def deliver(self, raw: bytes, running: Running | None) -> None:
        """Queue bytes for the client, as part of an action's response where there is one."""
        self.to_client.append(raw)
        if running is not None and not running.done:
            running.parts.append(raw)
            if not running.touched:
                running.touched = True
                self.touched.append(running)

    def finish(self, running: Running, status: OutcomeStatus) -> None:
        """Close an action's entry."""
        if not running.done:
            self.open.pop(running.action_id, None)
            self.commands.append(running.finish(status))

    def tick(self, seconds: float) -> None:
        """Tell the client, at an interval, what it waits for."""
        held = self.held
        if held is None:
            return
        if self.held_since < 0:
            self.held_since = self.held_told = seconds
        elif seconds - self.held_told >= self.limits.notice_seconds and not self.mid_message:
            self.held_told = seconds
            self.to_client.append(held_notice(held, int(seconds - self.held_since)))

    def flush(self) -> None:
        """Turn the step's bytes into commands: recorded before delivered."""
        for running in self.touched:
            running.touched = False
            if not running.done:
                data = running.take_parts()
                if data:
                    self.commands.append(Record(running.action_id, data))
        self.touched.clear()
        if self.to_client:
            data = self.to_client[0] if len(self.to_client) == 1 else b"".join(self.to_client)
            self.to_client.clear()
            self.commands.append(ToClient(data))
        self.flush_forwarded()

    def take_commands(self) -> list[Command]:
        """The step's answer."""
        if not self.closed:
            self.flush()
        commands = self.commands
        self.commands = []
        return commands
