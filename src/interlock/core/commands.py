"""Events that a mediator is given and commands that it answers with.

    Event   = FromClient | FromUpstream | Authenticated | Dialled | Answered | Held | Learned | Analysed | Tick | ...
    Command = ToClient | ToUpstream | Authenticate | Dial | Ask | Withdraw | Lookup | Analyse | Done | Record | Close

Events and commands are each other's counterparts: ``Ask`` is answered by ``Answered``, ``Lookup`` by ``Learned``.
A mediator is one connection's protocol logic as a pure step function: no I/O, no clock, no randomness. The driver
in ``transport/`` is the only caller: one inbox, one reader, so two steps never overlap; a pending command never
blocks the inbox.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from interlock.core.action import Action
from interlock.core.decision import Deny
from interlock.core.outcome import Outcome
from interlock.core.permit import Permit, SessionPermit
from interlock.core.secret import Secret
from interlock.core.session import Session

# --- commands -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ToClient:
    """Send these bytes to the client."""

    data: bytes
    recorded: bool = False
    """True if ``data`` is (part of) a response to an action and was handed to ``Record`` first."""


@dataclass(frozen=True, slots=True)
class ToUpstream:
    """Send these bytes upstream; can't be built without a permit (P1)."""

    data: bytes
    permit: Permit | SessionPermit


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Verify the credential and open a session with the resource that the client named."""

    resource: str
    database: str
    credential: Secret
    parameters: Mapping[str, str]
    """What the client asked for besides: application name, options; never secrets."""


@dataclass(frozen=True, slots=True)
class Dial:
    """Connect to the session's resource and log in with the gateway's own credential."""

    permit: SessionPermit
    parameters: Mapping[str, str]
    """Start-up parameters to pass on, already checked."""
    cancel_secret_bytes: int = 4
    """Length of the cancel secret that the client's protocol version can carry: 4, or up to 256 (T11)."""


@dataclass(frozen=True, slots=True)
class Ask:
    """May this action run? Answered by ``Answered``, perhaps after ``Held``."""

    action: Action
    reason: str | None = None
    """The reason in force for this action, given by the client."""
    refusal: Deny | None = None
    """Set when the protocol itself refuses (an unknown encoding, a size): recorded and given back as the answer."""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """The client no longer wants an action that is still being asked about."""

    action_id: str


@dataclass(frozen=True, slots=True)
class Lookup:
    """Read the upstream's catalogue on the gateway's own side connection. Answered by ``Learned``."""

    permit: SessionPermit
    refresh: bool = False


@dataclass(frozen=True, slots=True)
class Analyse:
    """Analyse a large text off the loop. Answered by ``Analysed`` with the same ``ticket``."""

    ticket: int
    text: str


@dataclass(frozen=True, slots=True)
class Record:
    """Append these bytes to the action's response recording, before the client gets them."""

    action_id: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Done:
    """The action ended: close its entry."""

    action_id: str
    outcome: Outcome
    data: bytes = b""
    """The last bytes of its response, recorded together with the outcome before the client gets them."""


@dataclass(frozen=True, slots=True)
class CancelUpstream:
    """Ask the upstream to cancel what it runs for this session."""


@dataclass(frozen=True, slots=True)
class Close:
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


@dataclass(frozen=True, slots=True)
class FromClient:
    """Bytes arrived from the client; unverified."""

    data: bytes


@dataclass(frozen=True, slots=True)
class FromUpstream:
    """Bytes arrived from the upstream; unverified."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The session is open and on record."""

    session: Session
    permit: SessionPermit


@dataclass(frozen=True, slots=True)
class Refused:
    """No session: authentication, policy, limits or the recorder said no."""

    deny: Deny


@dataclass(frozen=True, slots=True)
class Dialled:
    """The upstream is connected, verified and logged in."""

    parameters: Mapping[str, str]
    """What the upstream reported (ParameterStatus)."""
    cancel_key: tuple[int, bytes]
    """The gateway's own key for this session, to give to the client."""


@dataclass(frozen=True, slots=True)
class DialFailed:
    """The upstream can't be used; ``code`` is public, the cause is in the operators' log."""

    code: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The gate's answer to ``Ask``."""

    action_id: str
    answer: Permit | Deny


@dataclass(frozen=True, slots=True)
class Held:
    """The action waits for people."""

    action_id: str
    approval_id: str
    groups: tuple[str, ...]
    expires_seconds: int


@dataclass(frozen=True, slots=True)
class Learned:
    """The catalogue, as the protocol's own ``analysis`` value; None if it couldn't be read."""

    catalogue: Any
    unasked: bool = False
    """True if somebody else changed the catalogue: this says nothing of what the session itself has just changed."""


@dataclass(frozen=True, slots=True)
class Analysed:
    """The analysis of a large text (the language's own value), or the error that stands for it."""

    ticket: int
    analysis: Any


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The client asked, on another connection and with the right key, to cancel what runs."""


@dataclass(frozen=True, slots=True)
class Killed:
    """The session must end: revoked, expired, killed by an operator, or the gateway stops."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ClientClosed:
    """The client hung up."""


@dataclass(frozen=True, slots=True)
class UpstreamClosed:
    """The upstream hung up."""


@dataclass(frozen=True, slots=True)
class Tick:
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
