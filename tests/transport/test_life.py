"""The life of a conversation: however it ends, its end is on record and nothing of it stays behind."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

import uvloop


def run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(work, 20))


def test_client_hangs_up_and_its_sessions_end_is_on_record(gateway: Any) -> None:
    async def work() -> None:
        async with gateway() as g:
            client = await g.client()
            await client.line()
            client.writer.close()
            await g.gate.until(lambda: g.gate.closed)
        assert g.gate.closed == [("s0", "client_closed")]

    run(work())


def test_sessions_are_cut_off_and_no_exception_stays_in_the_thread_P10(gateway: Any) -> None:
    async def work() -> None:
        async with gateway() as g:
            for _ in range(3):
                client = await g.client()
                await client.line()
                client.send("hold it")
                await client.line()
        assert [code for _, code in g.gate.closed] == ["gateway_stopped"] * 3

    before = sys.exc_info()
    run(work())
    assert sys.exc_info() == before == (None, None, None)
