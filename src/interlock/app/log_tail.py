"""Follows the log's files for operators: implements the control room's ``LogReader`` over ``audit.reading``."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, final

import msgspec

from interlock.audit.reading import LogReader, as_json

POLL_SECONDS: Final = 0.25


@final
class LogTail:
    """The log of one data directory."""

    def __init__(self, directory: Path) -> None:
        self._directory: Final = directory

    async def tail(self, *, lines: int, follow: bool) -> AsyncIterator[bytes]:
        """The last entries, one JSON object each; with ``follow`` every later one as it is written, without end.

        Raises:
            LogDamaged: a file isn't whole.
        """
        reader = LogReader(self._directory)
        for entry in await asyncio.to_thread(_read, reader, lines):
            yield entry
        while follow:
            await asyncio.sleep(POLL_SECONDS)
            for entry in await asyncio.to_thread(_read, reader, 0):
                yield entry


def _read(reader: LogReader, most: int) -> list[bytes]:
    """The entries since the last call, at most the last ``most`` of them (0 = all)."""
    found = deque(reader.entries(), maxlen=most or None)
    return [msgspec.json.encode(as_json(logged)) for logged in found]
