"""What a conversation needs of the rest of the gateway: small interfaces, joined in the composition root."""

from asyncio import Protocol as AsyncioProtocol
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from interlock.config.model import LimitsConfig
from interlock.core.commands import Ask, Authenticate, Held
from interlock.core.decision import Deny
from interlock.core.outcome import Outcome
from interlock.core.permit import Permit, SessionPermit
from interlock.core.session import Session
from interlock.transport.sessions import Sessions


class Gate(Protocol):
    """The pipeline: the only minter of permits."""

    async def open_session(
        self, request: Authenticate, *, protocol: str, client_address: str, tls: bool
    ) -> tuple[Session, SessionPermit] | Deny:
        """Authenticate, decide and record the start of a session."""
        ...

    def authorize_now(self, session: Session, ask: Ask) -> Permit | Deny | None:
        """The fast path; None where people, storage or an fsync must be waited for."""
        ...

    async def authorize(self, session: Session, ask: Ask, on_held: Callable[[Held], None]) -> Permit | Deny:
        """The slow path."""
        ...

    def withdraw(self, action_id: str) -> None:
        """Settle a waiting ``authorize`` with ``Deny(code="withdrawn")``."""
        ...

    def record(self, session: Session, action_id: str, data: bytes) -> bool:
        """Append response bytes; False if there is no room: wait for ``room`` and call again."""
        ...

    async def room(self) -> None:
        """Wait until the recorder takes bytes again."""
        ...

    def done(self, session: Session, action_id: str, outcome: Outcome, data: bytes = b"") -> bool:
        """Close an action's entry, its last response bytes included; False as for ``record``."""
        ...

    def waits_for_people(self, session: Session) -> bool:
        """True while a hold of the session is open: time doesn't end it before that is settled (P4)."""
        ...

    async def close_session(self, session: Session, code: str) -> None:
        """Record the end of a session."""
        ...


class Upstream(Protocol):
    """One logged-in connection to an upstream, not yet read from by a conversation."""

    @property
    def parameters(self) -> Mapping[str, str]:
        """What the upstream reported while logging in."""
        ...

    def attach(self, leg: AsyncioProtocol) -> None:
        """Give every further event of the connection to ``leg``, starting with ``connection_made``."""
        ...

    def abort(self) -> None:
        """Drop the connection at once; for one that was never attached."""
        ...

    async def cancel(self) -> None:
        """Ask the upstream, on a connection of its own, to cancel what this one runs.

        Raises:
            UpstreamUnavailable: the request couldn't be delivered.
        """
        ...


class Dialler(Protocol):
    """Connects to a session's resource as the gateway."""

    async def dial(self, session: Session, permit: SessionPermit, parameters: Mapping[str, str]) -> Upstream:
        """Connect, verify and log in.

        Raises:
            UpstreamUnavailable: it can't be used; the code is public.
        """
        ...


class Catalogues(Protocol):
    """What is known of the upstreams' catalogues."""

    async def look_up(
        self, session: Session, permit: SessionPermit, *, refresh: bool, on_change: Callable[[object], None]
    ) -> object | None:
        """The catalogue of the session's database as the session's login sees it; None if it can't be read.

        ``on_change`` is given a newer one when somebody changes the catalogue, until ``release``.
        """
        ...

    def release(self, session: Session) -> None:
        """The session ended: its catalogue need not be kept fresh for it."""
        ...


class Offload(Protocol):
    """Work that is too long for the event loop."""

    async def analyse(self, text: str) -> object:
        """The analysis of a large text, or the error that stands for it."""
        ...


class CancelKeys(Protocol):
    """Who may cancel what (T11)."""

    def issue(self, cancel: Callable[[], None], *, secret_bytes: int) -> tuple[int, bytes]:
        """A fresh key that, when presented, calls ``cancel``."""
        ...

    def withdraw(self, key: tuple[int, bytes]) -> None:
        """The key's session ended."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a conversation of one protocol is given."""

    protocol: str
    gate: Gate
    dialler: Dialler
    catalogues: Catalogues
    offload: Offload
    cancel_keys: CancelKeys
    sessions: Sessions
    limits: LimitsConfig
    now: Callable[[], datetime]
