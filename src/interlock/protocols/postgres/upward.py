"""The client's messages, one at a time, in order: understood, asked about, forwarded with a permit.

Bind is where a statement of the extended protocol is decided, with its parameters, because planning already runs
code; Execute runs only a decided portal. Parse and the Describe of a statement are actions of their own; the
Describe of a portal, Close, Sync, Flush and CopyData ride on their action's or the session's permit.

A denial makes the upstream fail too, by a text that is no SQL in any version, sent in the denied message's place: the
server aborts what it must abort and skips what it would skip, so both sides agree on the state (P10).
"""

from typing import Final, final

from interlock.analysis.postgres.statement import Analysis, SyntaxRejected
from interlock.core.commands import Answered, Ask, Close, Done, Held
from interlock.core.decision import Deny
from interlock.core.errors import ClientProtocolError, LimitExceeded
from interlock.core.outcome import Outcome, OutcomeStatus
from interlock.core.permit import Permit
from interlock.protocols.postgres import running as kinds
from interlock.protocols.postgres.extended import Extended
from interlock.protocols.postgres.failing import fail_extended, fail_query
from interlock.protocols.postgres.replies import denial, error, held_notice
from interlock.protocols.postgres.requests import function_call, runs_code, unparsed
from interlock.protocols.postgres.running import Expected, Running
from interlock.protocols.postgres.state import Asking, Conversation
from interlock.protocols.postgres.texts import Texts, note, refuse
from interlock.wire.postgres.framing import Chunk, Frame, Item, Oversized, Run
from interlock.wire.postgres.frontend import Query

_Q: Final = ord("Q")
_P: Final = ord("P")
_B: Final = ord("B")
_D: Final = ord("D")
_E: Final = ord("E")
_C: Final = ord("C")
_S: Final = ord("S")
_H: Final = ord("H")
_X: Final = ord("X")
_F: Final = ord("F")
_COPY_ENDS: Final = frozenset(b"cf")
_EXTENDED: Final = frozenset({_P, _B, _D, _E, _C})


