"""Recordings on disk: one key a session and file, and no nonce twice under it, whatever fails."""

import os
from pathlib import Path

from interlock.audit.disk import Disk
from interlock.audit.framing import Group, encode_frame
from interlock.audit.keys import KEY_BYTES, KeyWriter
from interlock.audit.payload import PayloadKind, route
from interlock.audit.recording import FILE_MAGIC, HEAD, HEAD_REST, RecordingWriter
from interlock.audit.segment import decode_header


def group(seq: int, content: bytes) -> Group:
    return Group(seq, seq, [memoryview(encode_frame(seq, b"", route("s-1", "a", PayloadKind.RESPONSE) + content, 0))])


def heads(path: Path) -> list[tuple[int, bytes]]:
    data = path.read_bytes()
    header = decode_header(FILE_MAGIC, memoryview(data))
    assert header is not None
    at, found = header[1], []
    while at < len(data):
        fields = HEAD_REST.unpack_from(data, at + HEAD.size)
        found.append((fields[3], fields[8]))
        at += HEAD.size + HEAD_REST.size + fields[0]
    return found


def test_index_goes_on_after_a_rollback_so_no_nonce_comes_back_P8(tmp_path: Path) -> None:
    disk, kek = Disk(), os.urandom(KEY_BYTES)
    keys = KeyWriter(disk, tmp_path / "1.keys", kek, number=1, random=os.urandom)
    writer = RecordingWriter(disk, tmp_path / "1.rec", keys, number=1, at=1)
    writer.append(1, b"s-1", group(1, b"one"), 1)
    writer.sync()
    writer.append(1, b"s-1", group(2, b"never"), 1)
    writer.rollback()
    writer.append(1, b"s-1", group(2, b"two"), 1)
    writer.append(1, b"s-2", group(3, b"other"), 1)
    writer.sync()
    writer.close()
    found = heads(tmp_path / "1.rec")
    assert [index for index, _ in found] == [1, 3, 4]
    assert found[0][1] == found[1][1] != found[2][1]


def test_plain_text_is_not_on_disk_and_equal_text_looks_different_P5(tmp_path: Path) -> None:
    disk, kek = Disk(), os.urandom(KEY_BYTES)
    keys = KeyWriter(disk, tmp_path / "1.keys", kek, number=1, random=os.urandom)
    writer = RecordingWriter(disk, tmp_path / "1.rec", keys, number=1, at=1)
    for seq in (1, 2):
        writer.append(1, b"s-1", group(seq, b"the same secret row"), 1)
    writer.sync()
    writer.close()
    data = (tmp_path / "1.rec").read_bytes()
    assert b"secret" not in data
    assert b"s-1" not in data
    assert len(heads(tmp_path / "1.rec")) == 2
