"""The accept loop and its limits before anybody is known (T30, bypass 11)."""

import asyncio
import dataclasses
import errno
import socket
from collections.abc import Coroutine
from typing import Any

import pytest
import uvloop

from interlock.config.model import LimitsConfig
from interlock.transport.listener import bind
from interlock.transport.raw import accept


def run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(work, 30))


def test_silent_clients_do_not_stall_the_listener_T30(gateway: Any) -> None:
    async def work() -> None:
        async with gateway() as g:
            for _ in range(20):
                await g.client("")
            client = await g.client()
            assert (await client.line()).startswith("ready")

    run(work())


def test_silent_client_is_dropped_at_the_deadline_T30(gateway: Any) -> None:
    async def work() -> None:
        async with gateway(dataclasses.replace(LimitsConfig(), handshake_seconds=1)) as g:
            silent, half = await g.client(""), await g.client("")
            half.writer.write(b"log")
            assert await silent.rest() == ""
            assert await half.rest() == "fatal handshake_timeout\n"
            await g.until(lambda: not g.listener.connections)

    run(work())


def test_one_source_cannot_take_every_place_of_the_unknown_T30(gateway: Any) -> None:
    async def work() -> None:
        async with gateway(dataclasses.replace(LimitsConfig(), handshakes=8)) as g:
            for _ in range(2):
                await g.client("")
            refused = await g.client("")
            assert await refused.rest() == "refused connections\n"

    run(work())


def test_the_client_that_dallies_longest_makes_room_for_others_T30(
    gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlock.transport.listener.PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr("interlock.transport.listener.SOURCE_SHARE", 1)

    async def work() -> None:
        async with gateway(dataclasses.replace(LimitsConfig(), handshakes=3)) as g:
            silent = [await g.client("") for _ in range(3)]
            client = await g.client()
            assert (await client.line()).startswith("ready")
            assert await silent[0].rest() == ""

    run(work())


def test_too_many_connections_are_refused_in_the_protocols_words_P10(gateway: Any) -> None:
    async def work() -> None:
        async with gateway(dataclasses.replace(LimitsConfig(), connections=2)) as g:
            clients = [await g.client() for _ in range(2)]
            for client in clients:
                await client.line()
            refused = await g.client("")
            assert await refused.rest() == "refused connections\n"
            clients[0].writer.close()
            await g.gate.until(lambda: g.gate.closed)
            await g.until(lambda: g.listener.connections < 2)
            again = await g.client()
            assert (await again.line()).startswith("ready")

    run(work())


def test_a_thousand_connections_are_served_at_once(gateway: Any) -> None:
    async def work() -> None:
        limits = dataclasses.replace(LimitsConfig(), handshakes=4000)
        async with gateway(limits) as g:
            clients = [await g.client() for _ in range(1000)]
            for client in clients:
                assert (await client.line()).startswith("ready")
                client.send("hello")
            for client in clients:
                assert await client.line() == "HELLO"
            assert g.listener.connections == 1000

    run(work())


def test_stopped_listener_takes_no_more_and_open_connections_live_on(gateway: Any) -> None:
    async def work() -> None:
        async with gateway() as g:
            client = await g.client()
            await client.line()
            g.listener.stop_accepting()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            with pytest.raises(ConnectionRefusedError):
                await g.client()
            client.send("hello")
            assert await client.line() == "HELLO"

    run(work())


def test_listener_survives_running_out_of_descriptors_T30(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with gateway() as g:
            failures = [errno.EMFILE, errno.ECONNABORTED]

            async def exhausted(sock: socket.socket) -> tuple[socket.socket, object]:
                if failures:
                    raise OSError(failures.pop(), "no")
                return await accept(sock)

            monkeypatch.setattr("interlock.transport.listener.accept", exhausted)
            for _ in range(2):
                client = await g.client()
                assert (await client.line()).startswith("ready")
            assert failures == []

    run(work())


def test_two_workers_share_a_port_and_a_taken_one_is_an_error() -> None:
    first = bind("127.0.0.1", 0)
    port = first.getsockname()[1]
    with first, bind("127.0.0.1", port) as second:
        assert second.getsockname()[1] == port
        first.listen()
        with pytest.raises(OSError, match="in use"):
            bind("127.0.0.1", port, reuse_port=False)
