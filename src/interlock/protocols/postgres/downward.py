"""The upstream's replies, in order: matched with what was forwarded, counted, recorded, delivered.

Every message must be one that the oldest expected reply allows; anything else ends the connection. After an error of
the extended protocol the server skips until Sync: so do the expectations here.
"""

from collections.abc import Callable
from typing import Final, final

from interlock.analysis.postgres.statement import Analysis, Statement
from interlock.core.commands import CancelUpstream, Lookup, Withdraw
from interlock.core.decision import Deny
from interlock.core.errors import UpstreamProtocolError
from interlock.core.outcome import OutcomeStatus
from interlock.protocols.postgres import running as kinds
from interlock.protocols.postgres.replies import denial
from interlock.protocols.postgres.running import Expected, Prepared, Running
from interlock.protocols.postgres.state import Conversation
from interlock.protocols.postgres.texts import changes_names
from interlock.protocols.postgres.upward import Upward
from interlock.wire.postgres.backend import CommandComplete, ParameterStatus
from interlock.wire.postgres.framing import Chunk, Frame, Run, split
from interlock.wire.postgres.replies import ErrorResponse

_ROWS: Final = ord("D")
_COPY: Final = ord("d")
_ERROR: Final = ord("E")
_PARAMETER_STATUS: Final = ord("S")
_ANY_TIME: Final = frozenset(b"NASE")
_STATEMENTS: Final = frozenset({kinds.EXECUTE, kinds.QUERY})
_ENDS: Final = frozenset({"commit", "rollback", "prepare"})
"""Ends of a transaction: its portals go with it, also where the next one begins in the same text."""
_SYNC_LIKE: Final = frozenset({kinds.SYNC, kinds.QUERY, kinds.REFUSED_QUERY, kinds.FUNCTION})


