"""What policy may know beside who, what and where."""

from datetime import datetime

import msgspec


class Totals(msgspec.Struct, frozen=True, gc=False):
    """What the session has done so far, this action not counted."""

    statements: int = 0
    rows: int = 0
    bytes_count: int = 0


NO_TOTALS = Totals()


class Context(msgspec.Struct, frozen=True):
    """The circumstances of one question; made anew for each, so it is cheap to make."""

    now: datetime
    """UTC, aware. One reading of the clock a decision."""
    source: str = ""
    """The client's IP address without port; empty for a local socket, which policies that read it then refuse."""
    reason: str | None = None
    """Given for this action or session by the client; the token's own reason is used where this is empty."""
    database: str = ""
    totals: Totals = NO_TOTALS
    tls: bool = True
