"""One open session as the gate sees it."""

import asyncio
from typing import Final, final

from interlock.audit.journal import Sealed, SessionJournal
from interlock.core.decision import Allow
from interlock.core.session import Session
from interlock.policy import Totals


@final
class Unsent:
    """An intent that is made, and so chained, but that the recorder had no room for yet."""

    __slots__ = ("decision", "sealed")

    def __init__(self, decision: Allow, sealed: Sealed) -> None:
        self.decision: Final = decision
        self.sealed: Final = sealed


@final
class Live:
    """A session, its chain of entries, its totals and what it waits for."""

    __slots__ = (
        "bytes_count", "ended", "host", "journal", "requests_only", "rows", "session", "statements", "tls", "unsent",
        "waiting", "withdrawn",
    )  # fmt: skip

    def __init__(self, session: Session, journal: SessionJournal, *, tls: bool) -> None:
        self.session: Final = session
        self.journal: Final = journal
        self.tls: Final = tls
        self.host: Final = session.client_address.rpartition(":")[0].strip("[]")
        self.statements = 0
        self.rows = 0
        self.bytes_count = 0
        self.ended = False
        self.unsent: dict[str, Unsent] = {}
        self.waiting: dict[str, asyncio.Event] = {}
        """Actions that people are asked about; the event says that the client withdrew."""
        self.withdrawn = ""
        """The last action that was withdrawn before anybody was asked about it."""
        self.requests_only: set[str] = set()
        """Actions whose response isn't recorded, only its size and digest (``@record("request")``)."""

    def totals(self) -> Totals:
        """What the session has done so far."""
        return Totals(self.statements, self.rows, self.bytes_count)
