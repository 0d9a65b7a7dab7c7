"""The extended protocol: statements prepared, portals bound and executed.

Bind is where a statement is decided, with its parameters, because planning already runs code; Execute runs only a
decided portal, under the settings that it was decided with. The Describe of a portal and Close ride on a permit that
is there already.
"""

from typing import Final, final

from interlock.analysis.postgres.statement import Analysis, Statement
from interlock.core.commands import Ask
from interlock.core.errors import ClientProtocolError
from interlock.core.outcome import OutcomeStatus
from interlock.core.permit import Permit
from interlock.protocols.postgres import running as kinds
from interlock.protocols.postgres.failing import fail_extended
from interlock.protocols.postgres.names import Unsettled
from interlock.protocols.postgres.replies import error
from interlock.protocols.postgres.requests import bind_of_payload, bind_payload, runs_code
from interlock.protocols.postgres.running import Expected, Portal, Prepared, Running
from interlock.protocols.postgres.state import Asking, Conversation
from interlock.protocols.postgres.texts import Texts, names_for, note, uses_names
from interlock.wire.postgres.framing import Frame
from interlock.wire.postgres.frontend import Bind, Describe, Execute, Parse
from interlock.wire.postgres.frontend import Close as CloseMessage

MAX_NAME: Final = 63
"""NAMEDATALEN - 1."""
_NO_STATEMENTS: Final[dict[str, Statement]] = {}


