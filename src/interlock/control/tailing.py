"""The end of the log, and what comes: reading needs no recorder, and following is polling the files."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, final

from interlock.audit.reading import LogDamaged, Logged, LogReader, as_json
from interlock.control.messages import refuse

POLL_SECONDS: Final = 0.25
_END: Final = 1 << 62


@final
class LogTail:
    """Reads the log of one data directory; implements ``LogReader`` of this room."""

    def __init__(self, directory: Path, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._directory: Final = directory
        self._poll: Final = poll_seconds

    async def tail(self, *, lines: int, follow: bool) -> AsyncIterator[bytes]:
        """The last entries as they are stored, with their index, and with ``follow`` those to come.

        Raises:
            ControlRefused: the log can't be read, or isn't what was written.
        """
        last = LogReader(self._directory, start=_END)
        await asyncio.to_thread(_read, last)
        reader = LogReader(self._directory, start=max(0, last.next_index - lines))
        while True:
            for logged in await asyncio.to_thread(_read, reader):
                yield json.dumps(as_json(logged)).encode()
            if not follow:
                return
            await asyncio.sleep(self._poll)


def _read(reader: LogReader) -> list[Logged]:
    """What there is by now. A log larger than memory is never read whole: it starts near the end, or follows."""
    try:
        return list(reader.entries())
    except LogDamaged as error:
        return refuse("log_damaged", f"{error}; keep the files as they are and see docs/threat-model.md", error)
    except OSError as error:
        return refuse("log_unreadable", f"the log can't be read: {error}", error)
