"""What the gate needs of other rooms, as small interfaces; joined in the composition root."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from interlock.core.principal import Principal
from interlock.core.secret import Secret
from interlock.core.session import Session


class Authenticator(Protocol):
    """Turns a credential into a principal."""

    async def authenticate(self, credential: Secret, resource: str, now: datetime) -> Principal:
        """Verify the credential for this resource.

        Raises:
            AuthenticationError: it doesn't establish a principal.
            StorageError: a handle or revocation can't be looked up.
        """
        ...


class SessionRegistry(Protocol):
    """The sessions that are open, for operators and for limits over all workers."""

    async def opened(self, session: Session) -> None:
        """The session's start is recorded.

        Raises:
            StorageError: it can't be kept.
        """
        ...

    async def closed(self, session_id: str, code: str) -> None:
        """The session ended.

        Raises:
            StorageError: it can't be kept.
        """
        ...

    async def count_open(self, principal_id: str) -> int:
        """How many sessions the principal has open, over all workers.

        Raises:
            StorageError: it can't be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class GateLimits:
    """Limits that the gate itself keeps."""

    session_seconds: int = 8 * 3600
    """The longest a session may live, whatever its token says."""
    connections_per_principal: int = 200
    strict: bool = False
    """Every intent is on disk before its effect; else reads and session statements only in the kernel's hands."""
