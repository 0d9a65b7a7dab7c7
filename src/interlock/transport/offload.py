"""Large texts are analysed in threads, under one budget of bytes and of concurrency for the whole worker (T30).

libpg_query's tree takes about 130 times its text and seconds of time, so a few large statements at once would take
the machine: the budget is global, and whoever doesn't get a share in time is refused, never forwarded unseen.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, final

from interlock.core.errors import LimitExceeded, ProtocolError


@final
class AnalysisPool:
    """Threads that analyse; ``analyse`` must release the interpreter's lock while it works to be worth it."""

    def __init__(
        self, analyse: Callable[[str], object], *, concurrency: int, budget_bytes: int, wait_seconds: float = 30.0
    ) -> None:
        self._analyse: Final = analyse
        self._budget_bytes: Final = budget_bytes
        self._wait_seconds: Final = wait_seconds
        self._used_bytes = 0
        self._waiting: Final[list[asyncio.Future[None]]] = []
        self._threads: Final = ThreadPoolExecutor(concurrency, thread_name_prefix="analysis")

    async def analyse(self, text: str) -> object:
        """The analysis, or the ``LimitExceeded`` that stands for it."""
        size = len(text) * 4 if not text.isascii() else len(text)
        if size > self._budget_bytes:
            return LimitExceeded("parse_bytes", limit=self._budget_bytes, got=size)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._reserve(size)
        except TimeoutError:
            return LimitExceeded("parse_bytes", limit=self._budget_bytes, got=self._used_bytes + size)
        work = asyncio.get_running_loop().run_in_executor(self._threads, self._analyse, text)
        # A thread can't be stopped: its bytes count until it ends, whether or not somebody still waits for it.
        work.add_done_callback(lambda _: self._release(size))
        try:
            return await asyncio.shield(work)
        except (LimitExceeded, ProtocolError) as error:
            return error

    def close(self) -> None:
        """Take no more work; what runs is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _reserve(self, size: int) -> None:
        while self._used_bytes + size > self._budget_bytes:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            finally:
                if turn in self._waiting:
                    self._waiting.remove(turn)
        self._used_bytes += size

    def _release(self, size: int) -> None:
        self._used_bytes -= size
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(None)
