"""PostgreSQL's first words over real sockets: TLS, what is sent behind it, sizes, cancels."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from interlock.core.errors import InterlockError
from interlock.transport.listener import Opened
from interlock.transport.postgres.door import PostgresDoor
from interlock.transport.tls import make_server_context
from interlock.wire.postgres.startup import CancelRequest, GSSENCRequest, SSLRequest, StartupMessage
from tests.servers.authority import Authority

SSL_REQUEST = SSLRequest().encode()
STARTUP = StartupMessage(3 << 16, {"user": "shop"}).encode()


class Presented:
    def __init__(self) -> None:
        self.keys: list[tuple[int, bytes]] = []

    def present(self, pid: int, secret: bytes, *, source: str) -> None:
        self.keys.append((pid, secret))


class House:
    """A door, its certificate, and a client's raw socket to it."""

    def __init__(self, folder: Path, *, tls: bool = True, plaintext: bool = False) -> None:
        self.authority = Authority(folder)
        pair = self.authority.issue("gateway")
        context = make_server_context(pair.certificate, pair.key, alpn="postgresql") if tls else None
        self.cancels = Presented()
        self.door = PostgresDoor(tls=lambda: context, plaintext_allowed=plaintext, cancels=self.cancels)
        self.client, self.server = socket.socketpair()
        self.server.setblocking(False)
        self.client.settimeout(5)

    def client_context(self, *alpn: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority.ca))
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    async def open(self) -> Opened | None:
        try:
            async with asyncio.timeout(5):
                return await self.door.open(self.server)
        finally:
            self.server.close()

    def talk(self, *, alpn: tuple[str, ...] = (), request: bytes = SSL_REQUEST, then: bytes = STARTUP) -> bytes:
        """A blocking client: asks for TLS, sends its packet inside, returns what it is told."""
        if request:
            self.client.sendall(request)
            assert self.client.recv(1) == b"S"
        with self.client_context(*alpn).wrap_socket(self.client, server_hostname="localhost") as protected:
            protected.sendall(then)
            return protected.recv(1000) if then != STARTUP else b""


def run(work: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(work, 10))


@pytest.fixture
def house(tmp_path: Path) -> Any:
    made: list[House] = []

    def make(**options: bool) -> House:
        made.append(House(tmp_path / str(len(made)), **options))
        return made[-1]

    yield make
    for each in made:
        each.client.close()
        each.server.close()


def test_start_up_inside_tls_opens_with_every_byte_that_was_read(house: Any) -> None:
    async def work() -> None:
        h = house()
        talking = asyncio.to_thread(h.talk)
        async with asyncio.TaskGroup() as group:
            _ = group.create_task(talking)
            opened = await h.open()
        assert opened is not None
        assert opened.tls
        assert STARTUP.startswith(opened.first)
        opened.transport.abort()

    run(work())


def test_direct_tls_needs_the_protocols_alpn_T27(house: Any) -> None:
    async def work() -> None:
        good, foreign = house(), house()
        for h, alpn in ((good, ("postgresql",)), (foreign, ())):
            async with asyncio.TaskGroup() as group:
                talk = group.create_task(asyncio.to_thread(_tolerant, h.talk, alpn=alpn, request=b""))
                opened = await h.open()
            assert (opened is not None) is bool(alpn)
            if opened is not None:
                opened.transport.abort()
            assert talk.done()

    run(work())


def _tolerant(talk: Any, **options: Any) -> bytes:
    try:
        result: bytes = talk(**options)
    except OSError:
        return b""
    return result


def test_bytes_in_the_clear_behind_an_ssl_request_never_become_the_clients_words_T1(house: Any) -> None:
    async def work() -> None:
        h = house()
        h.client.sendall(SSL_REQUEST + STARTUP)
        with pytest.raises(OSError, match=r"(?i)ssl|reset|wrong version|record"):
            await h.open()

    run(work())


def test_plaintext_start_up_is_told_to_use_tls_T27(house: Any) -> None:
    async def work() -> bytes:
        h = house()
        h.client.sendall(STARTUP)
        assert await h.open() is None
        reply: bytes = h.client.recv(1000)
        return reply

    reply = run(work())
    assert reply.startswith(b"E")
    assert b"28000" in reply


def test_plaintext_start_up_is_taken_where_the_configuration_allows_it(house: Any) -> None:
    async def work() -> None:
        h = house(tls=False, plaintext=True)
        h.client.sendall(SSL_REQUEST)
        opening = asyncio.get_running_loop().create_task(h.open())
        assert await asyncio.to_thread(h.client.recv, 1) == b"N"
        h.client.sendall(STARTUP)
        opened = await opening
        assert opened is not None
        opened.transport.abort()
        assert STARTUP.startswith(opened.first)
        assert not opened.tls

    run(work())


def test_gss_is_declined_and_the_client_goes_on(house: Any) -> None:
    async def work() -> None:
        h = house(plaintext=True)
        h.client.sendall(GSSENCRequest().encode())
        opening = asyncio.get_running_loop().create_task(h.open())
        assert await asyncio.to_thread(h.client.recv, 1) == b"N"
        h.client.sendall(STARTUP)
        opened = await opening
        assert opened is not None
        opened.transport.abort()

    run(work())


@pytest.mark.parametrize("size", [0, 4, 7, 10_005, 2**31 - 1, 2**32 - 1])
def test_start_up_packet_of_an_impossible_size_is_refused_unread_T30(house: Any, size: int) -> None:
    async def work() -> None:
        h = house(plaintext=True)
        h.client.sendall(struct.pack("!II", size, 3 << 16) + b"x" * 100)
        assert await h.open() is None

    run(work())


@pytest.mark.parametrize("words", [b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n", b"\xff" * 50])
def test_other_protocols_are_closed_in_silence_T27(house: Any, words: bytes) -> None:
    async def work() -> bytes:
        h = house()
        h.client.sendall(words)
        assert await h.open() is None
        reply: bytes = h.client.recv(1000)
        return reply

    assert run(work()) == b""


def test_client_that_leaves_in_the_middle_of_a_packet_is_an_ended_connection(house: Any) -> None:
    async def work() -> None:
        h = house()
        h.client.sendall(SSL_REQUEST[:5])
        h.client.shutdown(socket.SHUT_WR)
        with pytest.raises(InterlockError):
            await h.open()

    run(work())


def test_cancel_request_is_passed_on_and_answered_by_silence_T11(house: Any) -> None:
    async def work() -> None:
        plain, inside = house(), house()
        plain.client.sendall(CancelRequest(7, b"abcd").encode())
        assert await plain.open() is None
        assert plain.client.recv(10) == b""
        async with asyncio.TaskGroup() as group:
            talk = group.create_task(asyncio.to_thread(inside.talk, then=CancelRequest(8, b"x" * 32).encode()))
            assert await inside.open() is None
        assert talk.result() == b""
        assert (plain.cancels.keys, inside.cancels.keys) == ([(7, b"abcd")], [(8, b"x" * 32)])

    run(work())


def test_refusal_is_what_postgresql_says_when_it_is_full(house: Any) -> None:
    assert b"53300" in house().door.refusal("connections")
