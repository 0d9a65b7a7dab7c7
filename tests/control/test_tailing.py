import asyncio
import json
import os
import struct
from pathlib import Path

import pytest

from interlock.audit.disk import Disk
from interlock.audit.entry import Entry, encode
from interlock.audit.store import LOG, Limits, Store
from interlock.control import ControlError, LogTail


def log_of(folder: Path) -> Store:
    limits = Limits(reserve_bytes=65_536, segment_bytes=600)
    store = Store(folder, disk=Disk(), random=os.urandom, now_us=lambda: 1_700_000_000_000_000, limits=limits)
    store.lock()
    store.recover()
    store.begin({})
    return store


def write(store: Store, first: int, count: int) -> None:
    for number in range(first, first + count):
        data = encode(Entry(v=1, type="heartbeat", seq=number))
        store.append(1, number, [struct.pack(">H", len(data)) + data], {})
        store.commit()
        store.rotate_if_due({})


def tail(folder: Path, lines: int) -> list[int]:
    async def read() -> list[int]:
        return [json.loads(data)["seq"] async for data in LogTail(folder).tail(lines=lines, follow=False)]

    return asyncio.run(read())


def test_last_entries_come_in_order_over_several_files(tmp_path: Path) -> None:
    assert tail(tmp_path, 5) == []
    write(log_of(tmp_path), 1, 40)
    assert len(list((tmp_path / LOG).glob("*.seg"))) > 3
    assert tail(tmp_path, 3) == [38, 39, 40]
    assert tail(tmp_path, 1000) == list(range(1, 41))


def test_follower_gets_what_is_written_later(tmp_path: Path) -> None:
    store = log_of(tmp_path)
    write(store, 1, 2)

    async def follow() -> list[int]:
        seen: list[int] = []
        async for data in LogTail(tmp_path, poll_seconds=0.001).tail(lines=1, follow=True):
            seen.append(json.loads(data)["seq"])
            if len(seen) == 4:
                break
            write(store, seen[-1] + 1, 1)
        return seen

    assert asyncio.run(follow()) == [2, 3, 4, 5]


def test_damaged_log_is_said_to_be(tmp_path: Path) -> None:
    write(log_of(tmp_path), 1, 40)
    _, second, *_ = sorted((tmp_path / LOG).glob("*.seg"))
    second.write_bytes(second.read_bytes()[:-9] + b"\0" * 9)
    with pytest.raises(ControlError) as caught:
        tail(tmp_path, 1000)
    assert caught.value.reply_code == "log_damaged"
