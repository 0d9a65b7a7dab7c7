"""The worker's end: one send or nothing, in order, and no action without room."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from interlock.audit.client import RecorderClient
from interlock.audit.framing import Decoded, Notice, Refusal, decode_frames, encode_notice, stored_frames
from interlock.audit.payload import PayloadKind, decode_payload, route
from interlock.core.errors import AuditUnavailable
from tests.audit.harness import Channel, intents

ROUTE = route("s-1", "s-1.1", PayloadKind.RESPONSE)
T = TypeVar("T")


class Peer:
    """The recorder's end, read by the test."""

    def __init__(self, channel: Channel) -> None:
        self.sock = channel.theirs
        self.sock.setblocking(False)
        self.data = b""

    def read(self) -> None:
        while True:
            try:
                more = self.sock.recv(1 << 20)
            except BlockingIOError:
                return
            if not more:
                return
            self.data += more

    def decoded(self) -> Decoded:
        self.read()
        found = decode_frames(memoryview(self.data), 0)
        assert not found.wrong
        assert found.used == len(self.data)
        return found

    def leaves(self) -> list[bytes]:
        return [bytes(view[2:]) for view in self.decoded().entries]

    def responses(self) -> bytes:
        found = self.decoded().groups
        return b"".join(
            decode_payload(data).content for view in found[b"s-1"].stored for _, data in stored_frames(view)
        )


def with_client(
    test: Callable[[RecorderClient, Peer], Awaitable[T]], *, buffer_bytes: int = 65_536, timeout_seconds: float = 5.0
) -> T:
    """Run a test on a loop, with a client whose recorder is played by the test."""
    channel = Channel(buffer_bytes=buffer_bytes, timeout_seconds=timeout_seconds)

    async def run() -> T:
        loop = asyncio.get_running_loop()
        channel.client.attach(loop)
        try:
            return await test(channel.client, Peer(channel))
        finally:
            loop.remove_reader(channel.ours.fileno())
            loop.remove_writer(channel.ours.fileno())

    try:
        return asyncio.run(run())
    finally:
        channel.close()


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until something is so; the test's own time limit is the bound."""
    while not condition():  # noqa: ASYNC110 - there is no event to wait for: it is the loop that must turn
        await asyncio.sleep(0)


def test_full_buffer_takes_nothing_and_what_was_taken_is_whole_and_in_order_P1() -> None:
    async def test(client: RecorderClient, peer: Peer) -> None:
        taken = []
        for entry, payload in intents("s-1", 500):
            if client.record(entry, payload) is None:
                break
            taken.append(entry)
        assert 0 < len(taken) < 500
        assert peer.leaves() == taken

    with_client(test)


def test_entry_that_had_no_room_waits_its_turn_and_nothing_overtakes_it_P1() -> None:
    async def test(client: RecorderClient, peer: Peer) -> None:
        sealed = intents("s-1", 500)
        number = 0
        while client.record(*sealed[number]) is not None:
            number += 1
        client.post(*sealed[number])
        assert client.record(*sealed[number + 1]) is None
        assert client.response(ROUTE, b"x") is False
        client.post(*sealed[number + 1])
        peer.read()
        await client.room()
        assert client.record(*sealed[number + 2]) is not None
        assert peer.leaves() == [leaf for leaf, _ in sealed[: number + 3]]

    with_client(test)


def test_durable_record_returns_when_the_recorder_says_so_and_not_before_P1() -> None:
    async def test(client: RecorderClient, peer: Peer) -> None:
        first, second = intents("s-1", 2)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(client.record_durable(*sealed)) for sealed in (first, second)]
            await until(lambda: len(peer.leaves()) == 2)
            assert peer.decoded().urgent
            peer.sock.send(encode_notice(Notice.DURABLE, 1)[:7])
            await asyncio.sleep(0)
            assert not tasks[0].done()
            peer.sock.send(encode_notice(Notice.DURABLE, 1)[7:])
            await until(tasks[0].done)
            assert not tasks[1].done()
            peer.sock.send(encode_notice(Notice.DURABLE, 2))
        assert [task.result() for task in tasks] == [1, 2]
        assert client.durable_seq == 2

    with_client(test)


