"""Messages that a server sends, other than rows, errors, COPY and authentication: one frozen struct a kind.

Spec: PostgreSQL 18, "Message Formats". Trust: every body is from the upstream, unverified.
"""

from typing import ClassVar, Final, Self

import msgspec

from interlock.core.errors import UpstreamProtocolError
from interlock.wire.postgres import body as wire
from interlock.wire.postgres.body import Body

KEY_LENGTHS: Final = range(4, 257)
"""Lengths that a cancel key may have: 4 in protocol 3.0, up to 256 in 3.2."""

PARSE_COMPLETE: Final = b"1\0\0\0\4"
BIND_COMPLETE: Final = b"2\0\0\0\4"
CLOSE_COMPLETE: Final = b"3\0\0\0\4"
EMPTY_QUERY_RESPONSE: Final = b"I\0\0\0\4"
NO_DATA: Final = b"n\0\0\0\4"
PORTAL_SUSPENDED: Final = b"s\0\0\0\4"
BODILESS: Final = frozenset(b"123Insc")
"""Kinds that are their header alone: the constants above, and CopyDone."""


class BackendKeyData(msgspec.Struct, frozen=True):
    """What a cancel request must present."""

    KIND: ClassVar[int] = ord("K")
    pid: int
    key: bytes

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body: Int32 process id, then the key.

        Raises:
            UpstreamProtocolError: the key's length is none that the protocol has.
        """
        fields = Body(body, "BackendKeyData", UpstreamProtocolError)
        pid, key = fields.int32(), fields.rest()
        if len(key) not in KEY_LENGTHS:
            fields.refuse(f"key of {len(key)} bytes")
        return cls(pid, key)

    def encode(self) -> bytes:
        """Encode the whole message."""
        return wire.message(b"K", wire.int32(self.pid) + self.key)

    def __repr__(self) -> str:
        return f"BackendKeyData(pid={self.pid}, key=***)"


class ParameterStatus(msgspec.Struct, frozen=True):
    """The value of a setting that clients care about."""

    KIND: ClassVar[int] = ord("S")
    name: str
    value: str

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body: name, value.

        Raises:
            UpstreamProtocolError: lengths don't add up.
        """
        fields = Body(body, "ParameterStatus", UpstreamProtocolError)
        name, value = fields.text(), fields.text()
        fields.end()
        return cls(name, value)

    def encode(self) -> bytes:
        """Encode the whole message."""
        return wire.message(b"S", wire.text(self.name) + wire.text(self.value))


class ReadyForQuery(msgspec.Struct, frozen=True):
    """The server awaits a query; ``I`` idle, ``T`` in a transaction, ``E`` in a failed one."""

    KIND: ClassVar[int] = ord("Z")
    status: str

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body: Byte1 status.

        Raises:
            UpstreamProtocolError: not exactly one of the three.
        """
        if body not in {b"I", b"T", b"E"}:
            msg = "ReadyForQuery: not one of I, T, E"
            raise UpstreamProtocolError(msg)
        return cls(chr(body[0]))

    def encode(self) -> bytes:
        """Encode the whole message."""
        return b"Z\0\0\0\5" + self.status.encode("ascii")


class CommandComplete(msgspec.Struct, frozen=True):
    """A statement ended well."""

    KIND: ClassVar[int] = ord("C")
    tag: str

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body: one string.

        Raises:
            UpstreamProtocolError: it isn't exactly one string.
        """
        if not body or body.find(b"\0") != len(body) - 1:
            msg = "CommandComplete: not exactly one string"
            raise UpstreamProtocolError(msg)
        return cls(body[:-1].decode("utf-8", "surrogateescape"))

    @property
    def rows(self) -> int:
        """The row count at the end of the tag, or 0 where there is none."""
        last = self.tag.rpartition(" ")[2]
        return int(last) if last.isascii() and last.isdigit() and len(last) <= 20 else 0

    def encode(self) -> bytes:
        """Encode the whole message."""
        return wire.message(b"C", wire.text(self.tag))


class NotificationResponse(msgspec.Struct, frozen=True):
    """Somebody notified a channel that the session listens to."""

    KIND: ClassVar[int] = ord("A")
    pid: int
    channel: str
    payload: str

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body: Int32 process id, channel, payload.

        Raises:
            UpstreamProtocolError: lengths don't add up.
        """
        fields = Body(body, "NotificationResponse", UpstreamProtocolError)
        pid, channel, payload = fields.int32(), fields.text(), fields.text()
        fields.end()
        return cls(pid, channel, payload)

    def encode(self) -> bytes:
        """Encode the whole message."""
        return wire.message(b"A", wire.int32(self.pid) + wire.text(self.channel) + wire.text(self.payload))


class FunctionCallResponse(msgspec.Struct, frozen=True):
    """The result of a FunctionCall; None is NULL."""

    KIND: ClassVar[int] = ord("V")
    value: bytes | None

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body: Int32 length or -1 for NULL, bytes.

        Raises:
            UpstreamProtocolError: lengths don't add up.
        """
        fields = Body(body, "FunctionCallResponse", UpstreamProtocolError)
        value = fields.value()
        fields.end()
        return cls(value)

    def encode(self) -> bytes:
        """Encode the whole message."""
        return wire.message(b"V", wire.int32(-1) if self.value is None else wire.int32(len(self.value)) + self.value)


class NegotiateProtocolVersion(msgspec.Struct, frozen=True):
    """The server speaks only an older minor version, or doesn't know some ``_pq_`` options."""

    KIND: ClassVar[int] = ord("v")
    version: int
    """The newest version it speaks, major and minor as in a StartupMessage."""
    options: tuple[str, ...]

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode the body: Int32 version, Int32 n, n x String.

        Raises:
            UpstreamProtocolError: lengths don't add up.
        """
        fields = Body(body, "NegotiateProtocolVersion", UpstreamProtocolError)
        version = fields.int32()
        options = tuple([fields.text() for _ in range(fields.fits(fields.int32(), 1))])
        fields.end()
        return cls(version, options)

    def encode(self) -> bytes:
        """Encode the whole message."""
        head = wire.int32(self.version) + wire.int32(len(self.options))
        return wire.message(b"v", head + b"".join(map(wire.text, self.options)))


def verify_bodiless(kind: int, body: bytes) -> int:
    """Return the kind of a message that is its header alone.

    Raises:
        UpstreamProtocolError: it has a body, or the kind isn't one of ``BODILESS``.
    """
    if body or kind not in BODILESS:
        msg = f"message kind 0x{kind:02x} with a body of {len(body)} bytes"
        raise UpstreamProtocolError(msg)
    return kind
