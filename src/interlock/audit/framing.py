"""The byte protocol between a worker and the recorder, over one inherited AF_UNIX stream socketpair.

Worker to recorder, frames of at most 128 KiB:
    4s magic, u8 type, u8 flags, u16 entry length, u32 payload length, u64 seq, payload,
    and if there is an entry: u16 entry length again, entry.
    ``seq`` counts frames from 1 without a gap. The payload precedes its entry, so a recorded entry has its payload.
Recorder to worker, notices of 16 bytes: 4s magic, u8 kind, u8 code, u16 zero, u64 seq.

The socketpair is made by the supervisor and inherited; there is no path to connect to and nobody else's credentials to
check (SO_PEERCRED would name the supervisor). Whoever holds the worker's end can append, and nothing else: no
message reads, changes or removes. A worker is untrusted: a frame that breaks these rules ends its channel.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from interlock.audit.entry import MAX_ENTRY_BYTES
from interlock.audit.payload import PayloadKind, route_length, with_kind
from interlock.core.errors import ProtocolError

MAGIC: Final = b"IlkF"
HEADER: Final = struct.Struct(">4sBBHIQ")
HEADER_BYTES: Final = HEADER.size
NOTICE: Final = struct.Struct(">4sBBHQ")
NOTICE_BYTES: Final = NOTICE.size
ENTRY_LENGTH: Final = struct.Struct(">H")
MAX_CONTENT_BYTES: Final = 65_536
"""Payload bytes a frame, besides the route."""
MAX_PAYLOAD_BYTES: Final = MAX_CONTENT_BYTES + 256
MAX_FRAME_BYTES: Final = HEADER_BYTES + MAX_PAYLOAD_BYTES + 2 + MAX_ENTRY_BYTES

RECORD: Final = 1
SYNC: Final = 2
URGENT: Final = 1
"""Flag: answer with a notice when everything up to here is durable."""


class Notice(IntEnum):
    """What the recorder tells a worker."""

    DURABLE = 1
    """Everything up to ``seq`` is on disk."""
    REFUSED = 2
    """Nothing more is recorded for now, or ever: ``code`` says why."""
    RESUMED = 3


_NOTICES: Final = frozenset(int(kind) for kind in Notice)


class Refusal(IntEnum):
    """Why the recorder refuses."""

    DISK_FULL = 1
    DISK_ERROR = 2
    MALFORMED = 3
    CLOSING = 4
    UNKNOWN = 255

    @classmethod
    def _missing_(cls, value: object) -> "Refusal":
        """A code of a later version is a refusal too."""
        del value
        return cls.UNKNOWN


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame; payload and entry are views into the fed bytes."""

    seq: int
    urgent: bool
    payload: memoryview
    """Route and content; empty if none."""
    entry: memoryview
    """The entry with its u16 length before it, as segments store it; empty if none."""
    stored: memoryview
    """Header and payload, as recordings store them; empty if there is no payload."""


def encode_frames(seq: int, entry: bytes, payload: bytes, *, urgent: bool = False) -> list[bytes]:
    """Encode a payload (in as many frames as it needs) and the entry that commits to it, from ``seq`` on.

    The last frame carries the entry: if it is recorded, the whole payload is.
    """
    flags = URGENT if urgent else 0
    if len(payload) <= MAX_CONTENT_BYTES:
        return [encode_frame(seq, entry, payload, flags)]
    start = route_length(payload)
    more = with_kind(payload[:start], PayloadKind.MORE)
    view = memoryview(payload)
    chunks = [payload[: start + MAX_CONTENT_BYTES]]
    for at in range(start + MAX_CONTENT_BYTES, len(payload), MAX_CONTENT_BYTES):
        chunks.append(b"".join((more, view[at : at + MAX_CONTENT_BYTES])))
    last = len(chunks) - 1
    return [
        encode_frame(seq + at, entry if at == last else b"", chunk, flags if at == last else 0)
        for at, chunk in enumerate(chunks)
    ]


def encode_frame(seq: int, entry: bytes, payload: bytes, flags: int) -> bytes:
    """Encode one frame; the payload must fit into it."""
    size = len(entry)
    head = HEADER.pack(MAGIC, RECORD, flags, size, len(payload), seq)
    return b"".join((head, payload, ENTRY_LENGTH.pack(size), entry)) if size else head + payload


def encode_sync(seq: int) -> bytes:
    """Encode a request to make everything before it durable and to say so."""
    return HEADER.pack(MAGIC, SYNC, URGENT, 0, 0, seq)


def encode_notice(kind: Notice, seq: int, code: int = 0) -> bytes:
    """Encode a notice of the recorder."""
    return NOTICE.pack(MAGIC, kind, code, 0, seq)


def decode_notice(data: bytes) -> tuple[Notice, int, int]:
    """Decode a notice: kind, code, seq.

    Raises:
        ProtocolError: not a notice.
    """
    magic, kind, code, _, seq = NOTICE.unpack(data)
    if magic == MAGIC and kind in _NOTICES:
        return Notice(kind), code, seq
    msg = "the recorder sent something that is not a notice"
    raise ProtocolError(msg)


def decode_frames(buffer: memoryview, expected_seq: int | None) -> tuple[list[Frame], int, str]:
    """Decode all whole frames at the start of ``buffer``: the frames, the bytes they take, and what is wrong, if so.

    Trust: none; the worker may be hostile. ``expected_seq`` is the first frame's number, or None to take any.
    A wrong frame is the last thing that is looked at; the frames before it are good.
    """
    frames: list[Frame] = []
    append = frames.append
    unpack = HEADER.unpack_from
    size = len(buffer)
    at = 0
    empty = buffer[:0]
    expected = expected_seq
    while size - at >= HEADER_BYTES:
        magic, kind, flags, entry_length, payload_length, seq = unpack(buffer, at)
        if magic != MAGIC or flags > 1 or entry_length > MAX_ENTRY_BYTES or payload_length > MAX_PAYLOAD_BYTES:
            return frames, at, "malformed"
        if expected is not None and seq != expected:
            return frames, at, "sequence"
        body = at + HEADER_BYTES
        entry_at = body + payload_length
        end = entry_at + entry_length + 2 if entry_length else entry_at
        if kind == SYNC:
            if entry_length or payload_length:
                return frames, at, "malformed"
        elif kind != RECORD:
            return frames, at, "malformed"
        if end > size:
            break
        if entry_length and buffer[entry_at] << 8 | buffer[entry_at + 1] != entry_length:
            return frames, at, "malformed"
        payload = empty
        stored = empty
        if payload_length:
            payload = buffer[body:entry_at]
            first = payload[0]
            try:
                route_length(payload)
            except ValueError:
                return frames, at, "malformed"
            if not first and not payload_length:
                return frames, at, "malformed"
            stored = buffer[at:entry_at]
        append(Frame(seq, bool(flags), payload, buffer[entry_at:end] if entry_length else empty, stored))
        at = end
        expected = seq + 1
    return frames, at, ""


def resynchronise(buffer: memoryview) -> int:
    """The offset of the first whole-looking frame: only for the first bytes after a recorder died while consuming."""
    data = bytes(buffer)
    at = data.find(MAGIC)
    while at >= 0:
        frames, _, wrong = decode_frames(buffer[at:], None)
        if frames and not wrong:
            return at
        at = data.find(MAGIC, at + 1)
    return -1