def test_silent_recorder_is_unavailable_after_the_limit_P1() -> None:
    async def test(client: RecorderClient, peer: Peer) -> None:
        sealed = intents("s-1", 500)
        with pytest.raises(AuditUnavailable):
            await client.record_durable(*sealed[0])
        number = 1
        while client.record(*sealed[number]) is not None:
            number += 1
        with pytest.raises(AuditUnavailable):
            await client.room()
        with pytest.raises(AuditUnavailable):
            await client.record_durable(*sealed[number])
        with pytest.raises(AuditUnavailable):
            await client.sync()
        assert peer.leaves() == [leaf for leaf, _ in sealed[:number]]

    with_client(test, timeout_seconds=0.02)


@pytest.mark.parametrize("code", [Refusal.DISK_FULL, Refusal.DISK_ERROR, 77])
def test_refusal_stops_everything_new_and_the_lost_are_named_when_it_ends_T22_P1(code: int) -> None:
    async def test(client: RecorderClient, peer: Peer) -> None:
        first, second, third = intents("s-1", 3)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(record_or_fail(client, first))
            await until(lambda: len(peer.leaves()) == 1)
            peer.sock.send(encode_notice(Notice.REFUSED, 0, code))
        assert waiting.result() is False
        assert not client.available
        assert client.record(*second) is None
        assert client.response(ROUTE, b"x") is False
        assert await record_or_fail(client, second) is False
        with pytest.raises(AuditUnavailable):
            await client.room()
        with pytest.raises(AuditUnavailable):
            await client.sync()
        peer.sock.send(encode_notice(Notice.RESUMED, 0))
        await until(lambda: client.available)
        assert client.record(*third) is not None
        found = peer.leaves()
        assert found[0] == first[0]
        assert b'"type":"gap"' in found[1]
        assert found[2:] == [third[0]]

    with_client(test)


async def record_or_fail(client: RecorderClient, sealed: tuple[bytes, bytes | None]) -> bool:
    try:
        await client.record_durable(*sealed)
    except AuditUnavailable:
        return False
    return True


def test_recorder_that_hangs_up_or_talks_nonsense_is_refused_P1() -> None:
    async def hang_up(client: RecorderClient, peer: Peer) -> None:
        peer.sock.close()
        await until(lambda: not client.available)
        assert client.record(*intents("s-1", 1)[0]) is None

    async def nonsense(client: RecorderClient, peer: Peer) -> None:
        peer.sock.send(b"n" * 16)
        await until(lambda: not client.available)

    with_client(hang_up)
    with_client(nonsense)


@pytest.mark.parametrize("size", [1, 32_000, 40_000, 200_000, 3_000_000])
def test_response_of_any_size_is_recorded_once_and_released_only_when_it_is_all_recorded_P1(size: int) -> None:
    async def test(client: RecorderClient, peer: Peer) -> None:
        sent = b""
        asyncio.get_running_loop().add_reader(peer.sock, peer.read)
        for _ in range(6):
            data = os.urandom(size)
            sent += data
            while not client.response(ROUTE, data):
                await client.room()
        asyncio.get_running_loop().remove_reader(peer.sock)
        assert peer.responses() == sent

    with_client(test)


def test_large_request_is_recorded_whole_before_its_entry_P1() -> None:
    async def test(client: RecorderClient, peer: Peer) -> None:
        (sealed,) = intents("s-1", 1, os.urandom(1_000_000).hex().encode())
        entry, payload = sealed
        assert payload is not None
        assert client.record(entry, payload) is None
        client.post(entry, payload)
        while not decode_frames(memoryview(peer.data), 0).entries:
            peer.read()
            await asyncio.sleep(0)
        assert peer.leaves() == [entry]
        assert peer.responses() == decode_payload(payload).content

    with_client(test)


def test_closing_waits_until_all_is_on_disk() -> None:
    async def test(client: RecorderClient, peer: Peer) -> None:
        (sealed,) = intents("s-1", 1)
        client.post(*sealed)
        async with asyncio.TaskGroup() as group:
            closing = group.create_task(client.sync())
            await until(lambda: peer.decoded().last_seq == 2)
            assert not closing.done()
            peer.sock.send(encode_notice(Notice.DURABLE, 2))
        assert closing.result() == 2

    with_client(test)
