"""What the control room needs of the rest of the gateway, as small interfaces."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from interlock.approval import HeldAction, HoldView, Rejected, VerdictKind
from interlock.core.principal import Principal
from interlock.core.secret import Secret


class Admin(Protocol):
    """The gateway as its supervisor sees it: reaches the worker that has the session."""

    async def kill(self, session_id: str, *, code: str, message: str) -> bool:
        """End a live session; False if no worker has it."""
        ...

    async def notify_approval(self, approval_id: str) -> None:
        """A hold changed: the worker that waits for it looks again."""
        ...

    async def revoked(self, kind: str, value: str) -> int:
        """A revocation is in force: end the sessions it concerns; how many."""
        ...

    async def reload(self) -> Mapping[str, object]:
        """Read configuration and policies again, all or nothing; what is in force now.

        Raises:
            ConfigError: the old configuration stays.
            PolicyError: the old policies stay.
        """
        ...

    async def status(self) -> Mapping[str, object]:
        """How the gateway is: version, uptime, workers, sessions, policy hash, recorder."""
        ...


class SessionsView(Protocol):
    """The sessions of all workers; rows are plain structs."""

    async def find(self, session_id: str) -> Any | None: ...

    async def find_all(self, *, ended: bool = False, limit: int = 1000) -> Sequence[Any]: ...


class Holds(Protocol):
    """``approval.Approvals``, as far as people's side goes."""

    async def find(self, approval_id: str) -> HeldAction | None: ...

    async def find_all(self, *, ended: bool = False, limit: int = 200) -> list[HeldAction]: ...

    async def view(self, approval_id: str) -> HoldView | None: ...

    async def find_objection(
        self, approval_id: str, approver: Principal, kind: VerdictKind, *, now: datetime
    ) -> Rejected | None: ...

    async def decide(
        self, approval_id: str, approver: Principal, kind: VerdictKind, *, comment: str, now: datetime
    ) -> HeldAction | Rejected: ...


class PersonAuthenticator(Protocol):
    """``identity.Authenticator``, for tokens that aren't used to connect."""

    async def authenticate_person(self, credential: Secret, now: datetime) -> Principal:
        """The principal behind a signed token.

        Raises:
            AuthenticationError: no principal.
        """
        ...


class Revocations(Protocol):
    """Where revocations are kept."""

    async def revoke(self, kind: str, value: str, *, at: datetime, until: datetime, by: str, reason: str) -> None: ...


class Handles(Protocol):
    """Gives out opaque handles."""

    async def issue(
        self, principal: Principal, *, resource: str, seconds: int, uses: int, now: datetime
    ) -> tuple[Secret, datetime]:
        """A handle that stands for this principal at one resource, and its end.

        Raises:
            AuthenticationError: the principal may not have one.
        """
        ...


class LogReader(Protocol):
    """Reads the log's entries, as they are stored: one JSON object each."""

    def tail(self, *, lines: int, follow: bool) -> AsyncIterator[bytes]: ...


class Changes(Protocol):
    """The record of what is about to change; durable when it returns.

    Raises:
        AuditUnavailable: it can't be recorded, so it must not happen.
    """

    async def admin(self, what: str, *, person: str, code: str, detail: Mapping[str, str | int]) -> None: ...

    async def approval(self, event: str, *, hold: HeldAction, approver: Principal, comment: str, code: str) -> None: ...
