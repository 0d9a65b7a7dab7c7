"""Messages of COPY: data, its ends, and the server's announcements.

Spec: PostgreSQL 18, "COPY Operations" and "Message Formats". Trust: every body is unverified. CopyData and CopyDone
go both ways, so their decoders are told whose error it is.
"""

from typing import ClassVar, Self

import msgspec

from interlock.core.errors import ClientProtocolError, ProtocolError, UpstreamProtocolError
from interlock.wire.postgres import body as wire
from interlock.wire.postgres.body import Body


class CopyData(msgspec.Struct, frozen=True):
    """A piece of COPY data; boundaries mean nothing from the client, a row from the server."""

    KIND: ClassVar[int] = ord("d")
    data: bytes

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Take the body as it is."""
        return cls(body)

    def encode(self) -> bytes:
        """Encode the whole message."""
        return wire.message(b"d", self.data)


class CopyDone(msgspec.Struct, frozen=True):
    """The regular end of COPY data."""

    KIND: ClassVar[int] = ord("c")

    @classmethod
    def decode(cls, body: bytes, error: type[ProtocolError] = ClientProtocolError) -> Self:
        """Decode the empty body.

        Raises:
            ProtocolError: it isn't empty; of the kind that ``error`` names.
        """
        Body(body, "CopyDone", error).end()
        return cls()

    def encode(self) -> bytes:
        """Encode the whole message."""
        return b"c\0\0\0\4"


class CopyFail(msgspec.Struct, frozen=True):
    """The client's end of COPY data with an error."""

    KIND: ClassVar[int] = ord("f")
    message: str

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body: one string.

        Raises:
            ClientProtocolError: it isn't exactly one string.
        """
        fields = Body(body, "CopyFail", ClientProtocolError)
        message = fields.text()
        fields.end()
        return cls(message)

    def encode(self) -> bytes:
        """Encode the whole message."""
        return wire.message(b"f", wire.text(self.message))


def _decode_response(body: bytes, what: str) -> tuple[int, tuple[int, ...]]:
    """Decode Int8 overall format, Int16 n, n x Int16 format.

    Raises:
        UpstreamProtocolError: lengths don't add up, or a format that doesn't exist.
    """
    fields = Body(body, what, UpstreamProtocolError)
    overall = fields.byte()
    columns = fields.formats()
    fields.end()
    if overall > 1:
        fields.refuse("overall format is neither 0 nor 1")
    return overall, columns


class CopyInResponse(msgspec.Struct, frozen=True):
    """The server is ready for COPY data."""

    KIND: ClassVar[int] = ord("G")
    format: int
    columns: tuple[int, ...]

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body: Int8 overall format, formats of the columns.

        Raises:
            UpstreamProtocolError: lengths don't add up, or a format that doesn't exist.
        """
        return cls(*_decode_response(body, "CopyInResponse"))

    def encode(self) -> bytes:
        """Encode the whole message."""
        return wire.message(b"G", bytes((self.format,)) + wire.formats(self.columns))


class CopyOutResponse(msgspec.Struct, frozen=True):
    """COPY data follows from the server."""

    KIND: ClassVar[int] = ord("H")
    format: int
    columns: tuple[int, ...]

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body: Int8 overall format, formats of the columns.

        Raises:
            UpstreamProtocolError: lengths don't add up, or a format that doesn't exist.
        """
        return cls(*_decode_response(body, "CopyOutResponse"))

    def encode(self) -> bytes:
        """Encode the whole message."""
        return wire.message(b"H", bytes((self.format,)) + wire.formats(self.columns))


class CopyBothResponse(msgspec.Struct, frozen=True):
    """COPY data goes both ways: replication only."""

    KIND: ClassVar[int] = ord("W")
    format: int
    columns: tuple[int, ...]

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body: Int8 overall format, formats of the columns.

        Raises:
            UpstreamProtocolError: lengths don't add up, or a format that doesn't exist.
        """
        return cls(*_decode_response(body, "CopyBothResponse"))

    def encode(self) -> bytes:
        """Encode the whole message."""
        return wire.message(b"W", bytes((self.format,)) + wire.formats(self.columns))
