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
_RUNS: Final = frozenset({EXECUTE, QUERY})


@final
class Running:
    """One permitted action from its permit to its outcome."""

    __slots__ = (
        "action_id", "analysis", "byte_limit", "bytes_count", "data_bytes", "data_digest", "digest", "done",
        "error", "fed", "limit", "parts", "permit", "row_bytes", "rows", "rows_cut", "runs_code", "statement",
        "tag", "tags", "takes_data", "touched",
    )  # fmt: skip

    def __init__(
        self,
        permit: Permit,
        analysis: Analysis | None,
        statement: Statement | None,
        *,
        runs_code: bool = False,
    ) -> None:
        self.action_id: Final = permit.action_id
        self.permit: Final = permit
        self.analysis: Final = analysis
        """Of a whole simple Query; its statements complete in order."""
        self.statement: Final = statement
        """Of a portal."""
        self.limit: Final = -1 if permit.obligations.max_rows is None else permit.obligations.max_rows
        self.byte_limit: Final = -1 if permit.obligations.max_bytes is None else permit.obligations.max_bytes
        self.row_bytes = 0
        self.parts: list[bytes] = []
        """Response bytes of this step, not yet given to ``Record`` or ``Done``."""
        self.digest: Final = hashlib.sha256()
        self.takes_data: Final = _takes_data(analysis, statement)
        """It may be a COPY FROM STDIN."""
        self.data_digest: Final = hashlib.sha256() if self.takes_data else None
        self.runs_code: Final = runs_code
        """It was decided as code that may do anything."""
        self.fed = False
        """The client has sent the end of its data."""
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


def _takes_data(analysis: Analysis | None, statement: Statement | None) -> bool:
    """Whether the client may be asked to stream data in: by COPY, or by what policy permits unread."""
    statements = analysis.statements if analysis is not None else ((statement,) if statement is not None else ())
    return any(one.copy == "in" or one.kind == "unparsed" for one in statements)


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

    @property
    def may_take_data(self) -> bool:
        """True while the server may read what comes next as COPY data. A Query may hold several COPYs."""
        running = self.running
        return (
            running is not None
            and running.takes_data
            and self.kind in _RUNS
            and not (running.fed and self.kind == EXECUTE)
        )


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

    __slots__ = ("bind", "epoch", "names_epoch", "prepared", "running")

    def __init__(self, prepared: Prepared, bind: bytes, running: Running, epoch: int, names_epoch: int) -> None:
        self.prepared: Final = prepared
        self.bind: Final = bind
        self.running = running
        self.epoch = epoch
        """Of the settings that it was decided under."""
        self.names_epoch = names_epoch
        """Of the names that an EXECUTE or FETCH was decided with."""
