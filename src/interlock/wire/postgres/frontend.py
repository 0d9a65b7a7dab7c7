"""Messages that a client sends once its session is open: one frozen struct a kind.

``X.decode(body)`` takes the body (header removed) and refuses what doesn't add up; ``x.encode()`` gives the whole
message. Framing survives a body that doesn't decode, so the mediator may answer the error and go on, as PostgreSQL
does. Authentication replies (kind ``p``) are in ``authentication``, COPY data in ``copying``, what precedes them in
``startup``.

Spec: PostgreSQL 18, "Message Formats". Trust: every body is unverified.
"""

import struct
from typing import ClassVar, Self

import msgspec

from interlock.core.errors import ClientProtocolError
from interlock.wire.postgres import body as wire
from interlock.wire.postgres.binding import decode_bind
from interlock.wire.postgres.body import Body


class Query(msgspec.Struct, frozen=True):
    """Run a text of any number of statements."""

    KIND: ClassVar[int] = ord("Q")
    text: bytes

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body: one string and nothing else.

        Raises:
            ClientProtocolError: no terminator at the end, or one before it.
        """
        if body.find(b"\0") != len(body) - 1 or not body:
            msg = "Query: not exactly one string"
            raise ClientProtocolError(msg)
        return cls(body[:-1])

    def encode(self) -> bytes:
        """Encode the whole message."""
        return wire.message(b"Q", wire.name(self.text))


class Parse(msgspec.Struct, frozen=True):
    """Prepare a statement."""

    KIND: ClassVar[int] = ord("P")
    name: bytes
    text: bytes
    types: tuple[int, ...] = ()
    """Parameter type oids; 0 leaves one unspecified."""

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body: name, text, Int16 n, n x Int32 oid.

        Raises:
            ClientProtocolError: lengths don't add up.
        """
        name_end = body.find(b"\0")
        text_end = body.find(b"\0", name_end + 1)
        start = text_end + 3
        count = int.from_bytes(body[start - 2 : start], "big")
        if text_end < 0 or start + 4 * count != len(body):
            msg = "Parse: not exactly two strings, a count and that many types"
            raise ClientProtocolError(msg)
        types: tuple[int, ...] = struct.unpack_from(f"!{count}I", body, start) if count else ()
        return cls(body[:name_end], body[name_end + 1 : text_end], types)

    def encode(self) -> bytes:
        """Encode the whole message."""
        types = b"".join([wire.count(len(self.types)), *map(wire.oid, self.types)])
        return wire.message(b"P", wire.name(self.name) + wire.name(self.text) + types)


class Bind(msgspec.Struct, frozen=True):
    """Make a portal from a prepared statement and parameters."""

    KIND: ClassVar[int] = ord("B")
    portal: bytes
    statement: bytes
    formats: tuple[int, ...] = ()
    """Formats of the parameters: none (all text), one for all, or one each."""
    parameters: tuple[bytes | None, ...] = ()
    result_formats: tuple[int, ...] = ()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body; see ``binding.decode_bind``.

        Raises:
            ClientProtocolError: lengths don't add up, or a format that doesn't exist.
        """
        return cls(*decode_bind(body))

    def format_of(self, index: int) -> int:
        """Tell the format of one parameter."""
        if not self.formats:
            return 0
        return self.formats[0] if len(self.formats) == 1 else self.formats[index]

    def encode(self) -> bytes:
        """Encode the whole message."""
        parts = (
            wire.name(self.portal),
            wire.name(self.statement),
            wire.formats(self.formats),
            wire.values(self.parameters),
            wire.formats(self.result_formats),
        )
        return wire.message(b"B", b"".join(parts))


def _target(body: bytes, what: str) -> tuple[str, bytes]:
    """Decode Byte1 ``S`` or ``P``, and a name.

    Raises:
        ClientProtocolError: another byte, or lengths that don't add up.
    """
    if body[:1] not in {b"S", b"P"} or body.find(b"\0") != len(body) - 1:
        msg = f"{what}: not S or P and exactly one string"
        raise ClientProtocolError(msg)
    return ("S" if body[0] == ord("S") else "P"), body[1:-1]


class Describe(msgspec.Struct, frozen=True):
    """Ask for the description of a statement (``S``) or portal (``P``)."""

    KIND: ClassVar[int] = ord("D")
    target: str
    name: bytes

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body: Byte1 ``S`` or ``P``, name.

        Raises:
            ClientProtocolError: another byte, or lengths that don't add up.
        """
        return cls(*_target(body, "Describe"))

    def encode(self) -> bytes:
        """Encode the whole message."""
        return wire.message(b"D", self.target.encode() + wire.name(self.name))


