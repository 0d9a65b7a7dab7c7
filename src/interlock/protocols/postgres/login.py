"""The gateway's own login to an upstream, as a step machine without I/O; used for every upstream connection.

Before TLS: send ``TLS_REQUEST`` and give ``verify_tls_answer`` everything that arrived. Then::

    step = Send(login.start())
    while isinstance(step, Send): send(step.data); step = login.feed(receive())

Spec: PostgreSQL 18, "Start-up", "SSL Session Encryption", "SASL Authentication". Trust: every byte is from an
upstream that TLS may have verified, but that has not yet shown that it knows the password.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from interlock.core.errors import AuthenticationError, InterlockError, UpstreamProtocolError
from interlock.core.secret import Secret
from interlock.wire.postgres import authentication as auth
from interlock.wire.postgres.authentication import Authentication, PasswordMessage, SASLInitialResponse, SASLResponse
from interlock.wire.postgres.backend import BackendKeyData, NegotiateProtocolVersion, ParameterStatus, ReadyForQuery
from interlock.wire.postgres.framing import Frame, upstream_reader
from interlock.wire.postgres.replies import ErrorResponse
from interlock.wire.postgres.scram import Derive, ScramClient, derive_pbkdf2, md5_response, select_mechanism
from interlock.wire.postgres.startup import PROTOCOL_3_0, SSLRequest, StartupMessage

TLS_REQUEST: Final = SSLRequest().encode()
MAX_BODY: Final = 64 * 1024
MAX_MESSAGES: Final = 2_000
_OWN_PARAMETERS: Final = frozenset({"user", "database", "client_encoding"})


@dataclass(frozen=True, slots=True)
class Send:
    """Send these bytes (maybe none), then feed what arrives."""

    data: bytes


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The upstream is ready for queries."""

    parameters: Mapping[str, str]
    """What it reported (ParameterStatus); ``client_encoding`` is UTF8."""
    pid: int
    key: bytes = field(repr=False)
    """Its cancel key, empty if it gave none."""
    minor: int
    """Minor version of protocol 3 that is spoken."""
    status: str
    """Transaction status of ReadyForQuery."""
    leftover: bytes
    """What arrived behind ReadyForQuery: the first bytes for the mediator."""


@dataclass(frozen=True, slots=True)
class LoginFailed:
    """No session with the upstream."""

    code: str
    """Public and stable: ``upstream_refused``, ``upstream_authentication``, ``upstream_protocol``."""
    reason: str
    """For the operators' log."""
    sqlstate: str = ""
    """The upstream's own, if it answered with an error."""


LoginStep = Send | LoggedIn | LoginFailed


@dataclass(frozen=True, slots=True)
class LoginPolicy:
    """Which ways of proving the password are good enough for this upstream."""

    tls: bool
    """The connection is encrypted and the upstream's certificate was checked as configured."""
    allow_cleartext: bool = False
    """Answer a request for the password itself; only ever inside TLS."""
    allow_md5: bool = True
    require_binding: bool = False
    """Refuse an upstream that doesn't offer SCRAM-SHA-256-PLUS."""


class _Phase(Enum):
    STARTED = auto()
    PASSWORD_SENT = auto()
    SCRAM_FIRST = auto()
    SCRAM_FINAL = auto()
    SCRAM_VERIFIED = auto()
    AUTHENTICATED = auto()
    OVER = auto()


def verify_tls_answer(data: bytes) -> bool:
    """Tell whether the upstream takes TLS, from everything that arrived after SSLRequest.

    More than the one byte would be plain text taken for the inside of TLS (CVE-2021-23222). An error text is not
    looked at: nobody has verified who sent it (CVE-2024-10977).

    Raises:
        UpstreamProtocolError: anything but exactly ``S`` or ``N``.
    """
    if data not in {b"S", b"N"}:
        msg = f"SSLRequest answered with {len(data)} bytes that aren't exactly S or N"
        raise UpstreamProtocolError(msg)
    return data == b"S"


