"""What came of a permitted action."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class OutcomeStatus(StrEnum):
    """How an action ended."""

    OK = "ok"
    ERROR = "error"
    """The upstream answered with an error; ``code`` is the protocol's own (an SQLSTATE)."""
    SKIPPED = "skipped"
    """Permitted, but the upstream never ran it: an earlier error of the same batch made it skip."""
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    """The connection ended before the upstream answered."""


class Outcome(msgspec.Struct, frozen=True):
    """The end of an action: status, size, and the digest of what was delivered."""

    status: OutcomeStatus
    code: str = ""
    tag: str = ""
    """The protocol's completion text, as in ``DELETE 3``."""
    rows: int = 0
    bytes_count: int = 0
    digest: str = ""
    """SHA-256 of the response as delivered to the client, hex."""
    data_digest: str = ""
    """SHA-256 of data that the client streamed in (COPY), hex."""
    data_bytes: int = 0
    masked: Mapping[str, int] = msgspec.field(default_factory=dict)
    truncated: bool = False
