"""Texts of statements: read, analysed (off the loop if large), turned into the question that the gate is asked.

Query and Parse both carry one; what can't be read or is too long is refused without having been forwarded (P2).
"""

from typing import Final, final

from interlock.analysis.postgres.settle import with_parameter_types
from interlock.analysis.postgres.statement import Analysis, Statement, SyntaxRejected
from interlock.core.action import Action
from interlock.core.commands import Analyse, Ask
from interlock.core.decision import Deny
from interlock.core.errors import LimitExceeded
from interlock.protocols.postgres import running as kinds
from interlock.protocols.postgres.failing import fail_extended, fail_query
from interlock.protocols.postgres.replies import error
from interlock.protocols.postgres.requests import unparsed, unsupported_encoding
from interlock.protocols.postgres.running import Prepared
from interlock.protocols.postgres.state import Asking, Conversation
from interlock.wire.postgres.framing import Frame

_NO_STATEMENTS: Final[dict[str, Statement]] = {}


@final
class _Suspended:
    """A Query or Parse whose text is being analysed off the loop."""

    __slots__ = ("frame", "name", "query", "text", "types")

    def __init__(self, frame: Frame, text: str, *, query: bool, name: str, types: tuple[int, ...]) -> None:
        self.frame: Final = frame
        self.text: Final = text
        self.query: Final = query
        self.name: Final = name
        self.types: Final = types


@final
class Texts:
    """The text being read, at most one at a time."""

    def __init__(self, state: Conversation) -> None:
        self._state: Final = state
        self._suspended: _Suspended | None = None
        self._ticket = 0
        self.rejected: SyntaxRejected | None = None
        """The grammar's own error for the text being asked about: what a denial of it is answered with."""

    @property
    def waits(self) -> bool:
        """True while a text is being analysed off the loop."""
        return self._suspended is not None

    def read(self, frame: Frame, raw: bytes, *, query: bool, name: str, types: tuple[int, ...] = ()) -> bool:
        """Decode and analyse a text, off the loop if it is large; ``types`` are those of a Parse's parameters."""
        state = self._state
        size = len(raw)
        if size > state.limits.statement_bytes:
            settled, _ = unparsed()
            action = state.requests.action(settled, f"({size} bytes, not parsed)", raw)
            deny = Deny(
                "too_large",
                f"the statement has {size} bytes, over the gateway's limit of {state.limits.statement_bytes} "
                "([limits] statement_bytes)",
            )
            refuse(state, kinds.QUERY if query else kinds.PARSE, action=action, deny=deny, name=name)
            return True
        try:
            text = raw.decode()
        except UnicodeDecodeError as broken:
            reply = error("22021", f'invalid byte sequence for encoding "UTF8": 0x{raw[broken.start]:02x}')
            if query:
                fail_query(state, reply)
            else:
                fail_extended(state, reply)
            return True
        if size > state.limits.inline_bytes:
            self._ticket += 1
            self._suspended = _Suspended(frame, text, query=query, name=name, types=types)
            state.commands.append(Analyse(self._ticket, text))
            return True
        analysis = state.analyser.analyse(text)
        if query:
            return self._ask_query(frame, text, raw, analysis)
        return self._ask_parse(frame, text, raw, analysis, name, types)

    def analysed(self, ticket: int, analysis: Analysis | SyntaxRejected | LimitExceeded) -> Frame | None:
        """A large text was analysed, or couldn't be within the gateway's budget; the message if it must wait."""
        suspended = self._suspended
        if suspended is None or ticket != self._ticket:
            return None
        self._suspended = None
        state = self._state
        if state.discarding:
            return None
        raw = suspended.text.encode()
        if isinstance(analysis, LimitExceeded):
            settled, _ = unparsed()
            action = state.requests.action(settled, f"({len(raw)} bytes, not parsed)", raw)
            why = "the gateway has no room to parse a text of this size now: try again, or send less"
            kind = kinds.QUERY if suspended.query else kinds.PARSE
            refuse(state, kind, action=action, deny=Deny("overloaded", why), name=suspended.name)
            return None
        taken = (
            self._ask_query(suspended.frame, suspended.text, raw, analysis)
            if suspended.query
            else self._ask_parse(suspended.frame, suspended.text, raw, analysis, suspended.name, suspended.types)
        )
        return None if taken else suspended.frame

    def _ask_query(self, frame: Frame, text: str, raw: bytes, analysis: Analysis | SyntaxRejected) -> bool:
        """Ask about a Query whose text is understood (or not)."""
        state = self._state
        self.rejected = None
        doubtful = self._is_doubtful(raw)
        if doubtful and state.expected:
            state.flush_upstream()
            return False
        if isinstance(analysis, SyntaxRejected):
            self.rejected = analysis
            settled, analysis = unparsed()
        elif doubtful:
            settled, analysis = unparsed()
        else:
            statements = analysis.statements
            if state.expected and any(uses_names(one) for one in statements):
                state.flush_upstream()
                return False
            refused = unsupported_encoding(statements)
            full = state.names_full if any(one.prepares or one.declares for one in statements) else ""
            settled = state.requests.settle(analysis, *names_for(state, statements))
            if refused or full:
                action = state.requests.action(settled, text, raw)
                deny = encoding_refusal(refused) if refused else Deny("too_large", full)
                refuse(state, kinds.QUERY, action=action, deny=deny)
                return True
        action = state.requests.action(settled, text, raw)
        state.asking = Asking(kinds.QUERY, action, frame.raw, Prepared(text, analysis, action.digest))
        state.commands.append(Ask(action, state.local_reason or state.reason))
        return True

    def _ask_parse(
        self,
        frame: Frame,
        text: str,
        raw: bytes,
        analysis: Analysis | SyntaxRejected,
        name: str,
        types: tuple[int, ...],
    ) -> bool:
        """Ask about a Parse whose text is understood (or not)."""
        state = self._state
        self.rejected = None
        doubtful = self._is_doubtful(raw)
        if doubtful and state.expected:
            state.flush_upstream()
            return False
        if isinstance(analysis, SyntaxRejected) or doubtful:
            self.rejected = analysis if isinstance(analysis, SyntaxRejected) else None
            settled, analysis = unparsed()
            action = state.requests.action(settled, text, raw)
        else:
            if state.expected and any(uses_names(one) for one in analysis.statements):
                state.flush_upstream()
                return False
            analysis = with_parameter_types(analysis, types)
            settled = state.requests.settle(analysis, *names_for(state, analysis.statements))
            action = state.requests.action(
                settled, text, raw, foreseen=True, kind="postgres.parse", leaf="session/postgres.parse"
            )
            refused = unsupported_encoding(analysis.statements)
            if refused:
                refuse(state, kinds.PARSE, action=action, deny=encoding_refusal(refused), name=name)
                return True
        state.asking = Asking(kinds.PARSE, action, frame.raw, Prepared(text, analysis, action.digest), name)
        state.commands.append(Ask(action, state.local_reason or state.reason))
        return True

    def _is_doubtful(self, raw: bytes) -> bool:
        """True if code that ran may have changed how the server reads this text, which it tells only after Sync (T5).

        Neither ``standard_conforming_strings`` nor an encoding changes what ASCII without a backslash means.
        """
        return self._state.unreported >= 0 and (b"\\" in raw or not raw.isascii())


