"""The bus between supervisor and workers."""

import asyncio
import socket
import struct
from collections.abc import Coroutine
from typing import Any

import pytest

from interlock.app.bus import MAX_FRAME_BYTES, BusBroken, Cancel, Drain, Link, Message, Prepare, Snapshot


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 10))


def test_messages_arrive_whole_and_in_order() -> None:
    messages: list[Message] = [
        Cancel(3, 7, b"\0secret\xff"),
        Prepare(1, Snapshot(2, "/etc/x.toml", "x" * 300_000, {"a.cedar": "permit"})),
        Drain(1.5),
    ]

    async def work() -> None:
        ours, theirs = socket.socketpair()
        one, two = await Link.open(ours), await Link.open(theirs)
        for message in messages:
            one.send(message)
        assert [await two.receive() for _ in messages] == messages
        one.close()
        with pytest.raises(BusBroken):
            await two.receive()
        two.close()

    run(work())


@pytest.mark.parametrize(
    "data", [struct.pack("!I", MAX_FRAME_BYTES + 1), struct.pack("!I", 3) + b"\xc1\xc1\xc1", b"\0\0", b"\0\0\0\5\x80"]
)
def test_frame_that_cannot_be_read_ends_the_link(data: bytes) -> None:
    async def work() -> None:
        ours, theirs = socket.socketpair()
        link = await Link.open(ours)
        theirs.sendall(data)
        theirs.close()
        with pytest.raises(BusBroken):
            await link.receive()
        link.close()

    run(work())
