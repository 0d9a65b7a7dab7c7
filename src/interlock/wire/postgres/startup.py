"""Packets without a kind byte, which open a connection.

Spec: PostgreSQL 18, "Message Formats", StartupMessage, SSLRequest, GSSENCRequest, CancelRequest. Trust: every packet
is from a client that nobody has authenticated.
"""

from collections.abc import Mapping
from typing import ClassVar, Final, Self

import msgspec

from interlock.core.errors import ClientProtocolError, LimitExceeded
from interlock.wire.postgres import body as wire
from interlock.wire.postgres.body import Body

MAX_STARTUP: Final = 10_000
"""MAX_STARTUP_PACKET_LENGTH, without the length itself."""
PROTOCOL_3_0: Final = 3 << 16
PROTOCOL_3_2: Final = 3 << 16 | 2
CANCEL_CODE: Final = 1234 << 16 | 5678
SSL_CODE: Final = 1234 << 16 | 5679
GSS_CODE: Final = 1234 << 16 | 5680
CANCEL_KEYS: Final = range(4, 257)


class StartupMessage(msgspec.Struct, frozen=True):
    """What a client wants: version and parameters."""

    version: int
    parameters: Mapping[str, str]
    """All that the client sent, ``_pq_`` options too."""
    OPTION_PREFIX: ClassVar[str] = "_pq_."

    @property
    def major(self) -> int:
        """Major protocol version."""
        return self.version >> 16

    @property
    def minor(self) -> int:
        """Minor protocol version."""
        return self.version & 0xFFFF

    @property
    def user(self) -> str:
        """The user that the client named, or an empty string."""
        return self.parameters.get("user", "")

    @property
    def database(self) -> str:
        """The database that the client named; the user's name where there is none."""
        return self.parameters.get("database") or self.user

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the protocol options (``_pq_.``) asked for."""
        return tuple([key for key in self.parameters if key.startswith(self.OPTION_PREFIX)])

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode what follows the length: Int32 version, (String name, String value) until an empty name.

        Raises:
            ClientProtocolError: no terminator, bytes after it, or a name twice (which reader would win?).
        """
        fields = Body(body, "StartupMessage", ClientProtocolError)
        version = fields.oid()
        parameters: dict[str, str] = {}
        while key := fields.text():
            if key in parameters:
                fields.refuse("a parameter is given twice")
            parameters[key] = fields.text()
        fields.end()
        return cls(version, parameters)

    def encode(self) -> bytes:
        """Encode the whole packet."""
        pairs = b"".join([wire.text(key) + wire.text(value) for key, value in self.parameters.items()])
        return _packet(self.version, pairs + b"\0")


class CancelRequest(msgspec.Struct, frozen=True):
    """Cancel what runs in the session with this key."""

    pid: int
    key: bytes

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Decode what follows the length: Int32 code, Int32 process id, key.

        Raises:
            ClientProtocolError: the key's length is none that the protocol has.
        """
        fields = Body(body, "CancelRequest", ClientProtocolError)
        code, pid, key = fields.oid(), fields.int32(), fields.rest()
        if code != CANCEL_CODE or len(key) not in CANCEL_KEYS:
            fields.refuse(f"key of {len(key)} bytes")
        return cls(pid, key)

    def encode(self) -> bytes:
        """Encode the whole packet."""
        return _packet(CANCEL_CODE, wire.int32(self.pid) + self.key)

    def __repr__(self) -> str:
        return f"CancelRequest(pid={self.pid}, key=***)"


class SSLRequest(msgspec.Struct, frozen=True):
    """Ask for TLS."""

    def encode(self) -> bytes:
        """Encode the whole packet."""
        return _packet(SSL_CODE, b"")


class GSSENCRequest(msgspec.Struct, frozen=True):
    """Ask for GSSAPI encryption."""

    def encode(self) -> bytes:
        """Encode the whole packet."""
        return _packet(GSS_CODE, b"")


StartupPacket = StartupMessage | CancelRequest | SSLRequest | GSSENCRequest


def _packet(code: int, body: bytes) -> bytes:
    return wire.oid(len(body) + 8) + wire.oid(code) + body


def verify_startup_length(head: bytes) -> int:
    """Return the whole size of the packet that these first 4 or more bytes announce.

    Raises:
        ClientProtocolError: too short for any packet.
        LimitExceeded: longer than PostgreSQL takes.
    """
    size = int.from_bytes(head[:4], "big")
    if size < 8:
        msg = f"startup packet of {size} bytes"
        raise ClientProtocolError(msg)
    if size > MAX_STARTUP + 4:
        name = "startup packet"
        raise LimitExceeded(name, limit=MAX_STARTUP, got=size - 4)
    return size


def decode_startup(packet: bytes) -> StartupPacket:
    """Decode a whole packet, length and all.

    Raises:
        ClientProtocolError: lengths don't add up.
        LimitExceeded: longer than PostgreSQL takes.
    """
    if len(packet) < 8 or verify_startup_length(packet) != len(packet):
        msg = f"startup packet of {len(packet)} bytes"
        raise ClientProtocolError(msg)
    code = int.from_bytes(packet[4:8], "big")
    if code == CANCEL_CODE:
        return CancelRequest.decode(packet[4:])
    if code in {SSL_CODE, GSS_CODE}:
        if len(packet) != 8:
            msg = "an encryption request with trailing bytes"
            raise ClientProtocolError(msg)
        return SSLRequest() if code == SSL_CODE else GSSENCRequest()
    return StartupMessage.decode(packet[4:])