def refuse(state: Conversation, kind: int, *, action: Action, deny: Deny, name: str = "") -> None:
    """Have the gate record a refusal of the protocol's own, and answer with it."""
    state.asking = Asking(kind, action, b"", None, name)
    state.commands.append(Ask(action, state.reason, deny))


def names_for(
    state: Conversation, statements: tuple[Statement, ...]
) -> tuple[dict[str, Statement], dict[str, Statement]]:
    """Prepared statements and cursors that the server is known to have, if the text could refer to any."""
    if not any(uses_names(one) for one in statements):
        return _NO_STATEMENTS, _NO_STATEMENTS
    prepared = {
        name: one.analysis.statements[0]
        for name, one in state.statements.confirmed().items()
        if len(one.analysis.statements) == 1
    }
    cursors = dict(state.cursors)
    for portal, bound in state.portals.confirmed().items():
        if bound.running.statement is not None:
            cursors[portal] = bound.running.statement
    return prepared, cursors


def note(state: Conversation, statements: tuple[Statement, ...], *, runs_code: bool) -> bool:
    """Note what a forwarded text may change; True if what follows must wait until it ended."""
    barrier = state.requests.note_settings(statements, code=runs_code)
    if runs_code:
        state.unreported = state.batch
        # Code may make or replace functions: what the side connection saw is in doubt until it looks again (T4).
        state.requests.dirty = True
        state.lookup_wanted = True
    for one in statements:
        if one.changes_catalogue:
            state.requests.dirty = True
            state.lookup_wanted = True
            barrier = True
        if one.sets or one.copy == "in" or uses_names(one):
            barrier = True
    return barrier


def uses_names(one: Statement) -> bool:
    """True if the statement makes, uses or drops a name of the session's."""
    return (
        one.executes is not None
        or one.prepares is not None
        or one.deallocates is not None
        or one.declares is not None
        or one.fetches is not None
        or one.closes is not None
    )


def changes_names(one: Statement) -> bool:
    """True if another statement or cursor may have the name afterwards."""
    return one.prepares is not None or one.deallocates is not None or one.declares is not None or one.closes is not None


def encoding_refusal(setting: str) -> Deny:
    """Refuse a setting under which the server would read text otherwise than the parser here."""
    return Deny("encoding", f"{setting} is refused: the gateway reads statements as UTF8 with standard strings only")
