"""The two ends of a conversation, over real sockets."""

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any

import uvloop

from interlock.transport.legs import ClientLeg, Leg, UpstreamLeg
from tests.transport.conftest import until


class Listening:
    """What a leg calls, in the order in which it does."""

    buffer_bytes = 64 * 1024

    def __init__(self) -> None:
        self.told: list[object] = []

    def monotonic(self) -> float:
        return 7.0

    def regulate(self) -> None:
        self.told.append("regulate")

    def leg_lost(self) -> None:
        self.told.append("lost")

    def client_sent(self, data: bytes) -> None:
        self.told.append(("client", data))

    def client_ended(self) -> None:
        self.told.append("client ended")

    def upstream_sent(self, data: bytes) -> None:
        self.told.append(("upstream", data))

    def upstream_ended(self) -> None:
        self.told.append("upstream ended")


def run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(work, 20))


async def stand(kind: type[Leg]) -> tuple[Listening, Leg, socket.socket]:
    """A leg of this kind on one end of a socket pair; the other end is the peer's."""
    listening = Listening()
    ours, theirs = socket.socketpair()
    leg = kind(listening)
    await asyncio.get_running_loop().create_connection(lambda: leg, sock=ours)
    theirs.setblocking(False)
    return listening, leg, theirs


def test_bytes_and_hang_ups_of_each_end_are_told_apart() -> None:
    async def one(kind: type[Leg], name: str) -> None:
        listening, leg, theirs = await stand(kind)
        theirs.send(b"hello")
        await until(lambda: listening.told)
        assert listening.told == [(name, b"hello")]
        theirs.close()
        await until(lambda: leg.lost)
        assert leg.ended
        assert listening.told[1:] == [f"{name} ended", f"{name} ended", "lost"]

    run(one(ClientLeg, "client"))
    run(one(UpstreamLeg, "upstream"))


def test_peer_that_is_not_to_be_read_waits_in_the_kernel_until_it_is() -> None:
    async def work() -> None:
        listening, leg, theirs = await stand(ClientLeg)
        leg.read_if(False)
        assert not leg.reading
        theirs.send(b"patience")
        for _ in range(20):
            await asyncio.sleep(0)
        assert listening.told == []
        leg.read_if(True)
        await until(lambda: listening.told == [("client", b"patience")])
        leg.abort()
        theirs.close()
        await until(lambda: leg.lost)
        leg.read_if(False)
        assert leg.reading  # nothing is paused that is gone

    run(work())


def test_slow_peer_is_noticed_above_the_bound_and_again_when_it_catches_up_T30() -> None:
    async def work() -> None:
        listening, leg, theirs = await stand(UpstreamLeg)
        size = 4 * 1024 * 1024
        leg.write(b"x" * size)
        await until(lambda: leg.full_since is not None)
        assert leg.full_since == 7.0
        assert listening.told == ["regulate"]
        taken = 0

        def take() -> bool:
            nonlocal taken
            try:
                taken += len(theirs.recv(1 << 20))
            except BlockingIOError:
                return False
            return taken == size

        await until(take)
        await until(lambda: leg.full_since is None)
        assert listening.told == ["regulate", "regulate"]
        leg.close()
        await until(lambda: leg.lost)
        theirs.close()

    run(work())


def test_what_is_said_to_a_peer_that_is_gone_goes_nowhere() -> None:
    async def work() -> None:
        _, leg, theirs = await stand(ClientLeg)
        theirs.close()
        await until(lambda: leg.lost)
        leg.write(b"late")
        leg.close()
        leg.abort()
        unused = ClientLeg(Listening())
        unused.write(b"early")
        unused.close()
        unused.abort()
        assert unused.transport is None

    run(work())
