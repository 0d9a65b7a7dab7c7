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
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

import msgspec

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


class Group(msgspec.Struct, gc=False):
    """Payload frames of one session, as recordings store them."""

    first_seq: int
    last_seq: int
    stored: list[memoryview]
    """Headers and payloads."""


class Decoded(msgspec.Struct, gc=False):
    """All whole frames at the start of a buffer; views into it, in order."""

    used: int
    """Bytes that good frames take, those that are skipped included."""
    last_seq: int
    """Number of the last good frame; where there is none, what was given."""
    frames: int
    """Good frames that aren't skipped."""
    urgent: bool
    wrong: str
    """Why the frame behind the good ones is none: ``malformed``, ``sequence``; empty if there is just too little."""
    entries: list[memoryview]
    """Entries, each with its u16 length before it, as segments store them."""
    groups: dict[bytes, Group]
    """Payload frames by session id."""


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
    rest = range(start + MAX_CONTENT_BYTES, len(payload), MAX_CONTENT_BYTES)
    chunks = [payload[: rest.start], *(b"".join((more, view[at : at + MAX_CONTENT_BYTES])) for at in rest)]
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


def decode_frames(buffer: memoryview, after: int, *, fresh: bool = False) -> Decoded:
    """Decode all whole frames at the start of ``buffer``; the first must be number ``after`` + 1.

    Trust: none; the worker may be hostile. With ``fresh`` the first may have a lower number, and what has a number up
    to ``after`` is skipped. A wrong frame is the last thing that is looked at; the frames before it are good.
    """
    entries: list[memoryview] = []
    groups: dict[bytes, Group] = {}
    unpack = HEADER.unpack_from
    size = len(buffer)
    at = 0
    count = 0
    last_seq = after
    expected = -1 if fresh else after + 1
    urgent = False
    wrong = ""
    while size - at >= HEADER_BYTES:
        magic, kind, flags, entry_length, payload_length, seq = unpack(buffer, at)
        if magic != MAGIC or flags > URGENT or entry_length > MAX_ENTRY_BYTES or payload_length > MAX_PAYLOAD_BYTES:
            wrong = "malformed"
            break
        if seq != expected:
            if expected >= 0 or seq > after + 1:
                wrong = "sequence"
                break
            expected = seq
        body = at + HEADER_BYTES
        entry_at = body + payload_length
        end = entry_at + entry_length + 2 if entry_length else entry_at
        if kind == RECORD:
            if end > size:
                break
            if entry_length and buffer[entry_at] << 8 | buffer[entry_at + 1] != entry_length:
                wrong = "malformed"
                break
            if payload_length:
                session_end = body + 1 + buffer[body]
                if session_end >= entry_at or session_end + 2 + buffer[session_end] > entry_at:
                    wrong = "malformed"
                    break
        elif kind != SYNC or entry_length or payload_length:
            wrong = "malformed"
            break
        at_frame = at
        at = end
        expected += 1
        if seq <= after:
            continue
        last_seq = seq
        count += 1
        if flags:
            urgent = True
        if entry_length:
            entries.append(buffer[entry_at:end])
        if payload_length:
            session = bytes(buffer[body + 1 : session_end])
            group = groups.get(session)
            if group is None:
                groups[session] = Group(seq, seq, [buffer[at_frame:entry_at]])
            else:
                group.last_seq = seq
                group.stored.append(buffer[at_frame:entry_at])
    return Decoded(at, last_seq, count, urgent, wrong, entries, groups)


def stored_frames(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The number and payload of each frame in the plain text of a recording.

    Raises:
        ProtocolError: it isn't a run of headers and payloads.
    """
    at = 0
    while at < len(data):
        if len(data) - at < HEADER_BYTES:
            break
        magic, _, _, _, payload_length, seq = HEADER.unpack_from(data, at)
        end = at + HEADER_BYTES + payload_length
        if magic != MAGIC or end > len(data):
            break
        yield seq, data[at + HEADER_BYTES : end]
        at = end
    if at != len(data):
        msg = "a recording holds something that is not a frame"
        raise ProtocolError(msg)


def resynchronise(buffer: memoryview, after: int) -> int:
    """The offset of the first whole frame: for the first bytes after a recorder died while it consumed.

    What is skipped is the rest of frames that are in the log already, because consuming comes last.
    """
    data = bytes(buffer)
    at = data.find(MAGIC)
    while at >= 0:
        decoded = decode_frames(buffer[at:], after, fresh=True)
        if decoded.used:
            return at
        at = data.find(MAGIC, at + 1)
    return 0
