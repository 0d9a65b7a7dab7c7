"""From the first packet to ReadyForQuery: who, to where, with which settings.

    StartupMessage -> token asked for -> Authenticate -> settings asked about -> Dial and Lookup -> ready

Nothing is dialled before the session's start is recorded, and no start-up setting reaches the upstream undecided.
"""

from typing import Final, final

from interlock.analysis.postgres.statement import SyntaxRejected
from interlock.core.commands import (
    Answered,
    Ask,
    Authenticate,
    Authenticated,
    Close,
    Dial,
    DialFailed,
    Dialled,
    Done,
    Lookup,
    Refused,
)
from interlock.core.decision import Deny
from interlock.core.errors import ClientProtocolError
from interlock.core.outcome import Outcome, OutcomeStatus
from interlock.core.permit import Permit
from interlock.protocols.postgres.opening import FORCED, Opening, as_set_statements, read_opening
from interlock.protocols.postgres.replies import fatal, sqlstate_of
from interlock.protocols.postgres.requests import UTF8_NAMES, Requests, unsupported_encoding
from interlock.protocols.postgres.running import Prepared
from interlock.protocols.postgres.state import Asking, Conversation
from interlock.wire.postgres import authentication
from interlock.wire.postgres.authentication import Authentication, PasswordMessage
from interlock.wire.postgres.backend import BackendKeyData, NegotiateProtocolVersion, ParameterStatus
from interlock.wire.postgres.framing import Frame, client_limits
from interlock.wire.postgres.startup import PROTOCOL_3_2, StartupMessage, decode_startup, verify_startup_length

LONG_CANCEL_SECRET: Final = 32
"""256 bits, where protocol 3.2 can carry them; 3.0 has room for 32 bits and the 32 of the process id."""

_DIAL_FAILURES: Final = {
    "upstream_refused": ("08001", "the upstream refused the gateway's own login"),
    "upstream_tls": ("08001", "the upstream's TLS certificate could not be verified"),
    "database": ("3D000", "the upstream has no such database"),
}


