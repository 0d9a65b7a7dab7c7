"""Messages of authentication, both ways.

Spec: PostgreSQL 18, "Message Formats", Authentication*, PasswordMessage, SASL*. Trust: requests are from the
upstream, replies from the client; both unverified. Replies hold secrets and don't show them.
"""

from typing import ClassVar, Final, Self

import msgspec

from interlock.core.errors import ClientProtocolError, UpstreamProtocolError
from interlock.core.secret import Secret
from interlock.wire.postgres import body as wire
from interlock.wire.postgres.body import Body

OK: Final = 0
CLEARTEXT_PASSWORD: Final = 3
MD5_PASSWORD: Final = 5
GSS: Final = 7
GSS_CONTINUE: Final = 8
SSPI: Final = 9
SASL: Final = 10
SASL_CONTINUE: Final = 11
SASL_FINAL: Final = 12

_BODILESS: Final = frozenset({OK, 2, CLEARTEXT_PASSWORD, 6, GSS, SSPI})


class Authentication(msgspec.Struct, frozen=True):
    """What the server demands next, or that it is content (``OK``)."""

    KIND: ClassVar[int] = ord("R")
    code: int
    data: bytes = b""
    """MD5: the 4-byte salt. SASL continue and final, GSS continue: the mechanism's data."""
    mechanisms: tuple[str, ...] = ()
    """SASL: what the server offers, best first."""

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body: Int32 code, then what that code has.

        Raises:
            UpstreamProtocolError: an unknown code, or lengths that don't add up.
        """
        fields = Body(body, "Authentication", UpstreamProtocolError)
        code = fields.int32()
        if code == SASL:
            mechanisms: list[str] = []
            while mechanism := fields.text():
                mechanisms.append(mechanism)
            fields.end()
            return cls(code, mechanisms=tuple(mechanisms))
        if code == MD5_PASSWORD:
            data = fields.take(4)
        elif code in {SASL_CONTINUE, SASL_FINAL, GSS_CONTINUE}:
            data = fields.rest()
        elif code in _BODILESS:
            data = b""
        else:
            fields.refuse(f"unknown code {code}")
        fields.end()
        return cls(code, data)

    def encode(self) -> bytes:
        """Encode the whole message."""
        if self.code == SASL:
            return wire.message(b"R", wire.int32(SASL) + b"".join(map(wire.text, self.mechanisms)) + b"\0")
        return wire.message(b"R", wire.int32(self.code) + self.data)


class PasswordMessage(msgspec.Struct, frozen=True):
    """A password, clear or as an MD5 response."""

    KIND: ClassVar[int] = ord("p")
    password: Secret

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body: one string.

        Raises:
            ClientProtocolError: it isn't exactly one string.
        """
        fields = Body(body, "PasswordMessage", ClientProtocolError)
        password = Secret(fields.text())
        fields.end()
        return cls(password)

    def encode(self) -> bytes:
        """Encode the whole message."""
        return wire.message(b"p", wire.text(self.password.reveal()))


class SASLInitialResponse(msgspec.Struct, frozen=True):
    """The mechanism that the client picks, and its first data if any."""

    KIND: ClassVar[int] = ord("p")
    mechanism: str
    data: bytes | None

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body: mechanism, Int32 length or -1, data.

        Raises:
            ClientProtocolError: lengths don't add up.
        """
        fields = Body(body, "SASLInitialResponse", ClientProtocolError)
        mechanism, data = fields.text(), fields.value()
        fields.end()
        return cls(mechanism, data)

    def encode(self) -> bytes:
        """Encode the whole message."""
        data = wire.int32(-1) if self.data is None else wire.int32(len(self.data)) + self.data
        return wire.message(b"p", wire.text(self.mechanism) + data)

    def __repr__(self) -> str:
        return f"SASLInitialResponse({self.mechanism!r}, ***)"


class SASLResponse(msgspec.Struct, frozen=True):
    """Further data of the mechanism."""

    KIND: ClassVar[int] = ord("p")
    data: bytes

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Take the body as it is."""
        return cls(body)

    def encode(self) -> bytes:
        """Encode the whole message."""
        return wire.message(b"p", self.data)

    def __repr__(self) -> str:
        return "SASLResponse(***)"
