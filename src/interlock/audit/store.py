"""The recorder's files as one thing: the log, the recordings, their keys, the reserve.

    data/log/00000001.seg ...        entries (segment.py); .torn-<offset> beside one whose end was torn by a crash
    data/log/lock                    held by the one recorder
    data/recordings/00000001.rec     payloads (recording.py)
    data/keys/                       their keys (keys.py)
    data/log/reserve                 space to record that the disk is full

What was written is nothing until ``commit`` returned. If a write fails, ``rollback``; if a sync fails, ``renew``: a
file whose sync failed is never used again, because the kernel may have dropped what it couldn't write. A run of the
recorder never appends to a file of an earlier run.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from interlock.audit.disk import Disk
from interlock.audit.framing import Group
from interlock.audit.keys import KEK_NAME, KeyWriter, load_kek, make_kek
from interlock.audit.recording import RecordingWriter
from interlock.audit.segment import Scan, SegmentHeader, SegmentWriter, file_name, numbered, scan

LOG: Final = "log"
RECORDINGS: Final = "recordings"
KEYS: Final = "keys"
SEGMENT_SUFFIX: Final = ".seg"
RECORDING_SUFFIX: Final = ".rec"
KEYS_SUFFIX: Final = ".keys"


class LogLocked(Exception):
    """Another recorder owns this log."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes and ages of the recorder's files."""

    segment_bytes: int = 64 * 1024 * 1024
    segment_seconds: int = 24 * 3600
    recording_bytes: int = 256 * 1024 * 1024
    recording_seconds: int = 3600
    reserve_bytes: int = 16 * 1024 * 1024
    retain_seconds: int = 0
    """Age at which recordings are pruned; 0 = never. Entries stay."""
    retain_bytes: int = 0
    """Size in all over which the oldest recordings are pruned; 0 = never."""


@dataclass(slots=True)
class Recovery:
    """What the start found."""

    number: int = 0
    """The last file before this run, 0 if there was none."""
    first: int = 0
    """Index of the next entry."""
    digest: str = ""
    good_bytes: int = 0
    torn_bytes: int = 0
    channels: dict[int, int] = field(default_factory=dict[int, int])


