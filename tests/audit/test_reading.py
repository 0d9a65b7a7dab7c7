"""Reading back: followed, filtered, shown safely; damage is found and said."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.audit.entry import Entry, fit_object
from interlock.audit.framing import encode_frame
from interlock.audit.payload import PayloadKind, route
from interlock.audit.reading import (
    LogDamaged,
    Logged,
    LogReader,
    RecordingReader,
    as_json,
    describe,
    session_entries,
)
from interlock.audit.store import Limits
from tests.audit.harness import Channel, drain, entries, intents, leaves_of, start_recorder


@pytest.fixture
def channel() -> Iterator[Channel]:
    made = Channel()
    yield made
    made.close()


def write(directory: Path, channel: Channel, count: int = 40) -> list[bytes]:
    limits = Limits(segment_bytes=6000, recording_bytes=100_000, reserve_bytes=4096)
    recorder = start_recorder(directory, [channel], limits=limits)
    sealed = intents("s-1", count)
    for entry, payload in sealed:
        assert channel.client.record(entry, payload)
        recorder.round()
    recorder.stop("closing")
    return [leaf for leaf, _ in sealed]


def test_follower_sees_each_entry_once_across_files(tmp_path: Path, channel: Channel) -> None:
    limits = Limits(segment_bytes=3000, reserve_bytes=4096)
    recorder = start_recorder(tmp_path, [channel], limits=limits)
    follower = LogReader(tmp_path)
    seen: list[Logged] = []
    for number, (entry, payload) in enumerate(intents("s-1", 30)):
        assert channel.client.record(entry, payload)
        recorder.round()
        if number % 3 == 0:
            seen += follower.entries()
    recorder.stop("closing")
    seen += follower.entries()
    assert seen == entries(tmp_path)
    assert [logged.index for logged in seen] == list(range(32))
    assert list(follower.entries()) == []


def test_reading_starts_anywhere(tmp_path: Path, channel: Channel) -> None:
    write(tmp_path, channel)
    whole = entries(tmp_path)
    for start in (0, 1, 17, len(whole) - 1, len(whole)):
        assert list(LogReader(tmp_path, start=start).entries()) == whole[start:]
    assert list(LogReader(tmp_path / "none").entries()) == []


def test_session_is_found(tmp_path: Path, channel: Channel) -> None:
    leaves = write(tmp_path, channel)
    assert [logged.data for logged in session_entries(tmp_path, "s-1")] == leaves
    assert list(session_entries(tmp_path, "s-2")) == []
    assert list(RecordingReader(tmp_path).session("s-2")) == []


@pytest.mark.parametrize("harm", ["flip", "shorten", "header", "missing"])
def test_damage_before_the_end_is_found_P8(tmp_path: Path, channel: Channel, harm: str) -> None:
    leaves = write(tmp_path, channel)
    path = tmp_path / "log" / "00000002.seg"
    data = bytearray(path.read_bytes())
    if harm == "missing":
        path.unlink()
    else:
        if harm == "flip":
            data[-40] ^= 1
        elif harm == "header":
            data[20] ^= 1
        else:
            del data[-1:]
        path.write_bytes(bytes(data))
    with pytest.raises(LogDamaged):
        leaves_of(tmp_path, "intent")
    assert leaves


def test_flipped_bit_of_a_recording_is_found_wherever_it_is_P8(tmp_path: Path, channel: Channel) -> None:
    write(tmp_path, channel, 3)
    path = tmp_path / "recordings" / "00000001.rec"
    whole = path.read_bytes()
    reader = RecordingReader(tmp_path)
    good = list(reader.session("s-1"))
    assert len(good) == 3
    for at in range(60, len(whole), 7):
        path.write_bytes(whole[:at] + bytes((whole[at] ^ 4,)) + whole[at + 1 :])
        with pytest.raises(LogDamaged):
            list(reader.session("s-1"))


def test_recording_with_a_torn_end_reads_back_to_a_prefix(tmp_path: Path, channel: Channel) -> None:
    write(tmp_path, channel, 3)
    path = tmp_path / "recordings" / "00000001.rec"
    whole = path.read_bytes()
    good = list(RecordingReader(tmp_path).session("s-1"))
    for size in range(0, len(whole), 5):
        path.write_bytes(whole[:size])
        found = list(RecordingReader(tmp_path).session("s-1"))
        assert found == good[: len(found)]


def test_session_without_its_keys_reads_as_nothing(tmp_path: Path, channel: Channel) -> None:
    write(tmp_path, channel, 3)
    (tmp_path / "keys" / "00000001.keys").unlink()
    assert list(RecordingReader(tmp_path).session("s-1")) == []


def test_line_for_a_terminal_escapes_what_a_client_put_in() -> None:
    entry = Entry(
        type="intent",
        v=1,
        at=1_700_000_000_000_000,
        decision="allow",
        action="s-1.1",
        kind="postgres.select",
        leaves=("read/postgres.select",),
        reason="\x1b[2Jgone\u202e and back\n",
        rows=3,
        who=fit_object(
            {
                "id": "iss|sub",
                "model": {"attested": False, "name": "reviewer", "vendor": "acme", "version": "4"},
                "person": "alice",
            },
            640,
        ),
        on=fit_object({"resource": "shop"}, 100),
    )
    line = describe(Logged(0, b"{}", entry))
    assert line == (
        '2023-11-14T22:13:20.000Z intent allow "iss|sub (acme reviewer 4, claimed) for alice" on=shop action=s-1.1'
        " kind=postgres.select leaves=read/postgres.select rows=3"
        ' reason="\\x1b[2Jgone\\u202e and back\\n"'
    )


def test_entry_as_plain_data_has_its_index(tmp_path: Path, channel: Channel) -> None:
    write(tmp_path, channel, 1)
    assert [as_json(logged)["index"] for logged in entries(tmp_path)] == [0, 1, 2]


def test_compressed_recording_is_read_back(tmp_path: Path, channel: Channel) -> None:
    recorder = start_recorder(tmp_path, [channel])
    rows = b"the same row again and again\n" * 2000
    salt = os.urandom(300)
    for piece in (rows, salt):
        channel.ours.send(
            encode_frame(channel.client._seq + 1, b"", route("s-1", "s-1.1", PayloadKind.RESPONSE) + piece, 0)
        )
        channel.client._seq += 1
    drain(recorder)
    recorder.stop("closing")
    assert b"".join(RecordingReader(tmp_path).responses("s-1", "s-1.1")) == rows + salt
    assert (tmp_path / "recordings" / "00000001.rec").stat().st_size < 2000