class LoginMachine:
    """One login: ``start`` once, then ``feed`` until the step isn't ``Send``."""

    def __init__(
        self,
        *,
        user: str,
        password: Secret | None,
        database: str,
        nonce: str,
        policy: LoginPolicy,
        parameters: Mapping[str, str] | None = None,
        channel_binding: bytes | None = None,
        version: int = PROTOCOL_3_0,
        derive: Derive = derive_pbkdf2,
    ) -> None:
        """Prepare a login; ``nonce`` is fresh random text of at least 18 printable characters without a comma.

        Raises:
            ValueError: ``parameters`` would replace user, database or encoding, or ask for protocol options.
        """
        wanted = dict(parameters or {})
        if not _OWN_PARAMETERS.isdisjoint(wanted) or any(key.startswith("_pq_.") for key in wanted):
            msg = "start-up parameters that aren't the caller's to set"
            raise ValueError(msg)
        wanted |= {"user": user, "database": database, "client_encoding": "UTF8"}
        self._startup = StartupMessage(version, wanted)
        self._password = password
        self._nonce = nonce
        self._policy = policy
        self._binding = channel_binding
        self._derive = derive
        self._version = version
        self._reader = upstream_reader(max_body=MAX_BODY)
        self._phase = _Phase.STARTED
        self._scram: ScramClient | None = None
        self._parameters: dict[str, str] = {}
        self._key: BackendKeyData | None = None
        self._messages = 0

    def start(self) -> bytes:
        """Make the StartupMessage."""
        return self._startup.encode()

    def feed(self, data: bytes) -> LoginStep:
        """Take bytes as they arrived; never raises for anything that the upstream sends."""
        try:
            step = self._advance(data)
        except AuthenticationError as error:
            step = LoginFailed("upstream_authentication", error.reason)
        except InterlockError as error:
            step = LoginFailed("upstream_protocol", str(error))
        if not isinstance(step, Send):
            self._phase = _Phase.OVER
            self._password = None
            self._scram = None
        return step

    def _advance(self, data: bytes) -> LoginStep:
        """Take message after message until one needs an answer or ends the login.

        Raises:
            UpstreamProtocolError: a message out of turn.
            AuthenticationError: the upstream asks for what policy or we don't give, or can't prove itself.
        """
        if self._phase is _Phase.OVER:
            msg = "the login is over"
            raise UpstreamProtocolError(msg)
        self._reader.feed(data)
        while (item := self._reader.next_item()) is not None:
            self._messages += 1
            if not isinstance(item, Frame) or self._messages > MAX_MESSAGES:
                msg = f"{item!r} during login"
                raise UpstreamProtocolError(msg)
            step = self._take(item)
            if isinstance(step, Send) and self._reader.buffered:
                msg = "the upstream spoke out of turn"
                raise UpstreamProtocolError(msg)
            if step is not None:
                return step
        return Send(b"")

    def _take(self, frame: Frame) -> LoginStep | None:
        match chr(frame.kind):
            case "R":
                reply = self._authenticate(Authentication.decode(frame.body))
                return None if reply is None else Send(reply)
            case "E":
                return _refused(ErrorResponse.decode(frame.body))
            case "N":
                return None
            case "v" if self._phase is _Phase.STARTED:
                self._negotiate(NegotiateProtocolVersion.decode(frame.body))
                return None
            case "S" if self._phase is _Phase.AUTHENTICATED:
                status = ParameterStatus.decode(frame.body)
                self._parameters[status.name] = status.value
                return None
            case "K" if self._phase is _Phase.AUTHENTICATED and self._key is None:
                self._key = self._verify_key(BackendKeyData.decode(frame.body))
                return None
            case "Z" if self._phase is _Phase.AUTHENTICATED:
                return self._finish(ReadyForQuery.decode(frame.body))
            case kind:
                msg = f"message kind {kind!r} in phase {self._phase.name.lower()}"
                raise UpstreamProtocolError(msg)

    def _negotiate(self, answer: NegotiateProtocolVersion) -> None:
        """Follow the upstream down to an older minor version, never up, never to another major one.

        Raises:
            UpstreamProtocolError: another version, or options that we didn't ask for.
        """
        if not PROTOCOL_3_0 <= answer.version < self._version or answer.options:
            msg = f"the upstream negotiates version {answer.version:#x} and {len(answer.options)} options"
            raise UpstreamProtocolError(msg)
        self._version = answer.version

    def _verify_key(self, key: BackendKeyData) -> BackendKeyData:
        """Return the key if the version that is spoken allows its length.

        Raises:
            UpstreamProtocolError: more than 4 bytes in protocol 3.0.
        """
        if self._version == PROTOCOL_3_0 and len(key.key) != 4:
            msg = f"a cancel key of {len(key.key)} bytes in protocol 3.0"
            raise UpstreamProtocolError(msg)
        return key

    def _authenticate(self, request: Authentication) -> bytes | None:
        """Answer one authentication request; None for AuthenticationOk and SASLFinal, which have no answer.

        Raises:
            UpstreamProtocolError: a request out of turn.
            AuthenticationError: a method that policy or we refuse, or a server that can't prove itself.
        """
        match request.code, self._phase:
            case auth.OK, _Phase.STARTED | _Phase.PASSWORD_SENT | _Phase.SCRAM_VERIFIED:
                self._verify_bound()
                self._phase = _Phase.AUTHENTICATED
                return None
            case auth.CLEARTEXT_PASSWORD, _Phase.STARTED:
                return self._answer_password(self._clear)
            case auth.MD5_PASSWORD, _Phase.STARTED:
                return self._answer_password(lambda password: self._md5(password, request.data))
            case auth.SASL, _Phase.STARTED:
                return self._answer_password(lambda password: self._scram_first(password, request.mechanisms))
            case auth.SASL_CONTINUE, _Phase.SCRAM_FIRST if self._scram is not None:
                self._phase = _Phase.SCRAM_FINAL
                return SASLResponse(self._scram.final(request.data)).encode()
            case auth.SASL_FINAL, _Phase.SCRAM_FINAL if self._scram is not None:
                self._scram.verify_final(request.data)
                self._phase = _Phase.SCRAM_VERIFIED
                return None
            case ((auth.GSS | auth.SSPI | 2 | 6), _Phase.STARTED):
                reason = f"the upstream asks for authentication method {request.code}, which isn't supported"
                raise AuthenticationError(reason)
            case code, phase:
                msg = f"authentication code {code} in phase {phase.name.lower()}"
                raise UpstreamProtocolError(msg)

    def _answer_password(self, answer: Callable[[Secret], bytes]) -> bytes:
        if self._password is None:
            reason = "the upstream asks for a password, and none is configured"
            raise AuthenticationError(reason)
        return answer(self._password)

    def _verify_bound(self) -> None:
        """Refuse a login without SCRAM where channel binding is required.

        Raises:
            AuthenticationError: the upstream took us without proving that it knows the password.
        """
        if self._policy.require_binding and self._phase is not _Phase.SCRAM_VERIFIED:
            reason = "channel binding is required, and the upstream didn't ask for SCRAM"
            raise AuthenticationError(reason)

    def _clear(self, password: Secret) -> bytes:
        if not (self._policy.tls and self._policy.allow_cleartext) or self._policy.require_binding:
            reason = "the upstream asks for the clear password, which isn't allowed"
            raise AuthenticationError(reason)
        self._phase = _Phase.PASSWORD_SENT
        return PasswordMessage(password).encode()

    def _md5(self, password: Secret, salt: bytes) -> bytes:
        if not self._policy.allow_md5 or self._policy.require_binding:
            reason = "the upstream asks for an MD5 response, which isn't allowed"
            raise AuthenticationError(reason)
        self._phase = _Phase.PASSWORD_SENT
        return PasswordMessage(md5_response(self._startup.user, password, salt)).encode()

    def _scram_first(self, password: Secret, offered: tuple[str, ...]) -> bytes:
        mechanism = select_mechanism(
            offered, channel_binding=self._binding, require_binding=self._policy.require_binding
        )
        self._scram = ScramClient(
            mechanism=mechanism,
            password=password,
            nonce=self._nonce,
            channel_binding=self._binding,
            derive=self._derive,
        )
        self._phase = _Phase.SCRAM_FIRST
        return SASLInitialResponse(mechanism, self._scram.first()).encode()

    def _finish(self, ready: ReadyForQuery) -> LoginStep:
        encoding = self._parameters.get("client_encoding", "")
        if encoding.upper().replace("-", "") != "UTF8":
            return LoginFailed("upstream_protocol", f"the upstream's client_encoding is {encoding!r}, not UTF8")
        key = self._key or BackendKeyData(0, b"")
        return LoggedIn(
            parameters=self._parameters,
            pid=key.pid,
            key=key.key,
            minor=self._version & 0xFFFF,
            status=ready.status,
            leftover=self._reader.take_rest(),
        )


def _refused(error: ErrorResponse) -> LoginFailed:
    """Keep the upstream's own words for the operators, shortened; class 28 is about who logs in."""
    code = "upstream_authentication" if error.sqlstate.startswith("28") else "upstream_refused"
    return LoginFailed(code, error.get("M")[:500], error.sqlstate[:5])
