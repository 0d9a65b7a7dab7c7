"""PostgreSQL between one client and one upstream, as a pure step function.

    opening.py   start-up packet -> token -> settings asked about -> dialled, catalogue learned -> ready
    upward.py    the client's messages, in order: understood, asked about, forwarded with their permit
    downward.py  the upstream's replies, in order: matched with what was forwarded, recorded, delivered

At most one message is being asked about; what the client sends after it waits unread in the frame reader, so order
is kept and memory is bounded. Bytes leave in ``_commands`` at the end of each step: what is recorded first.

Spec: PostgreSQL 18, "Frontend/Backend Protocol", versions 3.0 and 3.2.
"""

from typing import Final, final

from interlock.analysis.postgres.analyser import Analyser
from interlock.analysis.postgres.catalogue import Catalogue
from interlock.analysis.postgres.statement import Analysis, SyntaxRejected
from interlock.core.commands import (
    Analysed,
    Answered,
    Authenticated,
    CancelRequested,
    CancelUpstream,
    ClientClosed,
    Close,
    Command,
    DialFailed,
    Dialled,
    Event,
    FromClient,
    FromUpstream,
    Held,
    Killed,
    Learned,
    Refused,
    Tick,
    UpstreamClosed,
    Withdraw,
)
from interlock.core.errors import ClientProtocolError, LimitExceeded, UpstreamProtocolError
from interlock.core.outcome import OutcomeStatus
from interlock.protocols.postgres.downward import Downward
from interlock.protocols.postgres.limits import Limits
from interlock.protocols.postgres.reception import Reception
from interlock.protocols.postgres.replies import fatal
from interlock.protocols.postgres.state import Conversation
from interlock.protocols.postgres.upward import Upward


@final
class PostgresMediator:
    """One client's connection to one PostgreSQL upstream."""

    def __init__(self, *, analyser: Analyser, limits: Limits) -> None:
        self._state: Final = Conversation(analyser, limits)
        self._reception: Final = Reception(self._state)
        self._upward: Final = Upward(self._state)
        self._downward: Final = Downward(self._state, self._upward)
        self._running = False

    @property
    def backlog(self) -> int:
        """Bytes taken from the client and not yet dealt with; half a message can only be dealt with by reading on."""
        return self._state.client.waiting

    @property
    def wants_ticks(self) -> bool:
        """True while something is held, so that the client hears of it at an interval."""
        return self._state.held is not None

    def step(self, event: Event) -> list[Command]:
        """Take one event, answer with what must be done, in order."""
        state = self._state
        if state.closed:
            return []
        try:
            if isinstance(event, FromUpstream):
                state.upstream.feed(event.data)
                if self._running:
                    self._downward.advance()
                    self._upward.advance()
            elif isinstance(event, FromClient):
                if self._running:
                    state.client.feed(event.data)
                    self._upward.advance()
                else:
                    self._reception.feed(event.data)
            elif isinstance(event, Answered):
                if self._running:
                    self._upward.answered(event)
                else:
                    self._reception.answered(event)
            else:
                self._rare(event)
        except ClientProtocolError as error:
            self._end("client_protocol", fatal("08P01", f"protocol violation: {error}"))
        except LimitExceeded as error:
            self._end("limit", fatal("54000", f"Interlock's limit was passed: {error}"))
        except UpstreamProtocolError:
            self._end("upstream_protocol", fatal("08P01", "the upstream broke the protocol; the connection is closed"))
        return state.take_commands()

    def _rare(self, event: Event) -> None:
        """Everything that isn't traffic."""
        state = self._state
        match event:
            case Held():
                self._upward.held(event)
            case Tick():
                state.tick(event.seconds)
            case Analysed():
                if not isinstance(event.analysis, Analysis | SyntaxRejected | LimitExceeded):
                    msg = "an analysis of another language"
                    raise TypeError(msg)
                self._upward.analysed(event.ticket, event.analysis)
            case Learned():
                if event.catalogue is not None and not isinstance(event.catalogue, Catalogue):
                    msg = "a catalogue of another protocol"
                    raise TypeError(msg)
                state.learned(event.catalogue, unasked=event.unasked)
                self._reception.learned()
                self._open_if_ready()
                if self._running:
                    self._upward.advance()
            case Authenticated():
                self._reception.authenticated(event)
            case Refused():
                self._reception.refused(event)
            case Dialled():
                self._reception.dialled(event)
                self._open_if_ready()
            case DialFailed():
                self._reception.dial_failed(event)
            case CancelRequested():
                if state.asking is not None:
                    state.commands.append(Withdraw(state.asking.action.id))
                elif state.expected:
                    state.commands.append(CancelUpstream())
            case Killed():
                if state.expected:
                    state.commands.append(CancelUpstream())
                self._end(event.code, fatal("57P01", event.message))
            case ClientClosed():
                self._end("client_closed", b"")
            case UpstreamClosed():
                if state.session is not None and not state.fatal_seen:
                    self._end("upstream_closed", fatal("57P01", "the upstream closed the connection"))
                else:
                    self._end("upstream_closed", b"")
            case FromClient() | FromUpstream() | Answered():
                pass  # taken in step()

    def _open_if_ready(self) -> None:
        """Both the upstream and the catalogue are there: the client may talk."""
        if not self._running and self._reception.welcome():
            self._running = True
            self._downward.advance()
            self._upward.advance()

    def _end(self, code: str, farewell: bytes) -> None:
        """Close every open action, tell the client where a message may stand, and close."""
        state = self._state
        if state.asking is not None:
            state.commands.append(Withdraw(state.asking.action.id))
        for running in list(state.open.values()):
            state.finish(running, OutcomeStatus.UNKNOWN)
        if farewell and not state.mid_message:
            state.to_client.append(farewell)
        state.flush()
        state.commands.append(Close(code))
        state.closed = True