@final
class Reception:
    """The opening of one client's connection."""

    def __init__(self, state: Conversation) -> None:
        self._state: Final = state
        self._buffer = b""
        self._opening: Opening | None = None
        self._dialled: Dialled | None = None
        self._learned = False
        self._authenticating = False

    def feed(self, data: bytes) -> None:
        """Take bytes before the session is running.

        Raises:
            ClientProtocolError, LimitExceeded: what no server would take either.
        """
        state = self._state
        if self._opening is None:
            self._buffer += data
            if len(self._buffer) < 4:
                return
            size = verify_startup_length(self._buffer)
            if len(self._buffer) < size:
                return
            packet, rest = self._buffer[:size], self._buffer[size:]
            self._buffer = b""
            self._start(packet)
            if rest and not state.closed:
                state.client.feed(rest)
        else:
            state.client.feed(data)
        if self._opening is not None and not self._authenticating and not state.closed:
            self._password()

    def _refuse(self, sqlstate: str, message: str, code: str, hint: str = "") -> None:
        """Say why, and end."""
        state = self._state
        state.to_client.append(fatal(sqlstate, message, hint))
        state.flush()
        state.commands.append(Close(code))
        state.closed = True

    def _start(self, packet: bytes) -> None:
        """StartupMessage: version, names, settings."""
        message = decode_startup(packet)
        if not isinstance(message, StartupMessage):
            msg = "a second negotiation inside the session"
            raise ClientProtocolError(msg)
        if message.major != 3:
            self._refuse(
                "0A000",
                f"unsupported frontend protocol {message.major}.{message.minor}: server supports 3.0 to 3.2",
                "client_protocol",
            )
            return
        opening = read_opening(message.parameters, minor=message.minor)
        if opening.encoding.strip("'\"").lower() not in UTF8_NAMES:
            self._refuse(
                "0A000",
                f"client_encoding {opening.encoding[:40]!r} is refused: the gateway reads statements as UTF8 only",
                "encoding",
                "Set PGCLIENTENCODING=UTF8.",
            )
            return
        self._opening = opening
        state = self._state
        if opening.newer or opening.unrecognised:
            state.to_client.append(NegotiateProtocolVersion(PROTOCOL_3_2, opening.unrecognised).encode())
        state.to_client.append(Authentication(authentication.CLEARTEXT_PASSWORD).encode())

    def _password(self) -> None:
        """PasswordMessage: the token."""
        state = self._state
        opening = self._opening
        item = state.client.next_item()
        if item is None or opening is None:
            return
        if not isinstance(item, Frame) or item.kind != ord("p"):
            msg = "expected a password"
            raise ClientProtocolError(msg)
        self._authenticating = True
        state.client.use(client_limits(state.limits.message_bytes))
        asked = {"application_name": opening.settings.get("application_name", "")[:128]}
        if opening.replication:
            asked["replication"] = opening.replication[:16]
        state.commands.append(
            Authenticate(opening.resource, opening.database, PasswordMessage.decode(item.body).password, asked)
        )

    def refused(self, event: Refused) -> None:
        """No session. The client learns what it needs and no more."""
        deny = event.deny
        if deny.code == "authentication":
            name = self._opening.resource if self._opening is not None else ""
            self._refuse(
                "28P01",
                f'Interlock did not accept the token for resource "{name}": {deny.reason}',
                "authentication",
                "Get a fresh token; the password is the token, the user name is the resource's name.",
            )
        else:
            self._refuse(sqlstate_of(deny), deny.reason, deny.code)

    def authenticated(self, event: Authenticated) -> None:
        """The session is open: ask about the settings that the client starts with, then dial."""
        state = self._state
        state.session = event.session
        state.permit = event.permit
        state.requests = Requests(event.session.id, state.analyser)
        state.reason = event.session.reason
        opening = self._opening
        if opening is None:
            msg = "authenticated before it started"
            raise TypeError(msg)
        if opening.replication:
            self._refuse(
                "0A000",
                "replication connections are refused by the gateway: it can't read what they carry",
                "unsupported",
            )
            return
        text = as_set_statements(opening.settings)
        if not text:
            self._dial()
            return
        analysis = state.analyser.analyse(text)
        if isinstance(analysis, SyntaxRejected):
            self._refuse("22023", "a start-up setting's name can't be read", "client_protocol")
            return
        settled = state.requests.settle(analysis, {}, {})
        action = state.requests.action(settled, text, text.encode())
        refused = unsupported_encoding(analysis.statements)
        refusal = (
            Deny("encoding", f"{refused} is refused: the gateway reads statements as UTF8 only") if refused else None
        )
        state.asking = Asking(0, action, b"", Prepared(text, analysis, action.digest))
        state.commands.append(Ask(action, state.reason, refusal))

    def answered(self, event: Answered) -> None:
        """The start-up settings were decided."""
        state = self._state
        asking = state.asking
        if asking is None or asking.action.id != event.action_id:
            msg = f"an answer to {event.action_id} that nobody asked for"
            raise TypeError(msg)
        state.asking = None
        if not isinstance(event.answer, Permit):
            self._refuse(sqlstate_of(event.answer), event.answer.reason, event.answer.code)
            return
        if asking.prepared is not None:
            state.requests.note_settings(asking.prepared.analysis.statements)
        state.commands.append(Done(event.action_id, Outcome(OutcomeStatus.OK, tag="SET")))
        self._dial()

    def _dial(self) -> None:
        """Connect, with the client's settings and those that the gateway relies on."""
        state = self._state
        opening = self._opening
        if opening is None or state.permit is None or state.session is None:
            msg = "nothing to dial"
            raise TypeError(msg)
        settings = dict(opening.settings)
        settings.update(FORCED)
        if state.session.read_only:
            settings["default_transaction_read_only"] = "on"
        secret = LONG_CANCEL_SECRET if opening.protocol_minor >= 2 else 4
        state.commands.append(Dial(state.permit, settings, secret))
        state.commands.append(Lookup(state.permit))

    def dial_failed(self, event: DialFailed) -> None:
        """The upstream can't be used; the cause stays in the operators' log."""
        sqlstate, why = _DIAL_FAILURES.get(event.code, ("08001", "the gateway can't reach the upstream"))
        self._refuse(sqlstate, f"{why} ({event.code})", event.code, "The operators' log of the gateway has the cause.")

    def dialled(self, event: Dialled) -> None:
        """The upstream is ready."""
        self._dialled = event

    def learned(self) -> None:
        """The catalogue is known, or known not to be had."""
        self._learned = True

    def welcome(self) -> bool:
        """Tell the client that it may talk, once; True when that was now."""
        state = self._state
        dialled = self._dialled
        if dialled is None or not self._learned or state.closed:
            return False
        state.to_client.append(Authentication(authentication.OK).encode())
        for name, value in dialled.parameters.items():
            state.to_client.append(ParameterStatus(name, value).encode())
        pid, secret = dialled.cancel_key
        state.to_client.append(BackendKeyData(pid, secret).encode())
        state.to_client.append(b"Z\x00\x00\x00\x05I")
        return True
