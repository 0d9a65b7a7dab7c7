"""Exact reads of a raw socket (T1)."""

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any

import pytest
import uvloop

from interlock.transport.raw import PeerClosed, accept, close_politely, connect, peek, read_exactly, send_all


def run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(work, 10))


def pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return ours, theirs


def test_exactly_the_wanted_bytes_leave_the_kernel_T1() -> None:
    ours, theirs = pair()

    async def work() -> None:
        theirs.sendall(b"abcdefgh")
        assert await peek(ours) == ord("a")
        assert await read_exactly(ours, 3) == b"abc"

    with ours, theirs:
        run(work())
        assert ours.recv(100) == b"defgh"


def test_bytes_that_come_one_by_one_are_put_together_T30() -> None:
    ours, theirs = pair()

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(read_exactly(ours, 4))
            for byte in b"abcd":
                await asyncio.sleep(0)
                theirs.sendall(bytes([byte]))
        assert reading.result() == b"abcd"

    with ours, theirs:
        run(work())


def test_hang_up_in_the_middle_is_an_error() -> None:
    ours, theirs = pair()

    async def work() -> None:
        theirs.sendall(b"ab")
        theirs.close()
        with pytest.raises(PeerClosed):
            await read_exactly(ours, 3)
        with pytest.raises(PeerClosed):
            await peek(ours)

    with ours:
        run(work())


def test_cancelled_wait_leaves_the_socket_free_to_be_closed() -> None:
    ours, theirs = pair()

    async def work() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await peek(ours)
        ours.close()

    with theirs:
        run(work())


def test_more_bytes_than_the_kernel_takes_at_once_are_all_sent() -> None:
    ours, theirs = pair()
    data = b"x" * 1_000_000

    async def work() -> None:
        theirs.setblocking(False)
        async with asyncio.TaskGroup() as group:
            _ = group.create_task(send_all(ours, data))
            received = group.create_task(read_exactly(theirs, len(data)))
        assert received.result() == data

    with ours, theirs:
        run(work())


def test_connect_and_accept_meet_and_a_closed_port_is_an_error() -> None:
    async def work() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
            server.setblocking(False)
            client.setblocking(False)
            async with asyncio.TaskGroup() as group:
                accepted = group.create_task(accept(server))
                await connect(client, server.getsockname())
            sock, address = accepted.result()
            assert address == client.getsockname()
            close_politely(sock)
            gone = server.getsockname()
        with socket.socket() as client:
            client.setblocking(False)
            with pytest.raises(ConnectionRefusedError):
                await connect(client, gone)

    run(work())
