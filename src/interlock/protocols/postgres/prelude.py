"""What a client and the gateway say before there is a session: encryption, cancel requests, the first eight bytes.

The listener reads exactly ``wants`` bytes from the raw socket, so nothing that was sent behind an SSLRequest is
ever taken for the inside of the TLS connection (CVE-2021-23214)::

    step = prelude.first_byte(peeked)          # without taking it from the socket
    while ...: step = prelude.feed(read_exactly(prelude.wants))

``WrapTls`` is answered, after the handshake, with ``secured(alpn)``; the same prelude then goes on inside TLS.

DEVIATION: a CancelRequest is taken in plain text even where TLS is required, since libpq before version 17 sends it
so; it carries no credential, and its key is worth one cancel of one session.

Spec: PostgreSQL 18, "Start-up", "SSL Session Encryption", "Canceling Requests in Progress".
Trust: every byte is from a client that nobody has authenticated.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from interlock.core.errors import ClientProtocolError, LimitExceeded
from interlock.wire.postgres.replies import error_response
from interlock.wire.postgres.startup import CANCEL_CODE, GSS_CODE, SSL_CODE, CancelRequest, verify_startup_length

ALPN: Final = "postgresql"
HEAD: Final = 8
_MAX_CANCEL: Final = HEAD + 4 + 256
_TLS_HANDSHAKE: Final = 0x16


@dataclass(frozen=True, slots=True)
class Continue:
    """Send ``reply`` (maybe nothing), then read ``wants`` bytes."""

    reply: bytes = b""


@dataclass(frozen=True, slots=True)
class WrapTls:
    """Send ``reply``, do the TLS handshake, then call ``secured``."""

    reply: bytes


@dataclass(frozen=True, slots=True)
class Startup:
    """A StartupMessage begins with these eight bytes: make a mediator and give them to it first."""

    head: bytes
    tls: bool


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel what runs under this key, say nothing, and close."""

    pid: int
    key: bytes

    def __repr__(self) -> str:
        return f"Cancel(pid={self.pid}, key=***)"


@dataclass(frozen=True, slots=True)
class Refuse:
    """Send ``reply`` and close; ``reason`` is for the operators' log."""

    reply: bytes
    reason: str


PreludeStep = Continue | WrapTls | Startup | Cancel | Refuse


class _Phase(Enum):
    FIRST_BYTE = auto()
    HEAD = auto()
    HANDSHAKE = auto()
    CANCEL = auto()
    OVER = auto()


class Prelude:
    """One client connection's negotiation, as a step machine without I/O."""

    __slots__ = (
        "_asked_gss",
        "_asked_tls",
        "_direct",
        "_head",
        "_phase",
        "_plaintext",
        "_tls",
        "_tls_offered",
        "wants",
    )

    def __init__(self, *, tls_offered: bool, plaintext_allowed: bool) -> None:
        self._tls_offered: Final = tls_offered
        self._plaintext: Final = plaintext_allowed
        self._phase = _Phase.FIRST_BYTE
        self._tls = False
        self._direct = False
        self._asked_tls = False
        self._asked_gss = False
        self._head = b""
        self.wants = 1
        """How many bytes to read next, exactly."""

    def first_byte(self, first: int) -> PreludeStep:
        """Tell direct TLS from a packet by the first byte, which stays in the socket."""
        if self._phase is not _Phase.FIRST_BYTE:
            return self._refuse("first byte out of turn")
        if first == _TLS_HANDSHAKE:
            if not self._tls_offered:
                return self._refuse("direct TLS where no TLS is configured", reply=b"")
            self._direct = True
            self._phase = _Phase.HANDSHAKE
            return WrapTls(b"")
        if first != 0:  # a packet's length is at most 10,004
            return self._refuse(f"first byte 0x{first:02x} begins neither TLS nor a packet", reply=b"")
        return self._read_head()

    def secured(self, alpn: str | None) -> PreludeStep:
        """Go on inside TLS; direct TLS must have negotiated ``postgresql``.

        Spec: "SSL Session Encryption": for direct SSL connections ALPN is required, so that no other protocol's client
        can be made to talk to us (ALPACA).
        """
        if self._phase is not _Phase.HANDSHAKE:
            return self._refuse("TLS out of turn")
        if alpn != ALPN and (self._direct or alpn is not None):
            return self._refuse("ALPN isn't postgresql", reply=b"")
        self._tls = True
        return self._read_head()

    def feed(self, data: bytes) -> PreludeStep:
        """Take exactly ``wants`` bytes."""
        if len(data) != self.wants or self._phase not in {_Phase.HEAD, _Phase.CANCEL}:
            return self._refuse(f"{len(data)} bytes where {self.wants} were wanted", reply=b"")
        if self._phase is _Phase.CANCEL:
            return self._cancel(data)
        return self._decide(data)

    def _read_head(self) -> PreludeStep:
        self._phase = _Phase.HEAD
        self.wants = HEAD
        return Continue()

    def _decide(self, head: bytes) -> PreludeStep:
        try:
            size = verify_startup_length(head)
        except (ClientProtocolError, LimitExceeded) as error:
            return self._refuse(str(error), text="invalid length of startup packet")
        code = int.from_bytes(head[4:], "big")
        if code in {SSL_CODE, GSS_CODE}:
            return self._encryption(code, size)
        if code == CANCEL_CODE:
            if not HEAD + 8 <= size <= _MAX_CANCEL:
                return self._refuse(f"cancel request of {size} bytes", reply=b"")
            self._phase = _Phase.CANCEL
            self._head = head
            self.wants = size - HEAD
            return Continue()
        if code >> 16 != 3:
            text = f"unsupported frontend protocol {code >> 16}.{code & 0xFFFF}: server supports 3.0 to 3.2"
            return self._refuse(text, sqlstate="0A000", text=text)
        if not self._tls and not self._plaintext:
            return self._refuse(
                "plaintext start-up",
                sqlstate="28000",
                text="this gateway accepts only TLS connections",
                hint="Connect with sslmode=verify-full (or at least sslmode=require).",
            )
        self._phase = _Phase.OVER
        return Startup(head, tls=self._tls)

    def _encryption(self, code: int, size: int) -> PreludeStep:
        """Answer SSLRequest and GSSENCRequest, each once, and never inside TLS."""
        asked = self._asked_tls if code == SSL_CODE else self._asked_gss
        if size != HEAD or asked or self._tls:
            return self._refuse("encryption request with a body, twice, or inside TLS", text="unexpected request")
        if code == GSS_CODE:
            self._asked_gss = True
            return Continue(b"N")
        self._asked_tls = True
        if not self._tls_offered:
            return Continue(b"N")
        self._phase = _Phase.HANDSHAKE
        return WrapTls(b"S")

    def _cancel(self, data: bytes) -> PreludeStep:
        self._phase = _Phase.OVER
        request = CancelRequest.decode(self._head[4:] + data)
        return Cancel(request.pid, request.key)

    def _refuse(
        self, reason: str, *, reply: bytes | None = None, sqlstate: str = "08P01", text: str = "", hint: str = ""
    ) -> Refuse:
        """End the negotiation."""
        self._phase = _Phase.OVER
        if reply is None:
            reply = error_response("FATAL", sqlstate, text or "invalid start of a connection", hint=hint)
        return Refuse(reply, reason)
