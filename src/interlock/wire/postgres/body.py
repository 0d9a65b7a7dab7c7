"""Walk a message body, and build one: the few field types that every PostgreSQL message is made of.

Text in the protocol has the client's encoding, which Interlock holds to UTF-8. Where a field is ``str`` here it was
decoded with ``surrogateescape``, so that any bytes survive a round trip; statement texts, names of statements and
portals, and values stay ``bytes``.
"""

import struct
from collections.abc import Sequence
from typing import Final, NoReturn, final

from interlock.core.errors import ProtocolError

_INT16: Final = struct.Struct("!h")
_UINT16: Final = struct.Struct("!H")
_INT32: Final = struct.Struct("!i")
_UINT32: Final = struct.Struct("!I")
_HEADER: Final = struct.Struct("!cI")

INT32_MAX: Final = 0x7FFFFFFF


@final
class Body:
    """A cursor over one message body; every read checks what is left.

    Trust: the bytes are unverified; ``error`` names the peer that sent them.
    """

    __slots__ = ("_at", "_data", "_error", "_name")

    def __init__(self, data: bytes, name: str, error: type[ProtocolError]) -> None:
        self._data = data
        self._name = name
        self._error = error
        self._at = 0

    def refuse(self, what: str) -> NoReturn:
        """Raise the error for this body.

        Raises:
            ProtocolError: always; of the kind that the reader was made with.
        """
        msg = f"{self._name}: {what}"
        raise self._error(msg)

    def _fixed(self, layout: struct.Struct) -> int:
        if self._at + layout.size > len(self._data):
            self.refuse("ends early")
        value: int = layout.unpack_from(self._data, self._at)[0]
        self._at += layout.size
        return value

    def byte(self) -> int:
        """Take one byte."""
        return self.take(1)[0]

    def int16(self) -> int:
        """Take a signed Int16."""
        return self._fixed(_INT16)

    def count(self) -> int:
        """Take an Int16 that counts: unsigned, as PostgreSQL reads it."""
        return self._fixed(_UINT16)

    def int32(self) -> int:
        """Take a signed Int32."""
        return self._fixed(_INT32)

    def oid(self) -> int:
        """Take an unsigned Int32."""
        return self._fixed(_UINT32)

    def take(self, size: int) -> bytes:
        """Take ``size`` bytes."""
        end = self._at + size
        if size < 0 or end > len(self._data):
            self.refuse("ends early")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def value(self) -> bytes | None:
        """Take an Int32 length and that many bytes; -1 is NULL."""
        size = self._fixed(_INT32)
        return None if size == -1 else self.take(size)

    def name(self) -> bytes:
        """Take a NUL-terminated string, as bytes."""
        end = self._data.find(b"\0", self._at)
        if end < 0:
            self.refuse("string without terminator")
        taken = self._data[self._at : end]
        self._at = end + 1
        return taken

    def text(self) -> str:
        """Take a NUL-terminated string, as text."""
        return self.name().decode("utf-8", "surrogateescape")

    def rest(self) -> bytes:
        """Take all that is left."""
        return self.take(len(self._data) - self._at)

    def formats(self) -> tuple[int, ...]:
        """Take a count and that many format codes, each 0 (text) or 1 (binary)."""
        count = self.count()
        codes: tuple[int, ...] = struct.unpack(f"!{count}h", self.take(2 * count))
        if any(code not in {0, 1} for code in codes):
            self.refuse("format code is neither 0 nor 1")
        return codes

    def fits(self, count: int, least: int) -> int:
        """Return ``count`` if that many fields of at least ``least`` bytes can follow."""
        if count < 0 or count * least > len(self._data) - self._at:
            self.refuse(f"announces {count} fields, which don't fit")
        return count

    def end(self) -> None:
        """Refuse trailing bytes."""
        if self._at != len(self._data):
            self.refuse(f"{len(self._data) - self._at} trailing bytes")


def message(kind: bytes, body: bytes) -> bytes:
    """Put the header before a body."""
    return _HEADER.pack(kind, len(body) + 4) + body


def name(value: bytes) -> bytes:
    """Terminate a string with NUL.

    Raises:
        ValueError: the string has a NUL inside, which would end it early for the reader.
    """
    if b"\0" in value:
        msg = "a NUL inside a string"
        raise ValueError(msg)
    return value + b"\0"


def text(value: str) -> bytes:
    """Encode text and terminate it with NUL.

    Raises:
        ValueError: the text has a NUL inside, or can't be encoded.
    """
    return name(value.encode("utf-8", "surrogateescape"))


def int16(value: int) -> bytes:
    """Encode a signed Int16."""
    return _INT16.pack(value)


def count(value: int) -> bytes:
    """Encode a counting Int16."""
    return _UINT16.pack(value)


def int32(value: int) -> bytes:
    """Encode a signed Int32."""
    return _INT32.pack(value)


def oid(value: int) -> bytes:
    """Encode an unsigned Int32."""
    return _UINT32.pack(value)


def formats(codes: Sequence[int]) -> bytes:
    """Encode a count and that many format codes."""
    return struct.pack(f"!H{len(codes)}h", len(codes), *codes)


def values(items: Sequence[bytes | None]) -> bytes:
    """Encode a count and that many values."""
    parts = [_UINT16.pack(len(items))]
    for item in items:
        if item is None:
            parts.append(b"\xff\xff\xff\xff")
        else:
            parts.append(_INT32.pack(len(item)))
            parts.append(item)
    return b"".join(parts)
