"""The one tree of errors.

``code`` is stable and public (``docs/errors.md``); the text of an error is for operators and never goes to a client.

    InterlockError
    ├─ ProtocolError                the peer broke the wire format; always ends the connection
    │   ├─ ClientProtocolError
    │   └─ UpstreamProtocolError
    ├─ LimitExceeded                a stated limit (bytes, rows, depth, time)
    ├─ AuthenticationError          no principal
    ├─ ConfigError                  names file, key and reason; only before start or reload
    ├─ PolicyError                  a policy set that can't be loaded; the old one stays in force
    ├─ UpstreamUnavailable          dial, TLS, login, timeout
    ├─ AuditUnavailable             can't record, so can't permit (fail closed)
    └─ StorageError                 the state database can't be read or written
"""

from typing import ClassVar


class InterlockError(Exception):
    """Anything that Interlock itself raises."""

    code: ClassVar[str] = "internal"


class ProtocolError(InterlockError):
    """A peer sent bytes that its protocol doesn't allow; the connection can't go on."""

    code = "protocol"


class ClientProtocolError(ProtocolError):
    """The client broke the wire format."""

    code = "client_protocol"


class UpstreamProtocolError(ProtocolError):
    """The upstream broke the wire format."""

    code = "upstream_protocol"


class LimitExceeded(InterlockError):
    """A stated limit was passed."""

    code = "limit"

    def __init__(self, name: str, *, limit: int, got: int) -> None:
        super().__init__(f"{name}: {got} is over the limit of {limit}")
        self.name = name
        self.limit = limit
        self.got = got


class AuthenticationError(InterlockError):
    """The credential doesn't establish a principal. The text is for operators; clients get only the code."""

    code = "authentication"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ConfigError(InterlockError):
    """The configuration can't be used; raised only before start or reload."""

    code = "config"

    def __init__(self, file: str, key: str, reason: str) -> None:
        super().__init__(f"{file}: {key}: {reason}" if key else f"{file}: {reason}")
        self.file = file
        self.key = key
        self.reason = reason


class PolicyError(InterlockError):
    """The policy set can't be loaded."""

    code = "policy"


class UpstreamUnavailable(InterlockError):
    """The upstream can't be reached, verified or logged in to."""

    code = "upstream_unavailable"


class AuditUnavailable(InterlockError):
    """What would happen can't be recorded, so it doesn't happen (P1)."""

    code = "audit_unavailable"


class StorageError(InterlockError):
    """The state database can't be read or written."""

    code = "storage"
