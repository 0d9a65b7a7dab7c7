"""The recorder's files together: found again, rotated by age, refused without their key."""

import os
from pathlib import Path

import pytest

from interlock.audit.disk import Disk
from interlock.audit.framing import Group, encode_frame
from interlock.audit.keys import KeyFileError
from interlock.audit.payload import PayloadKind, route
from interlock.audit.segment import scan
from interlock.audit.store import Limits, Store


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000_000_000

    def __call__(self) -> int:
        return self.now


def open_store(directory: Path, clock: Clock, **limits: int) -> Store:
    store = Store(
        directory, disk=Disk(), random=os.urandom, now_us=clock, limits=Limits(**{"reserve_bytes": 4096, **limits})
    )
    store.lock()
    store.recover()
    store.begin({5: 3})
    return store


def put(store: Store, number: int) -> None:
    stored = memoryview(encode_frame(number, b"", route("s-1", "a", PayloadKind.RESPONSE) + b"x" * 50, 0))
    store.append(5, number, [b"\0\1e"], {b"s-1": Group(number, number, [stored])})
    store.commit()


def test_next_file_tells_of_the_one_before_it(tmp_path: Path) -> None:
    clock = Clock()
    store = open_store(tmp_path, clock)
    put(store, 4)
    store.renew({5: 4})
    put(store, 5)
    store.close()
    first, second = (scan(tmp_path / "log" / f"0000000{number}.seg") for number in (1, 2))
    assert second.header is not None
    assert (second.header.previous, second.header.previous_bytes) == (first.digest, first.end)
    assert (second.header.first, second.header.channels) == (1, {f"{5:016x}": 4})
    assert second.channels == {5: 5}


def test_files_rotate_and_are_pruned_by_age(tmp_path: Path) -> None:
    clock = Clock()
    store = open_store(tmp_path, clock, segment_seconds=100, recording_seconds=50, retain_seconds=1)
    put(store, 4)
    clock.now += 60 * 1_000_000
    store.rotate_if_due({5: 4})
    put(store, 5)
    clock.now += 60 * 1_000_000
    store.rotate_if_due({5: 5})
    put(store, 6)
    assert len(list((tmp_path / "log").glob("*.seg"))) == 2
    assert store.prunable() == []
    clock.now = 4_000_000_000_000_000
    assert [number for number, _ in store.prunable()] == [1, 2]
    store.prune(1)
    assert [number for number, _ in store.prunable()] == [2]
    assert not (tmp_path / "keys" / "00000001.keys").exists()
    store.close()


def test_log_with_recordings_but_without_their_key_does_not_start(tmp_path: Path) -> None:
    store = open_store(tmp_path, Clock())
    put(store, 4)
    store.close()
    (tmp_path / "keys" / "recordings.kek").unlink()
    with pytest.raises(KeyFileError):
        open_store(tmp_path, Clock())


def test_writing_before_a_file_is_begun_is_a_disk_error(tmp_path: Path) -> None:
    store = Store(tmp_path, disk=Disk(), random=os.urandom, now_us=Clock(), limits=Limits())
    assert not store.is_open
    with pytest.raises(OSError, match="no log file"):
        store.append(1, 1, [], {})
    store.close()


def test_reserve_is_made_once_and_released(tmp_path: Path) -> None:
    store = open_store(tmp_path, Clock())
    store.make_reserve()
    store.make_reserve()
    assert (tmp_path / "log" / "reserve").stat().st_size == 4096
    store.release_reserve()
    assert not (tmp_path / "log" / "reserve").exists()
    store.close()
