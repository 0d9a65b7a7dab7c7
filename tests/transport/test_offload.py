"""Large texts off the loop, under one budget (T30)."""

import asyncio
import threading

import pytest

from interlock.core.errors import ClientProtocolError, LimitExceeded
from interlock.transport.offload import AnalysisPool


def test_text_is_analysed_in_another_thread() -> None:
    async def work() -> object:
        pool = AnalysisPool(lambda text: (text, threading.get_ident()), concurrency=1, budget_bytes=100)
        return await pool.analyse("x")

    analysed = asyncio.run(work())
    assert isinstance(analysed, tuple)
    assert analysed[0] == "x"
    assert analysed[1] != threading.get_ident()


def test_text_over_the_whole_budget_is_refused_at_once_T30() -> None:
    async def work() -> object:
        return await AnalysisPool(len, concurrency=1, budget_bytes=10).analyse("x" * 11)

    assert isinstance(asyncio.run(work()), LimitExceeded)


def test_text_waits_for_budget_and_then_is_analysed() -> None:
    async def work() -> list[object]:
        go = threading.Event()
        pool = AnalysisPool(lambda text: go.wait(5) and len(text), concurrency=2, budget_bytes=10)
        async with asyncio.TaskGroup() as group:
            first = group.create_task(pool.analyse("x" * 8))
            second = group.create_task(pool.analyse("x" * 9))
            await asyncio.sleep(0)
            assert not second.done()
            go.set()
        return [first.result(), second.result()]

    assert asyncio.run(work()) == [8, 9]


def test_text_that_gets_no_budget_in_time_is_refused_T30() -> None:
    async def work() -> object:
        go = threading.Event()
        pool = AnalysisPool(lambda text: go.wait(5), concurrency=1, budget_bytes=10, wait_seconds=0.01)
        async with asyncio.TaskGroup() as group:
            _ = group.create_task(pool.analyse("x" * 8))
            await asyncio.sleep(0)
            refused = await pool.analyse("x" * 8)
            go.set()
        return refused

    assert isinstance(asyncio.run(work()), LimitExceeded)


def test_bytes_count_until_the_thread_ends_although_nobody_waits_any_more_T30() -> None:
    async def work() -> object:
        go = threading.Event()
        pool = AnalysisPool(lambda text: go.wait(5), concurrency=1, budget_bytes=10, wait_seconds=0.01)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await pool.analyse("x" * 8)
        refused = await pool.analyse("x" * 8)
        go.set()
        return refused

    assert isinstance(asyncio.run(work()), LimitExceeded)


def test_error_of_a_codec_stands_for_the_analysis() -> None:
    def fail(text: str) -> object:
        raise ClientProtocolError(text)

    async def work() -> object:
        return await AnalysisPool(fail, concurrency=1, budget_bytes=10).analyse("x")

    assert isinstance(asyncio.run(work()), ClientProtocolError)