class Close(msgspec.Struct, frozen=True):
    """Forget a statement (``S``) or portal (``P``)."""

    KIND: ClassVar[int] = ord("C")
    target: str
    name: bytes

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body: Byte1 ``S`` or ``P``, name.

        Raises:
            ClientProtocolError: another byte, or lengths that don't add up.
        """
        return cls(*_target(body, "Close"))

    def encode(self) -> bytes:
        """Encode the whole message."""
        return wire.message(b"C", self.target.encode() + wire.name(self.name))


class Execute(msgspec.Struct, frozen=True):
    """Run a portal; ``max_rows`` 0 is all."""

    KIND: ClassVar[int] = ord("E")
    portal: bytes
    max_rows: int = 0

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body: portal, Int32 row limit (PostgreSQL takes a negative one as no limit).

        Raises:
            ClientProtocolError: lengths don't add up.
        """
        end = len(body) - 5
        if end < 0 or body.find(b"\0") != end:
            msg = "Execute: not exactly one string and an Int32"
            raise ClientProtocolError(msg)
        return cls(body[:end], int.from_bytes(body[end + 1 :], "big", signed=True))

    def encode(self) -> bytes:
        """Encode the whole message."""
        return wire.message(b"E", wire.name(self.portal) + wire.int32(self.max_rows))


class Sync(msgspec.Struct, frozen=True):
    """End the implicit transaction and any error state."""

    KIND: ClassVar[int] = ord("S")

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the empty body.

        Raises:
            ClientProtocolError: it isn't empty.
        """
        _refuse_body(body, "Sync")
        return cls()

    def encode(self) -> bytes:
        """Encode the whole message."""
        return b"S\0\0\0\4"


class Flush(msgspec.Struct, frozen=True):
    """Ask the server to send what it has."""

    KIND: ClassVar[int] = ord("H")

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the empty body.

        Raises:
            ClientProtocolError: it isn't empty.
        """
        _refuse_body(body, "Flush")
        return cls()

    def encode(self) -> bytes:
        """Encode the whole message."""
        return b"H\0\0\0\4"


class Terminate(msgspec.Struct, frozen=True):
    """End the session."""

    KIND: ClassVar[int] = ord("X")

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the empty body.

        Raises:
            ClientProtocolError: it isn't empty.
        """
        _refuse_body(body, "Terminate")
        return cls()

    def encode(self) -> bytes:
        """Encode the whole message."""
        return b"X\0\0\0\4"


class FunctionCall(msgspec.Struct, frozen=True):
    """Call a function by oid (the fast path)."""

    KIND: ClassVar[int] = ord("F")
    function: int
    formats: tuple[int, ...]
    arguments: tuple[bytes | None, ...]
    result_format: int

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body: Int32 oid, formats, arguments, Int16 result format.

        Raises:
            ClientProtocolError: lengths don't add up, or a format that doesn't exist.
        """
        fields = Body(body, "FunctionCall", ClientProtocolError)
        function, formats = fields.oid(), fields.formats()
        count = fields.fits(fields.count(), 4)
        arguments = tuple([fields.value() for _ in range(count)])
        result_format = fields.int16()
        fields.end()
        if result_format not in {0, 1} or (len(formats) > 1 and len(formats) != count):
            fields.refuse("formats don't fit")
        return cls(function, formats, arguments, result_format)

    def encode(self) -> bytes:
        """Encode the whole message."""
        head = wire.oid(self.function) + wire.formats(self.formats)
        return wire.message(b"F", head + wire.values(self.arguments) + wire.int16(self.result_format))


def _refuse_body(body: bytes, what: str) -> None:
    """Refuse a body where there is none.

    Raises:
        ClientProtocolError: there is one.
    """
    if body:
        msg = f"{what}: {len(body)} trailing bytes"
        raise ClientProtocolError(msg)
