"""Framing: the same items whatever the pieces, and nothing but the documented errors."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.errors import ClientProtocolError, ProtocolError, UpstreamProtocolError
from interlock.wire.postgres.framing import (
    MAX_LENGTH,
    Chunk,
    Frame,
    FrameReader,
    Item,
    Oversized,
    Run,
    authentication_limits,
    client_limits,
    client_reader,
    scan_run,
    split,
    upstream_reader,
)
from tests.wire.postgres.golden import FROM_CLIENT, FROM_UPSTREAM, Golden


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def take_all(reader: FrameReader) -> list[Item]:
    items = []
    while (item := reader.next_item()) is not None:
        items.append(item)
    return items


def read(reader: FrameReader, stream: bytes, step: int) -> list[Item]:
    items = []
    for at in range(0, len(stream), step):
        reader.feed(stream[at : at + step])
        items += take_all(reader)
    return items


def raw_of(items: list[Item]) -> bytes:
    return b"".join([item.raw for item in items if not isinstance(item, Oversized)])


@pytest.mark.parametrize("golden", FROM_CLIENT, ids=str)
def test_client_message_is_cut_whole_byte_by_byte_and_before_more(golden: Golden) -> None:
    for stream, step in ((golden.raw, 1000), (golden.raw, 1), (golden.raw + b"S\0\0\0", 1000)):
        items = read(client_reader(max_body=1000), stream, step)
        assert [(item.kind, raw_of([item])) for item in items] == [(golden.raw[0], golden.raw)]


@pytest.mark.parametrize("golden", FROM_UPSTREAM, ids=str)
def test_upstream_message_is_cut_whole_byte_by_byte_and_before_more(golden: Golden) -> None:
    for stream, step in ((golden.raw, 1000), (golden.raw, 1), (golden.raw + b"Z\0\0\0", 1000)):
        items = read(upstream_reader(max_body=1000), stream, step)
        assert [(item.kind, raw_of([item])) for item in items] == [(golden.raw[0], golden.raw)]


def test_frame_gives_its_body_without_the_header() -> None:
    reader = client_reader(max_body=100)
    reader.feed(message(b"Q", b"SELECT 1\0"))
    frame = reader.next_item()
    assert isinstance(frame, Frame)
    assert frame.body == b"SELECT 1\0"
    assert repr(frame) == "Frame('Q', 14 bytes)"
    assert reader.buffered == 0


def test_kinds_that_run_are_rows_from_the_upstream_and_copy_data_from_either() -> None:
    describe, data = message(b"D", b"S\0"), message(b"d", b"x")
    assert [type(item) for item in read(client_reader(max_body=100), describe * 2 + data * 2, 1000)] == [
        Frame,
        Frame,
        Run,
    ]
    assert [type(item) for item in read(upstream_reader(max_body=100), describe * 2 + data * 2, 1000)] == [Run, Run]


def test_rows_in_sight_come_as_one_run_that_ends_at_another_kind() -> None:
    row = message(b"D", b"\0\x01\0\0\0\x01x")
    items = read(upstream_reader(max_body=100), row * 3 + message(b"C", b"SELECT 3\0") + row + row[:-1], 1000)
    kinds = [type(item) for item in items]
    assert kinds == [Run, Frame, Run]
    first, last = items[0], items[2]
    assert isinstance(first, Run)
    assert isinstance(last, Run)
    assert (first.count, first.raw, last.count) == (3, row * 3, 1)


def test_row_too_large_to_hold_passes_in_chunks_with_bounded_memory() -> None:
    large = message(b"D", b"x" * 100_000)
    reader = upstream_reader(max_body=100, stream_above=1000)
    stream = message(b"T", b"\0\0") + large + message(b"Z", b"I")
    items = []
    for at in range(0, len(stream), 700):
        reader.feed(stream[at : at + 700])
        items += take_all(reader)
        assert reader.buffered < 1000
    chunks = [item for item in items if isinstance(item, Chunk)]
    assert raw_of(items) == stream
    assert [chunk.starts for chunk in chunks] == [True] + [False] * (len(chunks) - 1)
    assert [chunk.ends for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


def test_chunks_never_join_a_run_of_the_same_kind() -> None:
    small, large = message(b"d", b"ab"), message(b"d", b"x" * 20)
    items = read(client_reader(max_body=100, stream_above=10), small + large + small, 1000)
    assert [type(item) for item in items] == [Run, Chunk, Run]
    assert [item.raw for item in items if not isinstance(item, Oversized)] == [small, large, small]


@pytest.mark.parametrize("step", [1, 3, 10_000])
def test_message_over_its_limit_is_announced_dropped_and_the_next_one_is_read(step: int) -> None:
    items = read(client_reader(max_body=50), message(b"Q", b"x" * 51) + message(b"S", b""), step)
    assert [type(item) for item in items] == [Oversized, Frame]
    over = items[0]
    assert isinstance(over, Oversized)
    assert (over.kind, over.size, over.limit) == (ord("Q"), 51, 50)


def test_oversized_message_is_announced_from_its_header_before_its_body_arrives() -> None:
    reader = client_reader(max_body=50)
    reader.feed(b"Q" + struct.pack("!I", MAX_LENGTH))
    assert isinstance(reader.next_item(), Oversized)
    reader.feed(b"x" * 10_000)
    assert reader.next_item() is None
    assert reader.buffered == 0


@pytest.mark.parametrize("length", [0, 1, 3, MAX_LENGTH + 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
@pytest.mark.parametrize("kind", [b"Q", b"d"])
def test_client_lies_about_a_length_after_a_good_message_T1(length: int, kind: bytes) -> None:
    reader = client_reader(max_body=100)
    reader.feed(message(b"S", b"") + kind + struct.pack("!I", length) + b"x" * 20)
    good = reader.next_item()
    assert isinstance(good, Frame)
    for _ in range(2):
        with pytest.raises(ClientProtocolError, match="length"):
            reader.next_item()


@pytest.mark.parametrize("length", [3, 0xFFFFFFFF])
def test_upstream_lies_about_a_row_within_a_run_T1(length: int) -> None:
    reader = upstream_reader(max_body=100)
    reader.feed(message(b"D", b"\0\0") * 2 + b"D" + struct.pack("!I", length) + b"x" * 20)
    run = reader.next_item()
    assert isinstance(run, Run)
    assert run.count == 2
    with pytest.raises(UpstreamProtocolError, match="length"):
        reader.next_item()


@pytest.mark.parametrize("kind", [b"\0", b"z", b"T", b"\xff"])
def test_client_sends_a_kind_that_no_client_has(kind: bytes) -> None:
    reader = client_reader(max_body=100)
    reader.feed(message(kind, b""))
    with pytest.raises(ClientProtocolError, match="unknown message kind"):
        reader.next_item()


def test_rest_is_handed_on_between_messages() -> None:
    reader = upstream_reader(max_body=100)
    reader.feed(message(b"Z", b"I") + b"N\0")
    reader.next_item()
    assert reader.next_item() is None
    reader.feed(b"\0")
    assert reader.take_rest() == b"N\0\0"
    assert reader.buffered == 0
    reader.feed(message(b"Z", b"I"))
    assert isinstance(reader.next_item(), Frame)


def test_stranger_is_refused_a_large_message_from_its_header_and_a_known_client_is_not_T1() -> None:
    password, query = message(b"p", b"x\0"), message(b"Q", b"SELECT 1\0")
    reader = FrameReader(authentication_limits(), from_client=True)
    reader.feed(password + query)
    assert [item.kind for item in (reader.next_item(),) if item] == [ord("p")]
    reader.use(client_limits(100))
    assert [item.kind for item in take_all(reader)] == [ord("Q")]
    reader.feed(query[:7])
    assert reader.next_item() is None
    reader.use(authentication_limits())
    with pytest.raises(ClientProtocolError, match="unknown message kind"):
        reader.next_item()


def test_limits_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="256"):
        FrameReader([1], from_client=True)


def test_small_kinds_have_postgres_own_limit() -> None:
    limits = client_limits(1 << 20)
    assert (limits[ord("E")], limits[ord("Q")], limits[ord("p")], limits[0]) == (10_000, 1 << 20, 65_535, -1)


def test_split_lists_whole_messages_and_stops_at_a_lie() -> None:
    stream = message(b"D", b"ab") + message(b"D", b"")
    assert split(stream + b"D\0\0\0\x05", 0) == [(68, 0, 7), (68, 7, 12)]
    assert split(stream + b"D\0\0\0\x03", 7) == [(68, 7, 12)]


def test_scan_stops_before_what_is_incomplete_other_or_too_large() -> None:
    row = message(b"D", b"ab")
    assert scan_run(row * 2 + row[:-1], 0, 68, 100) == (14, 2)
    assert scan_run(row + message(b"C", b""), 0, 68, 100) == (7, 1)
    assert scan_run(row + message(b"D", b"x" * 97), 0, 68, 100) == (7, 1)


messages = st.builds(message, st.sampled_from([b"Q", b"P", b"S", b"d", b"X"]), st.binary(max_size=40))


@given(st.lists(messages, max_size=12), st.data())
def test_any_split_gives_the_same_bytes_and_counts(stream: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(stream)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    reader = client_reader(max_body=40, stream_above=20)
    items = []
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        reader.feed(whole[start:end])
        if data.draw(st.booleans()):
            items += take_all(reader)
    items += take_all(reader)
    assert raw_of(items) == whole
    counted = sum(item.count if isinstance(item, Run) else not isinstance(item, Chunk) or item.ends for item in items)
    assert counted == len(stream)


@given(st.lists(st.binary(max_size=30), max_size=10))
def test_arbitrary_bytes_give_items_or_the_documented_error(pieces: list[bytes]) -> None:
    for reader in (client_reader(max_body=16, stream_above=8), upstream_reader(max_body=16, stream_above=8)):
        try:
            for piece in pieces:
                reader.feed(piece)
                take_all(reader)
                assert reader.buffered <= 21
        except ProtocolError as error:
            assert isinstance(error, ClientProtocolError | UpstreamProtocolError)  # noqa: PT017


def test_streamed_message_fed_twice_before_it_is_taken_loses_nothing() -> None:
    stream = message(b"d", b"x" * 50) + message(b"c", b"")
    reader = client_reader(max_body=100, stream_above=10)
    reader.feed(stream[:20])
    reader.feed(stream[20:])
    items = take_all(reader)
    assert [type(item) for item in items] == [Chunk, Chunk, Frame]
    assert raw_of(items) == stream


def test_items_say_in_logs_what_they_are_and_never_their_content() -> None:
    shown = [Run(68, b"secret", 2), Chunk(100, b"secret", starts=True, ends=False), Oversized(81, 9, 8)]
    assert [repr(item) for item in shown] == [
        "Run('D', 2 messages, 6 bytes)",
        "Chunk('d', 6 bytes, starts=True, ends=False)",
        "Oversized('Q', 9 bytes, limit=8)",
    ]


def test_a_clients_describe_is_a_message_of_its_own_and_no_row() -> None:
    reader = client_reader(max_body=1000)
    describe = b"D\0\0\0\x06P\0"
    reader.feed(describe * 2)
    for _ in range(2):
        item = reader.next_item()
        assert isinstance(item, Frame)
        assert item.raw == describe


def test_half_a_message_waits_for_its_sender_and_whole_ones_for_us() -> None:
    reader = client_reader(max_body=1000)
    message = b"Q" + struct.pack("!i", 504) + bytes(500)
    reader.feed(message[:400])
    assert reader.waiting == 400, "nobody has looked yet"
    assert reader.next_item() is None
    assert (reader.waiting, reader.buffered) == (0, 400)
    reader.feed(message[400:] + message)
    assert reader.waiting == 2 * len(message)
    reader.next_item()
    assert reader.waiting == len(message)