class Store:
    """Owns the files of one log; raises ``OSError`` wherever the disk does."""

    def __init__(
        self,
        directory: Path,
        *,
        disk: Disk,
        random: Callable[[int], bytes],
        now_us: Callable[[], int],
        limits: Limits,
    ) -> None:
        self._disk = disk
        self._random = random
        self._now_us = now_us
        self._limits = limits
        self._log = directory / LOG
        self._recordings = directory / RECORDINGS
        self._keys = directory / KEYS
        for path in (directory, self._log, self._recordings, self._keys):
            disk.make_directory(path)
        self._lock_fd = os.open(self._log / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._segment: SegmentWriter | None = None
        self._recording: RecordingWriter | None = None
        self._first = 0
        self._number = 0
        self._previous = ""
        self._previous_bytes = 0
        self._recording_number = 0
        self._named = False
        self._kek = b""

    def lock(self) -> None:
        """Become the log's one owner.

        Raises:
            LogLocked: somebody else is.
        """
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = f"another recorder owns {self._log}"
            raise LogLocked(msg) from None

    def recover(self) -> Recovery:
        """Find the end of the log, put a torn tail aside, load the key.

        Raises:
            OSError: the disk.
            KeyFileError: the key-encryption key is missing though there are recordings, or unusable.
        """
        recovery = Recovery()
        for number, path in reversed(numbered(self._log, SEGMENT_SUFFIX)):
            found = scan(path)
            recovery.torn_bytes += found.torn
            if found.torn:
                self._put_aside(path, found)
            if found.header is not None:
                recovery.number = number
                recovery.first = found.header.first + found.entries
                recovery.digest = found.digest
                recovery.good_bytes = found.end
                recovery.channels = found.channels
                break
            recovery.number = max(recovery.number, number)
        self._first = recovery.first
        self._number = max([recovery.number, *(number for number, _ in numbered(self._log, SEGMENT_SUFFIX))])
        self._previous, self._previous_bytes = recovery.digest, recovery.good_bytes
        recordings = numbered(self._recordings, RECORDING_SUFFIX)
        key_files = numbered(self._keys, KEYS_SUFFIX)
        self._recording_number = max([0, *(number for number, _ in (*recordings, *key_files))])
        kek = self._keys / KEK_NAME
        self._kek = load_kek(kek) if kek.exists() or recordings else make_kek(kek, self._random, self._disk)
        return recovery

    @property
    def is_open(self) -> bool:
        """True if there is a log file to write to."""
        return self._segment is not None

    def begin(self, channels: Mapping[int, int]) -> None:
        """Begin the next log file; ``channels`` says up to where each live channel is in the log."""
        header = SegmentHeader(
            at=self._now_us(),
            channels={f"{channel:016x}": seq for channel, seq in sorted(channels.items())},
            first=self._first,
            number=self._number + 1,
            previous=self._previous,
            previous_bytes=self._previous_bytes,
        )
        path = self._log / file_name(header.number, SEGMENT_SUFFIX)
        self._segment = SegmentWriter(self._disk, path, header)
        self._number = header.number
        self._named = False
        self._sync_names()

    def append(
        self, channel: int, last_seq: int, entries: Sequence[bytes | memoryview], groups: Mapping[bytes, Group]
    ) -> None:
        """Write the payloads and entries of one channel's frames; entries have their u16 length before them."""
        if groups:
            recording = self._open_recording()
            now = self._now_us()
            for session, group in groups.items():
                recording.append(channel, session, group, now)
        self._open_segment().append(channel, last_seq, entries)

    def commit(self) -> None:
        """Make everything written durable: recordings and keys first, then the log that tells of them."""
        if self._recording is not None:
            self._recording.sync()
        self._open_segment().sync()
        if not self._named:
            self._sync_names()

    def rollback(self) -> None:
        """Cut off what isn't committed."""
        if self._recording is not None:
            self._recording.rollback()
        if self._segment is not None:
            self._segment.rollback()

    def renew(self, channels: Mapping[int, int]) -> None:
        """Go on in new files; the old ones count up to what was committed."""
        self._end_recording()
        if self._segment is not None:
            segment = self._segment
            self._first = segment.header.first + segment.entries
            self._previous, self._previous_bytes = segment.digest, segment.committed
            self._segment = None
            segment.close()
        self.begin(channels)

    def rotate_if_due(self, channels: Mapping[int, int]) -> None:
        """Go on in a new file if one is large or old enough; call it right after ``commit``."""
        now = self._now_us()
        segment, recording = self._segment, self._recording
        limits = self._limits
        if recording is not None and (
            recording.size >= limits.recording_bytes or now - recording.begun_at >= limits.recording_seconds * 1_000_000
        ):
            self._end_recording()
        if segment is not None and (
            segment.size >= limits.segment_bytes
            or (segment.entries and now - segment.header.at >= limits.segment_seconds * 1_000_000)
        ):
            self.renew(channels)

    def prunable(self) -> list[tuple[int, int]]:
        """Recordings files that are due: number and size, oldest first, never the one in use."""
        limits = self._limits
        if not limits.retain_bytes and not limits.retain_seconds:
            return []
        current = self._recording.number if self._recording is not None else 0
        files = [
            (number, path.stat()) for number, path in numbered(self._recordings, RECORDING_SUFFIX) if number != current
        ]
        total = sum(stat.st_size for _, stat in files) + (self._recording.size if self._recording is not None else 0)
        oldest = self._now_us() / 1_000_000 - limits.retain_seconds
        due = []
        for number, stat in files:
            old = limits.retain_seconds and stat.st_mtime < oldest
            large = limits.retain_bytes and total > limits.retain_bytes
            if not old and not large:
                break
            total -= stat.st_size
            due.append((number, stat.st_size))
        return due

    def prune(self, number: int) -> None:
        """Remove a recordings file and, before it, its keys; say so in the log first."""
        self._disk.remove(self._keys / file_name(number, KEYS_SUFFIX))
        self._disk.sync_directory(self._keys)
        self._disk.remove(self._recordings / file_name(number, RECORDING_SUFFIX))
        self._disk.sync_directory(self._recordings)

    def make_reserve(self) -> None:
        """Occupy the reserve."""
        path = self._log / "reserve"
        if not path.exists() or path.stat().st_size != self._limits.reserve_bytes:
            self._disk.reserve(path, self._limits.reserve_bytes)

    def release_reserve(self) -> None:
        """Give the reserve's space to the log."""
        self._disk.remove(self._log / "reserve")

    def close(self) -> None:
        """Let go of all files and of the lock."""
        self._end_recording()
        if self._segment is not None:
            self._segment.close()
            self._segment = None
        os.close(self._lock_fd)

    def _open_segment(self) -> SegmentWriter:
        if self._segment is None:
            msg = "no log file is begun"
            raise OSError(msg)
        return self._segment

    def _open_recording(self) -> RecordingWriter:
        """The recordings file in use; begun when there is something to record."""
        if self._recording is None:
            self._recording_number += 1
            number = self._recording_number
            keys = KeyWriter(
                self._disk, self._keys / file_name(number, KEYS_SUFFIX), self._kek, number=number, random=self._random
            )
            try:
                self._recording = RecordingWriter(
                    self._disk,
                    self._recordings / file_name(number, RECORDING_SUFFIX),
                    keys,
                    number=number,
                    at=self._now_us(),
                )
            except OSError:
                keys.close()
                raise
            self._named = False
        return self._recording

    def _sync_names(self) -> None:
        """The names of new files are on disk too."""
        self._disk.sync_directory(self._keys)
        self._disk.sync_directory(self._recordings)
        self._disk.sync_directory(self._log)
        self._named = True

    def _end_recording(self) -> None:
        if self._recording is not None:
            self._recording.close()
            self._recording = None

    def _put_aside(self, path: Path, found: Scan) -> None:
        """Keep a torn tail beside the file that it is cut from; a file without a whole header is torn altogether."""
        aside = path.with_name(f"{path.name}.torn-{found.end}")
        if found.header is None:
            self._disk.rename(path, aside)
        else:
            fd = self._disk.open(path)
            try:
                os.lseek(fd, found.end, os.SEEK_SET)
                tail = os.read(fd, found.torn)
                with contextlib.suppress(FileExistsError):
                    side = self._disk.create(aside)
                    try:
                        self._disk.write(side, tail)
                        self._disk.sync(side)
                    finally:
                        self._disk.close(side)
                self._disk.truncate(fd, found.end)
                self._disk.sync(fd)
            finally:
                self._disk.close(fd)
        self._disk.sync_directory(self._log)
