"""The socket's frames: the same whatever the split; a hostile worker gets no further than its own channel."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.audit.framing import (
    HEADER,
    MAGIC,
    MAX_CONTENT_BYTES,
    MAX_FRAME_BYTES,
    NOTICE,
    RECORD,
    SYNC,
    Notice,
    Refusal,
    decode_frames,
    decode_notice,
    encode_frames,
    encode_notice,
    encode_sync,
    resynchronise,
    stored_frames,
)
from interlock.audit.payload import PayloadKind, decode_payload, route
from interlock.core.errors import ProtocolError

SESSIONS = st.sampled_from(["s-1", "s-2", ""])
RECORDS = st.lists(
    st.tuples(st.binary(max_size=100), st.none() | st.tuples(SESSIONS, st.binary(max_size=200)), st.booleans()),
    max_size=12,
)


def encode_all(records: list[tuple[bytes, tuple[str, bytes] | None, bool]]) -> bytes:
    stream, seq = b"", 1
    for entry, payload, urgent in records:
        data = route(payload[0], "a", PayloadKind.REQUEST) + payload[1] if payload else b""
        frames = encode_frames(seq, entry, data, urgent=urgent)
        stream += b"".join(frames)
        seq += len(frames)
    return stream


def read(stream: bytes, step: int) -> tuple[list[bytes], list[tuple[int, bytes]], int]:
    """Peek ever more, consume what is whole: as the recorder does."""
    entries: list[bytes] = []
    payloads: list[tuple[int, bytes]] = []
    last, start, end = 0, 0, 0
    while end < len(stream):
        end = min(end + step, len(stream))
        found = decode_frames(memoryview(stream)[start:end], last)
        assert not found.wrong
        entries += [bytes(view[2:]) for view in found.entries]
        for group in found.groups.values():
            payloads += [(seq, bytes(data)) for view in group.stored for seq, data in stored_frames(view)]
        last, start = found.last_seq, start + found.used
    assert start == len(stream)
    return entries, sorted(payloads), last


@given(RECORDS, st.integers(1, 64))
def test_frames_are_the_same_however_the_stream_is_split(
    records: list[tuple[bytes, tuple[str, bytes] | None, bool]], step: int
) -> None:
    stream = encode_all(records)
    assert read(stream, step) == read(stream, max(len(stream), 1))
    assert read(stream, step)[0] == [entry for entry, _, _ in records if entry]


@given(st.binary(max_size=400), st.integers(0, 3), st.booleans())
def test_garbage_is_refused_or_waited_for_and_never_raises_T22(data: bytes, after: int, fresh: bool) -> None:
    for stream in (data, encode_sync(after + 1) + data):
        found = decode_frames(memoryview(stream), after, fresh=fresh)
        assert 0 <= found.used <= len(stream)


@given(RECORDS.filter(bool), st.data())
def test_flipped_header_bit_never_moves_the_recorder_past_the_frame_T22(
    records: list[tuple[bytes, tuple[str, bytes] | None, bool]], data: st.DataObject
) -> None:
    stream = bytearray(encode_all(records))
    bit = data.draw(st.integers(0, 4 * 8 - 1))
    stream[bit // 8] ^= 1 << bit % 8
    assert decode_frames(memoryview(bytes(stream)), 0).used == 0


@pytest.mark.parametrize(
    "frame",
    [
        HEADER.pack(b"IlkX", RECORD, 0, 0, 0, 1),
        HEADER.pack(MAGIC, 9, 0, 0, 0, 1),
        HEADER.pack(MAGIC, RECORD, 2, 0, 0, 1),
        HEADER.pack(MAGIC, RECORD, 0, 2048, 0, 1),
        HEADER.pack(MAGIC, RECORD, 0, 0, MAX_FRAME_BYTES, 1),
        HEADER.pack(MAGIC, SYNC, 1, 1, 0, 1) + b"\0\1x",
        HEADER.pack(MAGIC, RECORD, 0, 3, 0, 1) + b"\0\4abc",
        HEADER.pack(MAGIC, RECORD, 0, 0, 1, 1) + b"\0",
        HEADER.pack(MAGIC, RECORD, 0, 0, 2, 1) + b"\xff\xff",
        HEADER.pack(MAGIC, RECORD, 0, 0, 3, 1) + b"\0\xff\1",
    ],
)
def test_frame_that_breaks_a_rule_is_malformed_T22(frame: bytes) -> None:
    found = decode_frames(memoryview(frame + bytes(300)), 0)
    assert (found.wrong, found.used) == ("malformed", 0)


def test_frame_out_of_order_is_refused_T22() -> None:
    first, second = encode_frames(1, b"one", b"")[0], encode_frames(3, b"three", b"")[0]
    found = decode_frames(memoryview(first + second), 0)
    assert (found.wrong, found.used, found.last_seq) == ("sequence", len(first), 1)
    assert decode_frames(memoryview(second), 1, fresh=True).wrong == "sequence"


def test_frames_that_the_log_has_already_are_skipped() -> None:
    stream = b"".join(encode_frames(number, b"e%d" % number, b"")[0] for number in range(1, 6))
    found = decode_frames(memoryview(stream), 3, fresh=True)
    assert [bytes(view[2:]) for view in found.entries] == [b"e4", b"e5"]
    assert (found.used, found.frames, found.last_seq) == (len(stream), 2, 5)


def test_large_payload_is_several_frames_and_the_entry_is_in_the_last() -> None:
    content = bytes(range(256)) * 1000
    frames = encode_frames(7, b"entry", route("s", "a", PayloadKind.REQUEST) + content, urgent=True)
    assert len(frames) == -(-len(content) // MAX_CONTENT_BYTES)
    assert max(len(frame) for frame in frames) <= MAX_FRAME_BYTES
    found = decode_frames(memoryview(b"".join(frames)), 6)
    pieces = [decode_payload(data) for view in found.groups[b"s"].stored for _, data in stored_frames(view)]
    assert b"".join(piece.content for piece in pieces) == content
    assert [piece.kind for piece in pieces[1:]] == [PayloadKind.MORE] * (len(frames) - 1)
    assert [bytes(view[2:]) for view in found.entries] == [b"entry"]
    assert found.urgent
    assert not decode_frames(memoryview(b"".join(frames[:-1])), 6).entries


@given(RECORDS.filter(lambda records: len(records) > 1), st.data())
def test_reader_that_lost_its_place_finds_the_next_frame(
    records: list[tuple[bytes, tuple[str, bytes] | None, bool]], data: st.DataObject
) -> None:
    first = len(encode_all(records[:1]))
    stream = encode_all(records)
    at = data.draw(st.integers(1, first))
    assert at + resynchronise(memoryview(stream)[at:], 1) == first


def test_notices_are_read_back_and_others_refused() -> None:
    for kind in Notice:
        assert decode_notice(encode_notice(kind, 5, 2)) == (kind, 2, 5)
    for wrong in (NOTICE.pack(b"xxxx", 1, 0, 0, 1), NOTICE.pack(MAGIC, 77, 0, 0, 1)):
        with pytest.raises(ProtocolError):
            decode_notice(wrong)
    assert Refusal(200) is Refusal.UNKNOWN


def test_recording_that_is_not_frames_is_refused() -> None:
    good = encode_frames(1, b"", route("s", "a", PayloadKind.RESPONSE) + b"x")[0]
    for wrong in (good[:-1], good + b"x", b"y" * 40):
        with pytest.raises(ProtocolError):
            list(stored_frames(memoryview(wrong)))
