"""Events that a mediator is given and commands that it answers with.

    Event   = FromClient | FromUpstream | Authenticated | Dialled | Answered | Held | Learned | Analysed | Tick | ...
    Command = ToClient | ToUpstream | Authenticate | Dial | Ask | Withdraw | Lookup | Analyse | Done | Record | Close

Events and commands are each other's counterparts: ``Ask`` is answered by ``Answered``, ``Lookup`` by ``Learned``.
A mediator is one connection's protocol logic as a pure step function: no I/O, no clock, no randomness. The driver
in ``transport/`` is the only caller: one inbox, one reader, so two steps never overlap; a pending command never
blocks the inbox.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from interlock.core.action import Action
from interlock.core.decision import Deny
from interlock.core.outcome import Outcome
from interlock.core.permit import Permit, SessionPermit
from interlock.core.secret import Secret
from interlock.core.session import Session

# --- commands -------------------------------------------------------------------------------------------------------


class ToClient(msgspec.Struct, frozen=True):
    """Send these bytes to the client."""

    data: bytes
    recorded: bool = False
    """True if ``data`` is (part of) a response to an action and was handed to ``Record`` first."""


class ToUpstream(msgspec.Struct, frozen=True):
    """Send these bytes upstream; can't be built without a permit (P1)."""

    data: bytes
    permit: Permit | SessionPermit


class Authenticate(msgspec.Struct, frozen=True):
    """Verify the credential and open a session with the resource that the client named."""

    resource: str
    database: str
    credential: Secret
    parameters: Mapping[str, str]
    """What the client asked for besides: application name, options; never secrets."""


class Dial(msgspec.Struct, frozen=True):
    """Connect to the session's resource and log in with the gateway's own credential."""

    permit: SessionPermit
    parameters: Mapping[str, str]
    """Start-up parameters to pass on, already checked."""
    cancel_secret_bytes: int = 4
    """Length of the cancel secret that the client's protocol version can carry: 4, or up to 256 (T11)."""


class Ask(msgspec.Struct, frozen=True):
    """May this action run? Answered by ``Answered``, perhaps after ``Held``."""

    action: Action
    reason: str | None = None
    """The reason in force for this action, given by the client."""
    refusal: Deny | None = None
    """Set when the protocol itself refuses (an unknown encoding, a size): recorded and given back as the answer."""


class Withdraw(msgspec.Struct, frozen=True):
    """The client no longer wants an action that is still being asked about."""

    action_id: str


class Lookup(msgspec.Struct, frozen=True):
    """Read the upstream's catalogue on the gateway's own side connection. Answered by ``Learned``."""

    permit: SessionPermit
    refresh: bool = False


class Analyse(msgspec.Struct, frozen=True):
    """Analyse a large text off the loop. Answered by ``Analysed`` with the same ``ticket``."""

    ticket: int
    text: str


class Record(msgspec.Struct, frozen=True):
    """Append these bytes to the action's response recording, before the client gets them."""

    action_id: str
    data: bytes


class Done(msgspec.Struct, frozen=True):
    """The action ended: close its entry."""

    action_id: str
    outcome: Outcome
    data: bytes = b""
    """The last bytes of its response, recorded together with the outcome before the client gets them."""


class CancelUpstream(msgspec.Struct, frozen=True):
    """Ask the upstream to cancel what it runs for this session."""


class Close(msgspec.Struct, frozen=True):
    """End the connection after everything before it was sent."""

    code: str
    """Stable: ``client_closed``, ``client_protocol``, ``upstream_closed``, ``authentication``, ``killed``, ..."""


Command = (
    ToClient
    | ToUpstream
    | Authenticate
    | Dial
    | Ask
    | Withdraw
    | Lookup
    | Analyse
    | Record
    | Done
    | CancelUpstream
    | Close
)

# --- events ---------------------------------------------------------------------------------------------------------


class FromClient(msgspec.Struct, frozen=True):
    """Bytes arrived from the client; unverified."""

    data: bytes


class FromUpstream(msgspec.Struct, frozen=True):
    """Bytes arrived from the upstream; unverified."""

    data: bytes


class Authenticated(msgspec.Struct, frozen=True):
    """The session is open and on record."""

    session: Session
    permit: SessionPermit


class Refused(msgspec.Struct, frozen=True):
    """No session: authentication, policy, limits or the recorder said no."""

    deny: Deny


class Dialled(msgspec.Struct, frozen=True):
    """The upstream is connected, verified and logged in."""

    parameters: Mapping[str, str]
    """What the upstream reported (ParameterStatus)."""
    cancel_key: tuple[int, bytes]
    """The gateway's own key for this session, to give to the client."""


class DialFailed(msgspec.Struct, frozen=True):
    """The upstream can't be used; ``code`` is public, the cause is in the operators' log."""

    code: str


class Answered(msgspec.Struct, frozen=True):
    """The gate's answer to ``Ask``."""

    action_id: str
    answer: Permit | Deny


class Held(msgspec.Struct, frozen=True):
    """The action waits for people."""

    action_id: str
    approval_id: str
    groups: tuple[str, ...]
    expires_seconds: int


class Learned(msgspec.Struct, frozen=True):
    """The catalogue, as the protocol's own ``analysis`` value; None if it couldn't be read."""

    catalogue: Any
    unasked: bool = False
    """True if somebody else changed the catalogue: this says nothing of what the session itself has just changed."""


class Analysed(msgspec.Struct, frozen=True):
    """The analysis of a large text (the language's own value), or the error that stands for it."""

    ticket: int
    analysis: Any


class CancelRequested(msgspec.Struct, frozen=True):
    """The client asked, on another connection and with the right key, to cancel what runs."""


class Killed(msgspec.Struct, frozen=True):
    """The session must end: revoked, expired, killed by an operator, or the gateway stops."""

    code: str
    message: str


class ClientClosed(msgspec.Struct, frozen=True):
    """The client hung up."""


class UpstreamClosed(msgspec.Struct, frozen=True):
    """The upstream hung up."""


class Tick(msgspec.Struct, frozen=True):
    """Time passed; ``seconds`` is monotonic."""

    seconds: float


Event = (
    FromClient
    | FromUpstream
    | Authenticated
    | Refused
    | Dialled
    | DialFailed
    | Answered
    | Held
    | Learned
    | Analysed
    | CancelRequested
    | Killed
    | ClientClosed
    | UpstreamClosed
    | Tick
)


class Mediator(Protocol):
    """One connection's protocol logic as a pure step function."""

    def step(self, event: Event) -> list[Command]:
        """Take one event, answer with what must be done, in order."""
        ...

    @property
    def backlog(self) -> int:
        """Bytes taken from the client and not yet dealt with; above its limit the driver stops reading."""
        ...

    @property
    def wants_ticks(self) -> bool:
        """True while time matters to it (a notice to repeat), so that an idle connection costs no timer."""
        ...
