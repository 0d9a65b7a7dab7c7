"""Actions under way and the replies that are expected for them."""

import hashlib
from typing import Final, final

from interlock.analysis.postgres.statement import Analysis, Statement
from interlock.core.commands import Done
from interlock.core.outcome import Outcome, OutcomeStatus
from interlock.core.permit import Permit

PARSE: Final = 1
BIND: Final = 2
DESCRIBE_STATEMENT: Final = 3
DESCRIBE_PORTAL: Final = 4
EXECUTE: Final = 5
CLOSE_STATEMENT: Final = 6
CLOSE_PORTAL: Final = 7
SYNC: Final = 8
QUERY: Final = 9
REFUSED_EXTENDED: Final = 10
REFUSED_QUERY: Final = 11
FUNCTION: Final = 12


@final
class Running:
    """One permitted action from its permit to its outcome."""

    __slots__ = (
        "action_id", "analysis", "bytes_count", "data_bytes", "data_digest", "digest", "done", "error", "limit",
        "parts", "permit", "rows", "rows_cut", "statement", "tag", "tags", "touched",
    )  # fmt: skip

    def __init__(self, permit: Permit, analysis: Analysis | None, statement: Statement | None) -> None:
        self.action_id: Final = permit.action_id
        self.permit: Final = permit
        self.analysis: Final = analysis
        """Of a whole simple Query; its statements complete in order."""
        self.statement: Final = statement
        """Of a portal."""
        self.limit: Final = -1 if permit.obligations.max_rows is None else permit.obligations.max_rows
        self.parts: list[bytes] = []
        """Response bytes of this step, not yet given to ``Record`` or ``Done``."""
        self.digest: Final = hashlib.sha256()
        self.data_digest = None if analysis is None and statement is None else _copy_digest(analysis, statement)
        self.rows = 0
        self.bytes_count = 0
        self.data_bytes = 0
        self.tags = 0
        self.tag = ""
        self.error = ""
        self.rows_cut = False
        self.done = False
        self.touched = False

    def take_parts(self) -> bytes:
        """The response bytes since the last call, digested."""
        if not self.parts:
            return b""
        data = self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)
        self.parts = []
        self.bytes_count += len(data)
        self.digest.update(data)
        return data

    def finish(self, status: OutcomeStatus) -> Done:
        """Close the action; called once."""
        self.done = True
        data = self.take_parts()
        return Done(
            self.action_id,
            Outcome(
                status,
                self.error,
                self.tag,
                self.rows,
                self.bytes_count,
                self.digest.hexdigest(),
                self.data_digest.hexdigest() if self.data_digest is not None and self.data_bytes else "",
                self.data_bytes,
                truncated=self.rows_cut,
            ),
            data,
        )


def _copy_digest(analysis: Analysis | None, statement: Statement | None) -> "hashlib._Hash | None":
    """A digest for data that the client will stream in, where a statement can take any."""
    statements = analysis.statements if analysis is not None else ((statement,) if statement is not None else ())
    return hashlib.sha256() if any(one.copy == "in" for one in statements) else None


@final
class Expected:
    """One reply, or series of replies, that the upstream owes; in the order in which it will give them."""

    __slots__ = ("barrier", "batch", "instead", "kind", "running", "started")

    def __init__(
        self, kind: int, batch: int, running: Running | None = None, *, barrier: bool = False, instead: bytes = b""
    ) -> None:
        self.kind: Final = kind
        self.batch: Final = batch
        self.running: Final = running
        self.barrier: Final = barrier
        """What follows can't be understood before this ended: it may change settings, names or code."""
        self.instead: Final = instead
        """The gateway's own ErrorResponse, which the client gets for the one provoked upstream."""
        self.started = False


@final
class Prepared:
    """A prepared statement that the session knows: what was decided is what the server has."""

    __slots__ = ("analysis", "digest", "text")

    def __init__(self, text: str, analysis: Analysis, digest: str) -> None:
        self.text: Final = text
        self.analysis: Final = analysis
        self.digest: Final = digest


@final
class Portal:
    """A bound portal: its action is decided, or (a cursor that SQL declared) was decided with its DECLARE."""

    __slots__ = ("bind", "epoch", "prepared", "running")

    def __init__(self, prepared: Prepared, bind: bytes, running: Running, epoch: int) -> None:
        self.prepared: Final = prepared
        self.bind: Final = bind
        self.running = running
        self.epoch = epoch
