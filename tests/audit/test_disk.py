"""What the recorder does to a real file system; a small one is filled to the brim."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.audit.disk import Disk
from interlock.audit.recorder import Recorder
from tests.audit.harness import Channel, drain, entries, intents, leaves_of, start_recorder


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB, where this user may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], check=False, capture_output=True)
    if made.returncode:
        pytest.skip("this user can't mount a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


def is_refusing(recorder: Recorder) -> bool:
    return recorder.refusing


def test_really_full_disk_refuses_then_resumes_and_loses_nothing_T22_P1(small: Path) -> None:
    channel = Channel()
    recorder = start_recorder(small / "data", [channel])
    recorded = []
    for entry, payload in intents("s-1", 4000, os.urandom(600).hex().encode()):
        if channel.client.record(entry, payload) is None:
            break
        recorded.append(entry)
        recorder.round()
        if recorder.refusing:
            channel.client._on_readable()
    assert is_refusing(recorder)
    assert len(recorded) < 4000
    recorder._try_to_resume()
    assert is_refusing(recorder)
    subprocess.run(["mount", "-o", "remount,size=8m", small], check=True)
    recorder._try_to_resume()
    assert not is_refusing(recorder)
    drain(recorder)
    recorder.stop("closing")
    assert leaves_of(small / "data", "intent") == recorded
    codes = [logged.entry.code for logged in entries(small / "data") if logged.entry.type == "gap"]
    assert codes == ["disk_full", "resumed"]
    channel.close()


def test_reserve_that_does_not_fit_leaves_nothing(small: Path) -> None:
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        Disk().reserve(small / "reserve", 4 << 20)
    assert not (small / "reserve").exists()
    Disk().reserve(small / "reserve", 65_536)
    assert (small / "reserve").stat().st_blocks * 512 >= 65_536


def test_created_file_is_private_new_and_appended_to(tmp_path: Path) -> None:
    disk, path = Disk(), tmp_path / "file"
    fd = disk.create(path)
    disk.write(fd, b"abc")
    disk.truncate(fd, 1)
    disk.write(fd, b"d")
    disk.sync(fd)
    disk.close(fd)
    disk.close(fd)
    assert path.read_bytes() == b"ad"
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        disk.create(path)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(OSError, match="Too many levels"):
        disk.open(tmp_path / "link")
    disk.rename(path, tmp_path / "other")
    disk.remove(path)
    disk.remove(tmp_path / "other")
    disk.sync_directory(tmp_path)


def test_directory_that_others_can_enter_is_closed_to_them(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    Disk().make_directory(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
