"""The log's files: ``log/00000001.seg`` and so on, each an append-only run of batches of entries.

Layout of a file: 8 bytes magic, u32 length and header (canonical JSON), u32 CRC-32 of the header, then batches.
Layout of a batch: 4s magic, u32 CRC-32 of all that follows, u32 body length, u32 entries, u64 channel, u64 last seq,
body: u16 length and entry, for each.

A batch is what one channel had in one round of the recorder: it is wholly there or not at all, and its last seq says
up to where that channel's socket is already in the log. The header of the next file says how long this one is and its
digest; only the last file's end is found by reading. A CRC finds accidents; proof against people is the digests'
and, later, the tree's work.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from interlock.audit.disk import Disk
from interlock.audit.entry import canonical

FILE_MAGIC: Final = b"ILKSEG1\n"
BATCH_MAGIC: Final = b"IlkB"
_LENGTH: Final = struct.Struct(">I")
_BATCH: Final = struct.Struct(">4sI")
_BATCH_REST: Final = struct.Struct(">IIQQ")
BATCH_BYTES: Final = _BATCH.size + _BATCH_REST.size
MAX_BATCH_BYTES: Final = 32 * 1024 * 1024
MAX_HEADER_BYTES: Final = 1024 * 1024


class SegmentHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The start of a file."""

    at: int
    channels: dict[str, int] = {}
    """Last seq in the log, by channel (16 hex digits), of the channels alive when the file was begun."""
    first: int
    """Index in the log of the file's first entry."""
    number: int
    previous: str
    """SHA-256 of the file before, up to ``previous_bytes``; empty for the first."""
    previous_bytes: int
    v: int = 1


@dataclass(frozen=True, slots=True)
class Batch:
    """One whole batch."""

    channel: int
    last_seq: int
    entries: list[bytes]
    end: int
    """Offset in the file behind it."""


@dataclass(slots=True)
class Scan:
    """What a file holds, up to its first flaw."""

    header: SegmentHeader | None
    end: int = 0
    """Offset behind the last whole batch; 0 if not even the header is whole."""
    size: int = 0
    entries: int = 0
    channels: dict[int, int] = field(default_factory=dict[int, int])
    digest: str = ""

    @property
    def torn(self) -> int:
        """Bytes behind the last whole batch."""
        return self.size - self.end


class SegmentWriter:
    """Appends batches to one new file; what was synced is committed, what wasn't can be rolled back."""

    def __init__(self, disk: Disk, path: Path, header: SegmentHeader) -> None:
        self._disk = disk
        self.path: Final = path
        self.header: Final = header
        self._fd = disk.create(path)
        data = encode_header(FILE_MAGIC, msgspec.to_builtins(header))
        self._hash = hashlib.sha256()
        self._pending: list[bytes] = []
        self.committed = 0
        self.entries = 0
        self._size = 0
        self._entries_written = 0
        try:
            self._write(data)
            self.sync()
        except OSError:
            disk.close(self._fd)
            disk.remove(path)
            raise

    @property
    def dirty(self) -> bool:
        """True if something isn't synced yet."""
        return bool(self._pending)

    @property
    def size(self) -> int:
        return self._size

    def append(self, channel: int, last_seq: int, entries: Sequence[bytes | memoryview]) -> None:
        """Write a batch of entries, each with its u16 length before it.

        Raises:
            OSError: the disk; call ``rollback`` or give the file up.
        """
        body = b"".join(entries)
        rest = _BATCH_REST.pack(len(body), len(entries), channel, last_seq)
        data = b"".join((_BATCH.pack(BATCH_MAGIC, zlib.crc32(body, zlib.crc32(rest))), rest, body))
        self._write(data)
        self._entries_written += len(entries)

    def sync(self) -> None:
        """Make everything written durable.

        Raises:
            OSError: nothing is known about what is on disk: give the file up.
        """
        if self._pending:
            self._disk.sync(self._fd)
            for data in self._pending:
                self._hash.update(data)
            self._pending.clear()
            self.committed = self._size
            self.entries = self._entries_written

    def rollback(self) -> None:
        """Cut off what isn't committed.

        Raises:
            OSError: the disk; give the file up.
        """
        self._disk.truncate(self._fd, self.committed)
        self._pending.clear()
        self._size = self.committed
        self._entries_written = self.entries

    @property
    def digest(self) -> str:
        """SHA-256 of the committed bytes."""
        return self._hash.hexdigest()

    def close(self) -> None:
        self._disk.close(self._fd)

    def _write(self, data: bytes) -> None:
        self._pending.append(data)
        self._disk.write(self._fd, data)
        self._size += len(data)


