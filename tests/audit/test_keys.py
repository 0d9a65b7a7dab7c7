"""Keys of recordings: wrapped, bound to their place, and useless to anyone else."""

import os
from pathlib import Path

import pytest

from interlock.audit.disk import Disk
from interlock.audit.keys import KEY_BYTES, KeyFileError, KeyWriter, key_id, load_kek, make_kek, read_keys


def test_keys_are_read_back_and_a_session_has_one_a_file(tmp_path: Path) -> None:
    kek = os.urandom(KEY_BYTES)
    writer = KeyWriter(Disk(), tmp_path / "1.keys", kek, number=1, random=os.urandom)
    names = [writer.key(session)[0] for session in (b"s-1", b"s-2", b"s-1")]
    writer.sync()
    found = read_keys(tmp_path / "1.keys", kek, number=1)
    assert names[0] == names[2] != names[1]
    assert {name: session for name, (session, _) in found.items()} == {names[0]: "s-1", names[1]: "s-2"}
    assert all(key_id(key) == name for name, (_, key) in found.items())
    assert all(key not in (tmp_path / "1.keys").read_bytes() for _, key in found.values())
    writer.close()


def test_key_file_is_refused_with_another_key_number_or_session_P8(tmp_path: Path) -> None:
    path, kek = tmp_path / "1.keys", os.urandom(KEY_BYTES)
    writer = KeyWriter(Disk(), path, kek, number=1, random=os.urandom)
    writer.key(b"s-1")
    writer.sync()
    writer.close()
    for wrong_kek, number in ((os.urandom(KEY_BYTES), 1), (kek, 2)):
        with pytest.raises(KeyFileError, match="doesn't open"):
            read_keys(path, wrong_kek, number=number)
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    assert read_keys(path, kek, number=1) == {}
    path.write_bytes(data.replace(b"s-1", b"s-2"))
    assert read_keys(path, kek, number=1) == {}


def test_key_that_was_rolled_back_is_made_anew(tmp_path: Path) -> None:
    kek = os.urandom(KEY_BYTES)
    writer = KeyWriter(Disk(), tmp_path / "1.keys", kek, number=1, random=os.urandom)
    first, _ = writer.key(b"s-1")
    writer.rollback()
    second, _ = writer.key(b"s-1")
    writer.sync()
    assert first != second
    assert list(read_keys(tmp_path / "1.keys", kek, number=1)) == [second]
    writer.close()


def test_key_encryption_key_is_made_private_and_refused_when_others_can_read_it_P5(tmp_path: Path) -> None:
    path = tmp_path / "recordings.kek"
    kek = make_kek(path, os.urandom, Disk())
    assert load_kek(path) == kek
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(KeyFileError, match="others than its owner"):
        load_kek(path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(KeyFileError, match="not a key"):
        load_kek(path)
    with pytest.raises(KeyFileError, match="No such file"):
        load_kek(tmp_path / "none")
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(KeyFileError):
        load_kek(link)
