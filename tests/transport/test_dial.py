"""Reaching an upstream: names, places, and what is in between."""

import asyncio
import contextlib
import socket
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from interlock.config.address import parse_address
from interlock.transport.dial import KEEPALIVE_IDLE_SECONDS, Pin, UpstreamUnreachable, connect, resolve


def run(work: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(work, 20))


@contextlib.contextmanager
def listening(family: socket.AddressFamily, address: Any) -> Iterator[socket.socket]:
    with socket.socket(family, socket.SOCK_STREAM) as server:
        server.bind(address)
        server.listen()
        yield server


def nowhere() -> Pin:
    """A place on this machine where nobody listens: a bound port that was never listened on, closed again."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return Pin(socket.AF_INET, taken.getsockname())


def test_address_that_does_not_answer_is_passed_over_for_the_next_one() -> None:
    with listening(socket.AF_INET, ("127.0.0.1", 0)) as server:
        good = Pin(socket.AF_INET, server.getsockname())
        sock, pin = run(connect((nowhere(), good)))
        with sock:
            assert pin == good
            assert not sock.getblocking()
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == KEEPALIVE_IDLE_SECONDS


def test_name_is_asked_once_and_the_pin_says_where_the_connection_went_T26() -> None:
    with listening(socket.AF_INET, ("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        pins = run(resolve(parse_address(f"127.0.0.1:{port}")))
        assert pins == (Pin(socket.AF_INET, ("127.0.0.1", port)),)


def test_local_socket_is_found_in_its_folder(tmp_path: Path) -> None:
    with listening(socket.AF_UNIX, str(tmp_path / ".s.PGSQL.5432")):
        (pin,) = run(resolve(parse_address(f"unix:{tmp_path}:5432")))
        sock, used = run(connect((pin,)))
        with sock:
            assert used.sockaddr == str(tmp_path / ".s.PGSQL.5432")


def test_nobody_at_any_address_is_unreachable() -> None:
    with pytest.raises(UpstreamUnreachable, match="no address takes connections: Connection refused"):
        run(connect((nowhere(),)))
    with pytest.raises(UpstreamUnreachable, match="the name has none"):
        run(connect(()))


def test_name_that_nobody_knows_is_unreachable() -> None:
    with pytest.raises(UpstreamUnreachable, match="can't be resolved"):
        run(resolve(parse_address("no-such-host.invalid:5432")))


def test_giving_up_on_a_connection_leaves_no_socket_open() -> None:
    async def work() -> int:
        before = len(list(Path("/proc/self/fd").iterdir()))  # noqa: ASYNC240 - a look at our own descriptors
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            pins = (Pin(socket.AF_INET, full.getsockname()),)
            fillers = []
            for _ in range(3):  # the queue is full with these, so the next one waits
                fillers.append(socket.socket())
                fillers[-1].setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    fillers[-1].connect(pins[0].sockaddr)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await connect(pins)
            for filler in fillers:
                filler.close()
        return len(list(Path("/proc/self/fd").iterdir())) - before  # noqa: ASYNC240 - a look at our own descriptors

    assert run(work()) == 0