@final
class Upward:
    """Client to upstream."""

    def __init__(self, state: Conversation) -> None:
        self._state: Final = state
        self._stalled: Item | None = None
        self._texts: Final = Texts(state)
        self._extended: Final = Extended(state, self._texts)
        self._abandoned = False
        """An earlier message of the batch failed upstream while this one was asked about."""

    # --- the loop ---------------------------------------------------------------------------------------------

    def advance(self) -> None:
        """Take messages until one must wait or none is left."""
        state = self._state
        while state.asking is None and not self._texts.waits and not state.closed:
            item = self._stalled
            if item is None:
                item = state.client.next_item()
                if item is None:
                    return
            self._stalled = None
            if not self._take(item):
                self._stalled = item
                return

    def _take(self, item: Item) -> bool:
        """Deal with one message; False if it must wait for the upstream."""
        state = self._state
        if isinstance(item, Frame):
            kind = item.kind
            if state.discarding:
                return self._discard(item)
            if kind == _S:
                return self._sync(item)
            if kind == _X:
                self._terminate(item)
                return True
            if kind == _H:
                state.flushed = True
                state.flow(item.raw)
                return True
            if kind in _COPY_ENDS:
                return self._copy(item.raw, ends=True)
            if self._must_wait(kind):
                return False
            try:
                return self._message(kind, item)
            except ClientProtocolError as broken:
                reply = error("08P01", f"invalid message format: {broken}")
                if kind in _EXTENDED:
                    fail_extended(state, reply)
                else:
                    fail_query(state, reply)
                return True
        if isinstance(item, Oversized):
            return self._oversized(item)
        return self._copy_data(item)

    def _must_wait(self, kind: int) -> bool:
        """True if a message that asks for something can't be dealt with before the upstream has said more.

        A Query behind messages without a Sync waits for their replies: had one failed, the server would skip it too.

        Raises:
            ClientProtocolError: the upstream takes COPY data; PostgreSQL ends the connection there.
        """
        state = self._state
        if state.copying is not None:
            msg = f"unexpected message type 0x{kind:02X} during COPY from stdin"
            raise ClientProtocolError(msg)
        if state.looking:
            return True
        if (
            state.barriers
            or len(state.expected) >= state.limits.pipelined
            or (state.unsynced and state.expected and kind not in _EXTENDED)
        ):
            state.flush_upstream()
            return True
        return False

    def _message(self, kind: int, frame: Frame) -> bool:
        """Deal with a message that asks for something."""
        if kind == _B:
            return self._extended.bind(frame)
        if kind == _E:
            return self._extended.execute(frame)
        if kind == _Q:
            return self._query(frame)
        if kind == _P:
            return self._extended.parse(frame)
        if kind == _D:
            return self._extended.describe(frame)
        if kind == _C:
            return self._extended.close(frame)
        if kind == _F:
            return self._function_call(frame)
        msg = f"message kind {chr(kind)!r} in an open session"
        raise ClientProtocolError(msg)

    def _discard(self, frame: Frame) -> bool:
        """Skip until Sync, as the server does after an error of the extended protocol."""
        if frame.kind == _S:
            return self._sync(frame)
        if frame.kind == _X:
            self._terminate(frame)
        return True

    def _oversized(self, item: Oversized) -> bool:
        """Refuse a message over the limit without having seen its body."""
        state = self._state
        if state.discarding:
            return True
        if self._must_wait(item.kind):
            return False
        settled, _ = unparsed()
        action = state.requests.action(settled, f"({item.size} bytes, not read)", b"")
        why = f"the message has {item.size} bytes, over the gateway's limit of {item.limit} ([limits] message_bytes)"
        kind = kinds.QUERY if item.kind in {_Q, _F} else kinds.PARSE
        refuse(state, kind, action=action, deny=Deny("too_large", why))
        return True

    # --- simple protocol ----------------------------------------------------------------------------------------

    def _query(self, frame: Frame) -> bool:
        """Query: one text of any number of statements."""
        raw = Query.decode(frame.body).text
        return self._texts.read(frame, raw, query=True, name="")

    def analysed(self, ticket: int, analysis: Analysis | SyntaxRejected | LimitExceeded) -> None:
        """A large text was analysed, or couldn't be within the gateway's budget."""
        self._stalled = self._texts.analysed(ticket, analysis)
        self.advance()

    def _run_query(self, asking: Asking, permit: Permit) -> None:
        """Forward a permitted Query."""
        state = self._state
        prepared = asking.prepared
        if prepared is None:
            msg = "a Query without its analysis"
            raise TypeError(msg)
        data = asking.frame if permit.stored is None else Query(permit.stored).encode()
        running = Running(permit, prepared.analysis, None)
        state.open[running.action_id] = running
        statements = prepared.analysis.statements
        barrier = note(state, statements, runs_code=runs_code(asking.action.leaves))
        state.statements.remove("")
        portal = state.portals.remove("")
        if portal is not None:
            state.finish(portal.running, OutcomeStatus.OK)
        state.forward(data, permit)
        state.expect(Expected(kinds.QUERY, state.batch, running, barrier=barrier))
        state.batch += 1
        state.unsynced = False

    def _sync(self, frame: Frame) -> bool:
        """Sync: end of the batch. While COPY takes data the server ignores it.

        It is never forwarded where it may be read in either state: a COPY that failed meanwhile would answer it, and
        from then on each reply would be taken for the one before. So it waits until COPY has begun, failed or ended.
        """
        state = self._state
        if state.copying is not None:
            return True
        if len(state.expected) >= state.limits.pipelined or any(one.may_take_data for one in state.expected):
            state.flush_upstream()
            return False
        state.flow(frame.raw)
        state.expect(Expected(kinds.SYNC, state.batch))
        state.batch += 1
        state.unsynced = False
        state.discarding = False
        return True

    # --- function call, COPY, end -------------------------------------------------------------------------------

    def _function_call(self, frame: Frame) -> bool:
        """The fast path, which names a function by oid only: refused unless the resource allows it (T7)."""
        state = self._state
        settled = function_call()
        action = state.requests.action(settled, "(fast-path function call)", frame.raw)
        session = state.session
        if session is None or "function_call" not in session.resource.allow:
            deny = Deny(
                "unsupported",
                "fast-path function calls are refused: call the function in a SELECT, or have the resource allow "
                '"function_call"',
            )
            refuse(state, kinds.FUNCTION, action=action, deny=deny)
            return True
        state.asking = Asking(kinds.FUNCTION, action, frame.raw)
        state.commands.append(Ask(action, state.local_reason or state.reason))
        return True

    def _copy_data(self, item: Run | Chunk) -> bool:
        """CopyData: forwarded while a permitted COPY takes data, else dropped, as the server does."""
        if item.kind != ord("d"):
            msg = f"message kind {chr(item.kind)!r} from a client"
            raise ClientProtocolError(msg)
        return self._copy(item.raw, ends=False)

    def _copy(self, raw: bytes, *, ends: bool) -> bool:
        state = self._state
        running = state.copying
        if running is None:
            if state.barriers:
                state.flush_upstream()
                return False
            return True
        state.forward(raw, running.permit)
        if running.data_digest is not None:
            running.data_digest.update(raw)
        running.data_bytes += len(raw)
        if ends:
            state.copying = None
            running.fed = True
        return True

    def _terminate(self, frame: Frame) -> None:
        """Terminate: pass it on and end."""
        state = self._state
        state.flow(frame.raw)
        state.flush()
        for running in list(state.open.values()):
            state.finish(running, OutcomeStatus.UNKNOWN if state.expected else OutcomeStatus.OK)
        state.commands.append(Close("client_closed"))
        state.closed = True

    # --- answers ------------------------------------------------------------------------------------------------

    def abandon(self) -> None:
        """The batch failed while its next message was being asked about: the server would skip that message."""
        self._abandoned = self._state.asking is not None

    def held(self, event: Held) -> None:
        """The action waits for people: tell the client at once."""
        state = self._state
        if state.asking is not None and state.asking.action.id == event.action_id:
            state.held = event
            state.held_since = state.held_told = -1.0
            if not state.mid_message:
                state.to_client.append(held_notice(event, 0))

    def answered(self, event: Answered) -> None:
        """The gate's answer to the one message being asked about."""
        state = self._state
        asking = state.asking
        if asking is None or asking.action.id != event.action_id:
            msg = f"an answer to {event.action_id} that nobody asked for"
            raise TypeError(msg)
        state.asking = None
        state.held = None
        answer = event.answer
        if self._abandoned:
            self._abandoned = False
            if isinstance(answer, Permit):
                state.commands.append(Done(event.action_id, Outcome(OutcomeStatus.SKIPPED)))
        elif isinstance(answer, Deny):
            self._denied(asking, answer)
        else:
            self._permitted(asking, answer)
        self._texts.rejected = None
        self.advance()

    def _permitted(self, asking: Asking, permit: Permit) -> None:
        """Forward what was asked about."""
        kind = asking.kind
        if kind == kinds.BIND:
            self._extended.run_bind(asking, permit)
        elif kind == kinds.QUERY:
            self._run_query(asking, permit)
        elif kind == kinds.PARSE:
            self._extended.run_parse(asking, permit)
        elif kind == kinds.EXECUTE:
            self._extended.run_execute(asking, permit)
        else:
            state = self._state
            running = Running(permit, None, None)
            state.open[running.action_id] = running
            if kind == kinds.FUNCTION:
                state.forward(asking.frame, permit)
                state.expect(Expected(kind, state.batch, running, barrier=True))
                state.requests.epoch += 1
                state.batch += 1
            else:
                state.forward_extended(asking.frame, permit, Expected(kind, state.batch, running))

    def _denied(self, asking: Asking, deny: Deny) -> None:
        """Answer as a server error would, and make the upstream fail where it has a transaction to fail."""
        state = self._state
        rejected = self._texts.rejected
        if rejected is not None and deny.code == "policy_denied":
            reply = error(rejected.sqlstate, rejected.message, position=rejected.position)
        else:
            reply = denial(deny)
        if asking.kind in {kinds.QUERY, kinds.FUNCTION}:
            fail_query(state, reply)
        else:
            if asking.kind == kinds.PARSE and not asking.portal:
                state.statements.remove("")
            fail_extended(state, reply)
