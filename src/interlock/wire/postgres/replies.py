"""Errors and notices: what a server says, and what the gateway says in its place.

Spec: PostgreSQL 18, "Message Formats", ErrorResponse and NoticeResponse, and "Error and Notice Message Fields".
Trust: decoded bodies are from the upstream, unverified.
"""

from typing import ClassVar, Final, Self

import msgspec

from interlock.core.errors import UpstreamProtocolError
from interlock.wire.postgres import body as wire
from interlock.wire.postgres.body import Body

Fields = tuple[tuple[str, str], ...]

_NO_NUL: Final = str.maketrans({"\0": "\N{REPLACEMENT CHARACTER}"})


def _decode_fields(body: bytes, what: str) -> Fields:
    """Decode (Byte1 code, String value) until a zero byte.

    Raises:
        UpstreamProtocolError: lengths don't add up, or a code isn't ASCII.
    """
    fields = Body(body, what, UpstreamProtocolError)
    found: list[tuple[str, str]] = []
    while code := fields.byte():
        if code > 0x7F:
            fields.refuse("field code isn't ASCII")
        found.append((chr(code), fields.text()))
    fields.end()
    return tuple(found)


def _encode_fields(fields: Fields) -> bytes:
    return b"".join([code.encode("ascii") + wire.text(value) for code, value in fields]) + b"\0"


class ErrorResponse(msgspec.Struct, frozen=True):
    """A statement, or the session, failed."""

    KIND: ClassVar[int] = ord("E")
    fields: Fields

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body: fields by code, then a zero byte.

        Raises:
            UpstreamProtocolError: lengths don't add up.
        """
        return cls(_decode_fields(body, "ErrorResponse"))

    def get(self, code: str) -> str:
        """Return the field with this code, or an empty string."""
        return next((value for name, value in self.fields if name == code), "")

    @property
    def sqlstate(self) -> str:
        """Field ``C``."""
        return self.get("C")

    def encode(self) -> bytes:
        """Encode the whole message."""
        return wire.message(b"E", _encode_fields(self.fields))


class NoticeResponse(msgspec.Struct, frozen=True):
    """Something worth knowing; never changes the state of the session."""

    KIND: ClassVar[int] = ord("N")
    fields: Fields

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body: fields by code, then a zero byte.

        Raises:
            UpstreamProtocolError: lengths don't add up.
        """
        return cls(_decode_fields(body, "NoticeResponse"))

    def get(self, code: str) -> str:
        """Return the field with this code, or an empty string."""
        return next((value for name, value in self.fields if name == code), "")

    def encode(self) -> bytes:
        """Encode the whole message."""
        return wire.message(b"N", _encode_fields(self.fields))


def _own_fields(severity: str, sqlstate: str, message: str, detail: str, hint: str, position: int) -> Fields:
    """Put the fields in PostgreSQL's order; what no encoding can carry is replaced, so a reply can always be made."""
    fields = [("S", severity), ("V", severity), ("C", sqlstate), ("M", message)]
    if detail:
        fields.append(("D", detail))
    if hint:
        fields.append(("H", hint))
    if position:
        fields.append(("P", str(position)))
    return tuple([(code, _presentable(value)) for code, value in fields])


def _presentable(value: str) -> str:
    return value.translate(_NO_NUL).encode("utf-8", "replace").decode("utf-8")


def error_response(
    severity: str, sqlstate: str, message: str, *, detail: str = "", hint: str = "", position: int = 0
) -> bytes:
    """Encode an error of our own; ``position`` counts characters from 1, 0 is none."""
    return ErrorResponse(_own_fields(severity, sqlstate, message, detail, hint, position)).encode()


def notice_response(severity: str, sqlstate: str, message: str, *, detail: str = "", hint: str = "") -> bytes:
    """Encode a notice of our own."""
    return NoticeResponse(_own_fields(severity, sqlstate, message, detail, hint, 0)).encode()