@final
class Extended:
    """Parse, Bind, Describe, Execute and Close."""

    def __init__(self, state: Conversation, texts: Texts) -> None:
        self._state: Final = state
        self._texts: Final = texts

    def parse(self, frame: Frame) -> bool:
        """Parse: prepare a statement; refused if what it prepares is denied whatever its parameters."""
        message = Parse.decode(frame.body)
        full = self._state.names_full
        if full:
            fail_extended(self._state, error("54000", full))
            return True
        name = name_of(message.name)
        return self._texts.read(frame, message.text, query=False, name=name, types=message.types)

    def run_parse(self, asking: Asking, permit: Permit) -> None:
        """Forward a permitted Parse."""
        state = self._state
        running = Running(permit, None, None)
        state.open[running.action_id] = running
        state.statements.change(asking.portal, asking.prepared, state.batch)
        if asking.portal:
            state.names_epoch += 1
        state.forward_extended(asking.frame, permit, Expected(kinds.PARSE, state.batch, running))

    def bind(self, frame: Frame) -> bool:
        """Bind: where statement and parameters are decided."""
        state = self._state
        message = Bind.decode(frame.body)
        name = name_of(message.statement)
        prepared = state.statements.resolve(name, state.batch)
        if isinstance(prepared, Unsettled):
            return False
        if prepared is None:
            fail_extended(state, error("26000", _no_statement(name)))
            return True
        full = state.names_full
        if full:
            fail_extended(state, error("54000", full))
            return True
        statements = prepared.analysis.statements
        if state.expected and any(uses_names(one) for one in statements):
            state.flush_upstream()
            return False
        settled = state.requests.settle(prepared.analysis, *names_for(state, statements))
        action = state.requests.action(
            settled, prepared.text, bind_payload(prepared.text, frame.raw), parameters=message.parameters
        )
        state.asking = Asking(kinds.BIND, action, frame.raw, prepared, name_of(message.portal))
        self._texts.rejected = None
        state.commands.append(Ask(action, state.local_reason or state.reason))
        return True

    def run_bind(self, asking: Asking, permit: Permit) -> None:
        """Forward a permitted Bind; its portal may be executed."""
        state = self._state
        prepared = asking.prepared
        if prepared is None:
            msg = "a Bind without its statement"
            raise TypeError(msg)
        data = asking.frame if permit.stored is None else bind_of_payload(permit.stored)
        statements = prepared.analysis.statements
        statement = statements[0] if statements else None
        running = Running(permit, None, statement, runs_code=runs_code(asking.action.leaves))
        state.open[running.action_id] = running
        if asking.portal:
            state.names_epoch += 1
        portal = Portal(prepared, data, running, state.requests.epoch, state.names_epoch)
        state.portals.change(asking.portal, portal, state.batch)
        state.forward_extended(data, permit, Expected(kinds.BIND, state.batch, running))

    def execute(self, frame: Frame) -> bool:
        """Execute: runs only a decided portal, under the settings it was decided with."""
        state = self._state
        name = name_of(Execute.decode(frame.body).portal)
        portal = state.portals.resolve(name, state.batch)
        if isinstance(portal, Unsettled):
            return False
        if portal is None:
            cursor = state.cursors.get(name)
            if cursor is None:
                fail_extended(state, error("34000", f'portal "{name}" does not exist'))
                return True
            analysis = Analysis((Statement("fetch", (), fetches=name),), large=False)
            settled = state.requests.settle(analysis, _NO_STATEMENTS, {name: cursor})
            action = state.requests.action(settled, f"FETCH FROM {name}", frame.raw)
            state.asking = Asking(kinds.EXECUTE, action, frame.raw, Prepared("", analysis, action.digest), name)
            state.commands.append(Ask(action, state.local_reason or state.reason))
            return True
        renamed = portal.names_epoch != state.names_epoch and any(
            one.executes is not None or one.fetches is not None for one in portal.prepared.analysis.statements
        )
        if portal.running.done or portal.epoch != state.requests.epoch or renamed:
            if renamed and state.expected:
                state.flush_upstream()
                return False
            settled = state.requests.settle(
                portal.prepared.analysis, *names_for(state, portal.prepared.analysis.statements)
            )
            action = state.requests.action(
                settled, portal.prepared.text, bind_payload(portal.prepared.text, portal.bind)
            )
            state.asking = Asking(kinds.EXECUTE, action, frame.raw, portal.prepared, name)
            state.commands.append(Ask(action, state.local_reason or state.reason))
            return True
        running = portal.running
        barrier = running.statement is not None and note(state, (running.statement,), runs_code=running.runs_code)
        portal.epoch = state.requests.epoch
        state.forward_extended(
            frame.raw, running.permit, Expected(kinds.EXECUTE, state.batch, running, barrier=barrier)
        )
        return True

    def run_execute(self, asking: Asking, permit: Permit) -> None:
        """Forward an Execute that was asked about anew."""
        state = self._state
        prepared = asking.prepared
        statements = prepared.analysis.statements if prepared is not None else ()
        code = runs_code(asking.action.leaves)
        running = Running(permit, None, statements[0] if statements else None, runs_code=code)
        state.open[running.action_id] = running
        barrier = note(state, statements, runs_code=code)
        portal = state.portals.resolve(asking.portal, state.batch)
        if isinstance(portal, Portal):
            if not portal.running.done:
                state.finish(portal.running, OutcomeStatus.OK)
            portal.running = running
            portal.epoch = state.requests.epoch
            portal.names_epoch = state.names_epoch
        state.forward_extended(asking.frame, permit, Expected(kinds.EXECUTE, state.batch, running, barrier=barrier))

    def describe(self, frame: Frame) -> bool:
        """Describe: of a statement a recorded action of its own; of a portal part of that portal's action."""
        state = self._state
        message = Describe.decode(frame.body)
        name = name_of(message.name)
        if message.target == "P":
            portal = state.portals.resolve(name, state.batch)
            if isinstance(portal, Unsettled):
                return False
            if portal is not None:
                running = portal.running
                state.forward_extended(frame.raw, running.permit, Expected(kinds.DESCRIBE_PORTAL, state.batch, running))
                return True
            if name not in state.cursors:
                fail_extended(state, error("34000", f'portal "{name}" does not exist'))
                return True
            analysis = Analysis((state.cursors[name],), large=False)
            text = ""
        else:
            prepared = state.statements.resolve(name, state.batch)
            if isinstance(prepared, Unsettled):
                return False
            if prepared is None:
                fail_extended(state, error("26000", _no_statement(name)))
                return True
            analysis, text = prepared.analysis, prepared.text
        settled = state.requests.settle(analysis, *names_for(state, analysis.statements))
        action = state.requests.action(
            settled, text, frame.raw, foreseen=True, kind="postgres.describe", leaf="session/postgres.describe"
        )
        kind = kinds.DESCRIBE_PORTAL if message.target == "P" else kinds.DESCRIBE_STATEMENT
        state.asking = Asking(kind, action, frame.raw)
        state.commands.append(Ask(action, state.local_reason or state.reason))
        return True

    def close(self, frame: Frame) -> bool:
        """Close a statement or portal; never an error, even if it doesn't exist."""
        state = self._state
        message = CloseMessage.decode(frame.body)
        name = name_of(message.name)
        statement = message.target == "S"
        if name:
            state.names_epoch += 1
        if statement:
            state.statements.change(name, None, state.batch)
        else:
            state.portals.change(name, None, state.batch)
        state.flow(frame.raw)
        state.unsynced, state.flushed = True, False
        state.expect(Expected(kinds.CLOSE_STATEMENT if statement else kinds.CLOSE_PORTAL, state.batch))
        return True


def name_of(raw: bytes) -> str:
    """A statement's or portal's name.

    Raises:
        ClientProtocolError: not UTF-8, or longer than the server reads: two long names would be one to it (T3).
    """
    if len(raw) > MAX_NAME:
        msg = f"a name of {len(raw)} bytes, of which PostgreSQL reads the first {MAX_NAME}"
        raise ClientProtocolError(msg)
    try:
        return raw.decode()
    except UnicodeDecodeError as broken:
        msg = "a name that isn't UTF-8"
        raise ClientProtocolError(msg) from broken


def _no_statement(name: str) -> str:
    """PostgreSQL's own words for a statement that isn't there."""
    return f'prepared statement "{name}" does not exist' if name else "unnamed prepared statement does not exist"