def encode_header(magic: bytes, header: Mapping[str, Any]) -> bytes:
    """Encode a file's header."""
    body = canonical(header)
    return b"".join((magic, _LENGTH.pack(len(body)), body, _LENGTH.pack(zlib.crc32(body))))


def decode_header(magic: bytes, data: memoryview) -> tuple[bytes, int] | None:
    """The header's JSON and the offset behind it, or None if it isn't whole."""
    start = len(magic) + 4
    if len(data) < start or data[: len(magic)] != magic:
        return None
    (length,) = _LENGTH.unpack_from(data, len(magic))
    end = start + length + 4
    if length > MAX_HEADER_BYTES or len(data) < end:
        return None
    body = bytes(data[start : start + length])
    return (body, end) if _LENGTH.unpack_from(data, start + length)[0] == zlib.crc32(body) else None


def segment_header(data: memoryview) -> tuple[SegmentHeader, int] | None:
    """A log file's header and the offset behind it, or None if it isn't whole."""
    found = decode_header(FILE_MAGIC, data)
    if found is None:
        return None
    try:
        return msgspec.json.decode(found[0], type=SegmentHeader), found[1]
    except msgspec.MsgspecError:
        return None


def batches(data: memoryview, start: int, end: int) -> Iterator[Batch]:
    """The whole batches between two offsets, up to the first flaw."""
    at = start
    while end - at >= BATCH_BYTES:
        magic, crc = _BATCH.unpack_from(data, at)
        length, count, channel, last_seq = _BATCH_REST.unpack_from(data, at + _BATCH.size)
        body = at + BATCH_BYTES
        if magic != BATCH_MAGIC or length > MAX_BATCH_BYTES or body + length > end:
            return
        if zlib.crc32(data[at + _BATCH.size : body + length]) != crc:
            return
        entries = split_entries(data[body : body + length])
        if entries is None or len(entries) != count:
            return
        at = body + length
        yield Batch(channel, last_seq, entries, at)


def split_entries(body: memoryview) -> list[bytes] | None:
    """The entries of a batch's body, or None if the lengths don't add up."""
    entries = []
    at = 0
    while at + 2 <= len(body):
        end = at + 2 + (body[at] << 8 | body[at + 1])
        entries.append(bytes(body[at + 2 : end]))
        at = end
    return entries if at == len(body) else None


def scan(path: Path) -> Scan:
    """Read a file whole: how far it is good, what it holds."""
    data = memoryview(path.read_bytes())
    found = segment_header(data)
    if found is None:
        return Scan(None, size=len(data))
    header, at = found
    result = Scan(header, end=at, size=len(data))
    result.channels = {int(name, 16): seq for name, seq in header.channels.items()}
    for batch in batches(data, at, len(data)):
        result.channels[batch.channel] = batch.last_seq
        result.entries += len(batch.entries)
        result.end = batch.end
    result.digest = hashlib.sha256(data[: result.end]).hexdigest()
    return result


def numbered(directory: Path, suffix: str) -> list[tuple[int, Path]]:
    """The numbered files of a directory, in order."""
    try:
        names = [path.name for path in directory.iterdir()]
    except FileNotFoundError:
        return []
    stems = ((name.removesuffix(suffix), name) for name in names if name.endswith(suffix))
    return sorted((int(stem), directory / name) for stem, name in stems if stem.isdigit() and stem.isascii())


def file_name(number: int, suffix: str) -> str:
    """The name of a numbered file."""
    return f"{number:08d}{suffix}"
