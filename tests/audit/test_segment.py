"""The log's files: any prefix reads back to a prefix, a flipped byte is found."""

import hashlib
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.audit.disk import Disk
from interlock.audit.segment import SegmentHeader, SegmentWriter, batches, numbered, scan, segment_header, split_entries

BATCHES = st.lists(st.tuples(st.integers(0, 2**64 - 1), st.lists(st.binary(max_size=60), max_size=5)), max_size=6)


def written(folder: Path, content: list[tuple[int, list[bytes]]]) -> tuple[SegmentWriter, Path]:
    path = folder / "00000001.seg"
    header = SegmentHeader(at=1, first=7, number=1, previous="", previous_bytes=0, channels={"00000000000000ff": 3})
    writer = SegmentWriter(Disk(), path, header)
    for number, (channel, leaves) in enumerate(content):
        writer.append(channel, number + 1, [struct.pack(">H", len(leaf)) + leaf for leaf in leaves])
    writer.sync()
    writer.close()
    return writer, path


def read(data: bytes) -> list[list[bytes]]:
    found = segment_header(memoryview(data))
    return [] if found is None else [batch.entries for batch in batches(memoryview(data), found[1], len(data))]


@given(BATCHES, st.data())
def test_any_prefix_reads_back_to_a_prefix_and_a_flipped_byte_is_found_P8(
    content: list[tuple[int, list[bytes]]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        writer, path = written(Path(folder), content)
        whole = path.read_bytes()
        expected = [leaves for _, leaves in content]
        assert read(whole) == expected
        assert hashlib.sha256(whole).hexdigest() == writer.digest
        cut = whole[: data.draw(st.integers(0, len(whole)))]
        assert read(cut) == expected[: len(read(cut))]
        at = data.draw(st.integers(0, len(whole) - 1))
        flipped = whole[:at] + bytes((whole[at] ^ 1 << data.draw(st.integers(0, 7)),)) + whole[at + 1 :]
        assert read(flipped) == expected[: len(read(flipped))]
        assert len(read(flipped)) < len(expected) or segment_header(memoryview(flipped)) is None


def test_scan_says_where_a_torn_file_is_good_and_what_each_channel_has(tmp_path: Path) -> None:
    writer, path = written(tmp_path, [(1, [b"a"]), (2, [b"b", b"c"]), (1, [])])
    with path.open("ab") as file:
        file.write(b"IlkB torn")
    found = scan(path)
    assert (found.end, found.torn, found.entries) == (writer.committed, 9, 3)
    assert found.channels == {0xFF: 3, 1: 3, 2: 2}
    assert found.digest == writer.digest


def test_what_is_not_synced_can_be_rolled_back(tmp_path: Path) -> None:
    path = tmp_path / "00000001.seg"
    writer = SegmentWriter(Disk(), path, SegmentHeader(at=1, first=0, number=1, previous="", previous_bytes=0))
    writer.append(1, 1, [b"\0\1a"])
    writer.sync()
    writer.append(1, 2, [b"\0\1b"])
    writer.rollback()
    writer.append(1, 2, [b"\0\1c"])
    writer.sync()
    assert read(path.read_bytes()) == [[b"a"], [b"c"]]
    assert (writer.entries, writer.digest) == (2, hashlib.sha256(path.read_bytes()).hexdigest())
    writer.close()


def test_file_that_exists_is_never_written_to(tmp_path: Path) -> None:
    writer, path = written(tmp_path, [])
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        SegmentWriter(Disk(), path, writer.header)
    assert path.read_bytes() == before


@given(st.binary(max_size=100))
def test_body_is_split_exactly_or_not_at_all(body: bytes) -> None:
    found = split_entries(memoryview(body))
    if found is not None:
        assert b"".join(struct.pack(">H", len(leaf)) + leaf for leaf in found) == body


def test_only_numbered_files_count(tmp_path: Path) -> None:
    for name in ("00000010.seg", "00000002.seg", "x.seg", "00000001.seg.torn-5", "lock"):
        (tmp_path / name).touch()
    assert [number for number, _ in numbered(tmp_path, ".seg")] == [2, 10]
    assert numbered(tmp_path / "none", ".seg") == []