@final
class Downward:
    """Upstream to client."""

    def __init__(self, state: Conversation, upward: Upward) -> None:
        self._state: Final = state
        self._upward: Final = upward
        self._table: Final = self._make_table()
        self._swallowing = False
        """A row limit was passed and the client has its error: drop replies until ReadyForQuery."""

    def advance(self) -> None:
        """Deal with every message that has arrived."""
        state = self._state
        while not state.closed:
            item = state.upstream.next_item()
            if item is None:
                return
            if isinstance(item, Frame):
                self._message(item.kind, item)
            elif isinstance(item, Run):
                self._run(item)
            elif isinstance(item, Chunk):
                self._chunk(item)
            else:
                msg = f"a message of kind {chr(item.kind)!r} with {item.size} bytes"
                raise UpstreamProtocolError(msg)

    # --- rows and COPY data -------------------------------------------------------------------------------------

    def _streaming(self, kind: int) -> Running:
        """The action whose rows or data these are."""
        expected = self._state.expected
        if expected:
            head = expected[0]
            if head.running is not None and head.kind in _STATEMENTS:
                return head.running
        msg = f"{'rows' if kind == _ROWS else 'COPY data'} that nothing asked for"
        raise UpstreamProtocolError(msg)

    def _run(self, run: Run) -> None:
        state = self._state
        running = self._streaming(run.kind)
        if self._swallowing or running.rows_cut:
            return
        if running.limit >= 0 or running.byte_limit >= 0:
            fitting, end = _fitting(run, running)
            if fitting < run.count:
                if fitting:
                    state.deliver(run.raw[:end], running)
                    running.rows += fitting
                    running.row_bytes += end
                self._cut(running)
                return
        running.rows += run.count
        running.row_bytes += len(run.raw)
        state.deliver(run.raw, running)

    def _chunk(self, chunk: Chunk) -> None:
        state = self._state
        running = self._streaming(chunk.kind)
        if self._swallowing or (running.rows_cut and not state.mid_message):
            return
        if chunk.starts:
            size = 1 + int.from_bytes(chunk.raw[1:5], "big")
            if 0 <= running.limit <= running.rows or 0 <= running.byte_limit < running.row_bytes + size:
                self._cut(running)
                return
            running.rows += 1
            running.row_bytes += size
        state.deliver(chunk.raw, running)
        state.mid_message = not chunk.ends

    def _cut(self, running: Running) -> None:
        """The limit of rows or bytes is reached: deliver no more, and have the upstream stop."""
        running.rows_cut = True
        self._state.commands.append(CancelUpstream())

    # --- single messages ----------------------------------------------------------------------------------------

    def _message(self, kind: int, frame: Frame) -> None:
        """Deal with one message that isn't a row: those of any time, else what the table allows here."""
        state = self._state
        if kind in _ANY_TIME:
            if kind == _ERROR:
                self._error(frame)
            elif kind == _PARAMETER_STATUS:
                self._parameter(frame)
            else:
                self._pass(frame, state.expected[0].running if state.expected else None)
            return
        if not state.expected:
            msg = f"message kind {chr(kind)!r} that nothing asked for"
            raise UpstreamProtocolError(msg)
        head = state.expected[0]
        handler = self._table.get(kind << 8 | head.kind)
        if handler is None:
            msg = f"message kind {chr(kind)!r} out of place"
            raise UpstreamProtocolError(msg)
        handler(frame, head)

    def _make_table(self) -> dict[int, Callable[[Frame, Expected], None]]:
        """Which message may come when which reply is owed, and what it does."""
        rows: list[tuple[str, tuple[int, ...], Callable[[Frame, Expected], None]]] = [
            ("Z", (kinds.SYNC, kinds.QUERY, kinds.REFUSED_QUERY, kinds.FUNCTION), self._ready),
            ("C", (kinds.EXECUTE, kinds.QUERY), self._complete),
            ("1", (kinds.PARSE,), self._parsed),
            ("2", (kinds.BIND,), self._bound),
            ("3", (kinds.CLOSE_STATEMENT, kinds.CLOSE_PORTAL), self._closed),
            ("t", (kinds.DESCRIBE_STATEMENT,), self._parameters_described),
            ("T", (kinds.QUERY,), self._part),
            ("T", (kinds.DESCRIBE_STATEMENT, kinds.DESCRIBE_PORTAL), self._described),
            ("n", (kinds.DESCRIBE_STATEMENT, kinds.DESCRIBE_PORTAL), self._described),
            ("I", (kinds.QUERY,), self._part),
            ("I", (kinds.EXECUTE,), self._empty),
            ("s", (kinds.EXECUTE,), self._suspended),
            ("G", (kinds.EXECUTE, kinds.QUERY), self._copy_in),
            ("H", (kinds.EXECUTE, kinds.QUERY), self._part),
            ("c", (kinds.EXECUTE, kinds.QUERY), self._part),
            ("V", (kinds.FUNCTION,), self._part),
        ]
        return {ord(letter) << 8 | expects: handler for letter, owed, handler in rows for expects in owed}

    def _part(self, frame: Frame, head: Expected) -> None:
        """A part of a reply that goes on."""
        self._pass(frame, head.running)

    def _parsed(self, frame: Frame, head: Expected) -> None:
        """ParseComplete: the name stands for the statement from now on."""
        self._state.statements.confirm()
        self._state.fulfilled()
        self._pass(frame, head.running)
        self._finish(head.running, OutcomeStatus.OK)

    def _bound(self, frame: Frame, head: Expected) -> None:
        """BindComplete: the portal is there; one that had its name is gone."""
        before = self._state.portals.confirm()
        self._state.fulfilled()
        self._pass(frame, head.running)
        if before is not None:
            self._state.finish(before.running, OutcomeStatus.OK)

    def _closed(self, frame: Frame, head: Expected) -> None:
        """CloseComplete: the name is free."""
        self._state.fulfilled()
        self._pass(frame, None)
        if head.kind == kinds.CLOSE_STATEMENT:
            self._state.statements.confirm()
        else:
            closed = self._state.portals.confirm()
            if closed is not None:
                self._state.finish(closed.running, OutcomeStatus.OK)

    def _parameters_described(self, frame: Frame, head: Expected) -> None:
        """ParameterDescription comes first, once."""
        if head.started:
            msg = "two ParameterDescriptions"
            raise UpstreamProtocolError(msg)
        head.started = True
        self._pass(frame, head.running)

    def _described(self, frame: Frame, head: Expected) -> None:
        """A Describe is complete; that of a statement is an action of its own, that of a portal its portal's."""
        self._pass(frame, head.running)
        self._state.fulfilled()
        running = head.running
        if running is not None and running.statement is None and running.analysis is None:
            self._state.finish(running, OutcomeStatus.OK)

    def _empty(self, frame: Frame, head: Expected) -> None:
        """EmptyQueryResponse to an Execute."""
        self._state.fulfilled()
        self._pass(frame, head.running)
        self._finish(head.running, OutcomeStatus.OK)

    def _suspended(self, frame: Frame, head: Expected) -> None:
        """PortalSuspended: the action goes on with the portal's next Execute, or ends with the portal."""
        self._state.fulfilled()
        self._pass(frame, head.running)

    def _pass(self, frame: Frame, running: Running | None) -> None:
        if not self._swallowing:
            self._state.deliver(frame.raw, running)

    def _finish(self, running: Running | None, status: OutcomeStatus) -> None:
        if running is not None:
            self._state.finish(running, status)

    def _complete(self, frame: Frame, head: Expected) -> None:
        """CommandComplete: one statement ended."""
        state = self._state
        running = head.running
        if running is None:
            msg = "CommandComplete for no action"
            raise UpstreamProtocolError(msg)
        running.tag = CommandComplete.decode(frame.body).tag
        if not self._swallowing:
            if running.rows_cut:
                self._row_limit(running)
            else:
                state.deliver(frame.raw, running)
        if state.copying is running:
            state.copying = None
        if head.kind == kinds.EXECUTE:
            state.fulfilled()
            if running.statement is not None:
                self._apply(running.statement)
            state.finish(running, OutcomeStatus.OK)
        else:
            running.tags += 1

    def _row_limit(self, running: Running) -> None:
        """Tell the client that its rows were cut; what else the upstream says until ReadyForQuery is dropped."""
        state = self._state
        running.error = "54000"
        why = f"the result was cut after {running.rows} rows ({running.row_bytes} bytes) by policy: ask for less"
        deny = Deny("row_limit", why)
        state.deliver(denial(deny), running)
        self._swallowing = True
        if not any(one.kind in _SYNC_LIKE for one in state.expected):
            state.discarding = True

    def _copy_in(self, frame: Frame, head: Expected) -> None:
        """CopyInResponse: the client's data may flow."""
        state = self._state
        running = head.running
        if running is None:
            msg = "CopyInResponse for no action"
            raise UpstreamProtocolError(msg)
        if not running.takes_data:
            msg = "CopyInResponse to what is no COPY FROM STDIN"
            raise UpstreamProtocolError(msg)
        state.copying = running
        self._pass(frame, running)

    def _parameter(self, frame: Frame) -> None:
        """ParameterStatus: the text of statements must go on meaning here what it means there (T5)."""
        state = self._state
        status = ParameterStatus.decode(frame.body)
        name, value = status.name, status.value
        if (name == "client_encoding" and value.upper() not in {"UTF8", "UNICODE"}) or (
            name == "standard_conforming_strings" and value != "on"
        ):
            msg = f"{name} became {value[:40]!r}: statements can't be read safely"
            raise UpstreamProtocolError(msg)
        self._pass(frame, state.expected[0].running if state.expected else None)

    # --- errors and ends ----------------------------------------------------------------------------------------

    def _error(self, frame: Frame) -> None:
        """ErrorResponse: the head of the queue failed; in the extended protocol all up to Sync with it."""
        state = self._state
        fields = ErrorResponse.decode(frame.body)
        severity = fields.get("V") or fields.get("S")
        if severity in {"FATAL", "PANIC"}:
            state.fatal_seen = True
            state.deliver(frame.raw, state.expected[0].running if state.expected else None)
            return
        if not state.expected:
            state.deliver(frame.raw, None)
            return
        head = state.expected[0]
        running = head.running
        if head.instead:
            self._pass(Frame(0x45, head.instead), None)
        elif running is not None and running.rows_cut and not self._swallowing:
            self._row_limit(running)
            self._swallowing = False
        else:
            if running is not None:
                running.error = fields.sqlstate
            self._pass(frame, running)
        if state.copying is not None and state.copying is running:
            state.copying = None
        if head.kind not in _SYNC_LIKE:
            self._skip_to_sync(head)

    def _skip_to_sync(self, head: Expected) -> None:
        """The server skips to the next Sync: what was forwarded behind the failed message never runs."""
        state = self._state
        if head.kind == kinds.PARSE:
            state.statements.remove("")
        first = True
        while state.expected and state.expected[0].kind not in _SYNC_LIKE:
            gone = state.fulfilled()
            if gone.running is not None:
                state.finish(gone.running, OutcomeStatus.ERROR if first else OutcomeStatus.SKIPPED)
            first = False
        state.statements.drop_batch(head.batch)
        for portal in state.portals.drop_batch(head.batch):
            state.finish(portal.running, OutcomeStatus.SKIPPED)
        if not state.expected:
            state.discarding = True
            if state.asking is not None:
                self._upward.abandon()
                state.commands.append(Withdraw(state.asking.action.id))

    def _ready(self, frame: Frame, head: Expected) -> None:
        """ReadyForQuery: a batch or Query ended; the transaction's state is known."""
        state = self._state
        if len(frame.raw) != 6 or frame.raw[5] not in b"ITE":
            msg = "ReadyForQuery without a status"
            raise UpstreamProtocolError(msg)
        state.fulfilled()
        state.status = chr(frame.raw[5])
        self._swallowing = False
        if head.batch >= state.unreported:
            state.unreported = -1
        running = head.running
        state.deliver(frame.raw, running)
        if running is not None:
            if running.analysis is not None:
                for one in running.analysis.statements[: running.tags]:
                    self._apply(one)
            if state.copying is running:
                state.copying = None
            state.finish(running, OutcomeStatus.ERROR if running.error else OutcomeStatus.OK)
        if state.status == "I":
            self._transaction_ended()

    def _transaction_ended(self) -> None:
        """No transaction is open: portals are gone, local settings too, and DDL is visible to others."""
        state = self._state
        state.local_reason = None
        self._portals_gone()
        if state.lookup_wanted and state.permit is not None:
            state.lookup_wanted = False
            state.looking = True
            state.commands.append(Lookup(state.permit, refresh=True))

    def _portal_gone(self, name: str) -> None:
        """SQL and protocol share one namespace: what CLOSE dropped, or DECLARE made anew, is no portal of a Bind."""
        portal = self._state.portals.remove(name)
        if portal is not None:
            self._state.finish(portal.running, OutcomeStatus.OK)

    def _portals_gone(self) -> None:
        """The server dropped all portals."""
        for portal in self._state.portals.clear():
            self._state.finish(portal.running, OutcomeStatus.OK)

    def _apply(self, one: Statement) -> None:
        """A statement succeeded: the names and settings that it makes or drops are in force."""
        state = self._state
        if changes_names(one):
            state.names_epoch += 1
        if one.prepares is not None:
            name, inner = one.prepares
            state.statements.set(name, Prepared(inner.text, Analysis((inner,), large=False), ""))
        if one.deallocates is not None:
            if one.deallocates:
                state.statements.remove(one.deallocates)
            else:
                state.statements.clear()
        if one.declares is not None:
            state.cursors[one.declares[0]] = one.declares[1]
            self._portal_gone(one.declares[0])
        if one.closes is not None:
            if one.closes:
                state.cursors.pop(one.closes, None)
                self._portal_gone(one.closes)
            else:
                state.cursors.clear()
                self._portals_gone()
        if one.transaction in _ENDS:
            self._portals_gone()
        for name, value, local in one.sets:
            if name == "interlock.reason":
                if local:
                    state.local_reason = value
                else:
                    state.reason = value


def _fitting(run: Run, running: Running) -> tuple[int, int]:
    """How many rows of a run the action may still deliver, and where the last of them ends."""
    fitting, end = 0, 0
    for _, _, row_end in split(run.raw, 0):
        if 0 <= running.limit < running.rows + fitting + 1:
            break
        if 0 <= running.byte_limit < running.row_bytes + row_end:
            break
        fitting, end = fitting + 1, row_end
    return fitting, end
