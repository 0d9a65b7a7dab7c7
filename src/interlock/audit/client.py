"""The worker's end of the recorder's socket: ``record`` is one ``send``, or nothing.

What is wholly in the kernel's buffer is recorded: the supervisor holds both ends open, so it survives a kill of this
process and of the recorder. What has no room waits in order; while anything waits, nothing overtakes it.

The recorder isn't woken for every frame. It is kicked (one byte on a pipe) when somebody waits for the disk, when
much is unread, or when the buffer is full; else it drains by itself every few tens of milliseconds.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import socket
import struct
import sys
import termios
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from interlock.audit.framing import (
    ENTRY_LENGTH,
    HEADER,
    HEADER_BYTES,
    MAGIC,
    MAX_CONTENT_BYTES,
    NOTICE_BYTES,
    RECORD,
    Notice,
    Refusal,
    decode_notice,
    encode_frame,
    encode_frames,
    encode_sync,
)
from interlock.audit.journal import Sealed
from interlock.core.errors import AuditUnavailable, ProtocolError

TIMEOUT_SECONDS: Final = 5.0
BUFFER_BYTES: Final = 16 * 1024 * 1024
"""Asked for as send buffer; the kernel counts its own overhead in it."""

_ATOMIC_BYTES: Final = 32_768
"""A send up to this size is one kernel buffer: it is taken whole or not at all (Linux)."""
_KICK_BYTES: Final = 512 * 1024
"""Unread bytes after which the recorder is woken; an eighth of the buffer where that is less."""
_SO_SNDBUFFORCE: Final = 32
_SIOCOUTQ: Final = termios.TIOCOUTQ
_MAX_LOST: Final = 16
_MAX_FINISHED: Final = 1024


class _Item:
    """Frames that wait for room, or the rest of one that the kernel took in part."""

    __slots__ = ("begun", "data", "key", "promised", "seq")

    def __init__(self, key: object, data: list[memoryview], seq: int, *, begun: bool, promised: bool) -> None:
        self.key: Final = key
        self.data: Final = data
        self.seq: Final = seq
        self.begun = begun
        self.promised = promised
        """The caller was told that this isn't recorded yet, and will come again with the same object."""


class RecorderClient:
    """Appends to the log through the recorder; used by one event loop.

    ``gap`` makes the entry that names what couldn't be recorded, once recording is possible again.
    """

    def __init__(
        self,
        sock: socket.socket,
        kick_fd: int,
        *,
        gap: Callable[[list[str], int], Sealed],
        timeout_seconds: float = TIMEOUT_SECONDS,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> None:
        sock.setblocking(False)
        os.set_blocking(kick_fd, False)
        self._buffer_bytes = enlarge_buffer(sock, buffer_bytes)
        self._kick_bytes = min(_KICK_BYTES, self._buffer_bytes // 8)
        self._sock = sock
        self._send = sock.send
        self._kick_fd = kick_fd
        self._gap = gap
        self._timeout = timeout_seconds
        self._loop: Any = None
        """The event loop. Not by its type: uvloop answers None where that says bool, which compiled code refuses."""
        self._seq = 0
        self._durable = 0
        self._unkicked = 0
        self._queue: deque[_Item] = deque()
        self._finished: deque[tuple[object, int]] = deque(maxlen=_MAX_FINISHED)
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._room: list[asyncio.Future[None]] = []
        self._writer_armed = False
        self._inbox = b""
        self._refusal: Refusal | None = None
        self._lost: list[str] = []
        self._lost_count = 0

    @property
    def available(self) -> bool:
        """False while the recorder refuses: nothing new may happen (fail closed)."""
        return self._refusal is None

    @property
    def durable_seq(self) -> int:
        """The highest frame number that the recorder says is on disk."""
        return self._durable

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start to read the recorder's notices on this loop."""
        self._loop = loop
        loop.add_reader(self._sock.fileno(), self._on_readable)

    def record(self, entry: bytes, payload: bytes | None = None) -> int | None:
        """Record an entry and its payload: the frame's number if all of it is in the kernel's buffer now.

        None: it is not recorded. Go on with ``record_durable`` or ``post`` with the *same objects* (entries are
        chained, and part of it may be on its way, which is then not sent twice), or with ``drop``.
        """
        if self._queue or self._refusal is not None:
            return None
        if self._finished and (finished := self._finished_seq(entry)):
            return finished
        if payload is None:
            payload = b""
        size = len(entry)
        seq = self._seq + 1
        if len(payload) + size >= _ATOMIC_BYTES - 64:
            return self._record_large(entry, payload)
        frame = b"".join(
            (HEADER.pack(MAGIC, RECORD, 0, size, len(payload), seq), payload, ENTRY_LENGTH.pack(size), entry)
        )
        try:
            sent = self._send(frame)
        except BlockingIOError:
            self._kick()
            return None
        except OSError:
            self._refused(Refusal.CLOSING)
            return None
        self._seq = seq
        length = len(frame)
        if sent != length:
            self._enqueue(_Item(entry, [memoryview(frame)[sent:]], seq, begun=True, promised=True))
            return None
        self._unkicked += length
        if self._unkicked > self._kick_bytes:
            self._kick()
        return seq

    async def record_durable(self, entry: bytes, payload: bytes | None = None) -> int:
        """Record an entry and its payload and wait until both are on disk.

        Raises:
            AuditUnavailable: the recorder refuses, or gave no answer in time: what the entry stands for must not
                happen.
        """
        if self._refusal is not None and not self._is_queued(entry):
            self.drop(entry)
            raise AuditUnavailable(self._refusal.name)
        seq = self._take(entry, payload or b"", urgent=True)
        try:
            await self._wait_durable(seq)
        except TimeoutError:
            self._abandon(entry)
            msg = f"no answer from the recorder within {self._timeout} s"
            raise AuditUnavailable(msg) from None
        return seq

    async def sync(self) -> int:
        """Wait until everything recorded so far is on disk; the last frame's number.

        Raises:
            AuditUnavailable: the recorder refuses, or gave no answer in time.
        """
        if self._refusal is not None:
            raise AuditUnavailable(self._refusal.name)
        seq = self._push(object(), [encode_sync(self._seq + 1)])
        self._kick()
        try:
            await self._wait_durable(seq)
        except TimeoutError:
            msg = f"no answer from the recorder within {self._timeout} s"
            raise AuditUnavailable(msg) from None
        return seq

    def post(self, entry: bytes, payload: bytes | None = None) -> None:
        """Record an entry that tells what has already happened (an outcome, a session's end): now, or in its turn.

        What waits is bounded by what was permitted before: no intent is recorded while anything waits.
        """
        self._take(entry, payload or b"", urgent=False)

    def response(self, route: bytes, data: bytes) -> bool:
        """Record response bytes; True when they are all in the kernel's buffer and may be released to the client.

        False: await ``room()`` and call again with the *same object*; it is not recorded twice.
        """
        if self._queue or self._refusal is not None:
            return False
        if self._finished and self._finished_seq(data):
            return True
        size = len(data)
        if size <= _ATOMIC_BYTES - 512:
            try:
                self._send(encode_frame(self._seq + 1, b"", route + data, 0))
            except BlockingIOError:
                self._kick()
                return False
            except OSError:
                self._refused(Refusal.CLOSING)
                return False
            self._seq += 1
        elif not self._has_room(size) and size < self._buffer_bytes // 4:
            self._kick()
            return False
        else:
            view = memoryview(data)
            frames = [
                encode_frame(self._seq + 1 + number, b"", b"".join((route, view[at : at + MAX_CONTENT_BYTES])), 0)
                for number, at in enumerate(range(0, size, MAX_CONTENT_BYTES))
            ]
            self._push(data, frames, promised=True)
            if self._queue:
                return False
        self._unkicked += size
        if self._unkicked > self._kick_bytes:
            self._kick()
        return True

    async def room(self) -> None:
        """Wait until the recorder has room again.

        Raises:
            AuditUnavailable: it refuses, or made none in time.
        """
        if self._refusal is not None:
            raise AuditUnavailable(self._refusal.name)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._room.append(future)
        self._kick()
        self._arm()
        try:
            async with asyncio.timeout(self._timeout):
                await future
        except TimeoutError:
            msg = f"the recorder made no room within {self._timeout} s"
            raise AuditUnavailable(msg) from None

    def drop(self, entry: bytes) -> None:
        """Give up an entry that ``record`` didn't take: it is named in a later gap entry."""
        self._lost_count += 1
        if len(self._lost) < _MAX_LOST:
            self._lost.append(hashlib.sha256(entry).hexdigest())

    async def close(self) -> None:
        """Send what waits, wait until it is on disk (if the recorder still answers), and let go of the socket."""
        with contextlib.suppress(AuditUnavailable):
            await self.sync()
        if self._loop is not None:
            self._loop.remove_reader(self._sock.fileno())
            if self._writer_armed:
                self._loop.remove_writer(self._sock.fileno())
        self._sock.close()
        os.close(self._kick_fd)

    # --- sending ----------------------------------------------------------------------------------------------------

    def _record_large(self, entry: bytes, payload: bytes) -> int | None:
        """Record what may need several kernel buffers: only if they all have room, by the kernel's own account."""
        if not self._has_room(len(payload) + len(entry)):
            self._kick()
            return None
        seq = self._push(entry, encode_frames(self._seq + 1, entry, payload), promised=True)
        self._kick()
        return None if self._queue else seq

    def _take(self, entry: bytes, payload: bytes, *, urgent: bool) -> int:
        """Send or queue an entry that hasn't been yet; its frame's number."""
        for item in self._queue:
            if item.key is entry:
                if urgent:
                    self._push(object(), [encode_sync(self._seq + 1)])
                item.promised = False
                self._kick()
                return item.seq
        finished = self._finished_seq(entry) if self._finished else 0
        if finished:
            if urgent and finished > self._durable:
                self._push(object(), [encode_sync(self._seq + 1)])
                self._kick()
            return finished
        seq = self._push(entry, encode_frames(self._seq + 1, entry, payload, urgent=urgent))
        if urgent or self._queue:
            self._kick()
        return seq

    def _push(self, key: object, frames: list[bytes], *, promised: bool = False) -> int:
        """Send frames in order, queueing what the kernel doesn't take; the number of the last."""
        self._seq += len(frames)
        seq = self._seq
        views = [memoryview(frame) for frame in frames]
        if self._queue:
            self._enqueue(_Item(key, views, seq, begun=False, promised=promised))
            return seq
        item = _Item(key, views, seq, begun=False, promised=promised)
        if not self._flush_item(item):
            self._enqueue(item)
        return seq

    def _flush_item(self, item: _Item) -> bool:
        """Send as much of an item as there is room for; True if that was all."""
        data = item.data
        while data:
            try:
                sent = self._send(data[0])
            except BlockingIOError:
                return False
            except OSError:
                self._refused(Refusal.CLOSING)
                return False
            item.begun = True
            self._unkicked += sent
            if sent == len(data[0]):
                del data[0]
            else:
                data[0] = data[0][sent:]
        return True

    def _enqueue(self, item: _Item) -> None:
        self._queue.append(item)
        self._kick()
        self._arm()

    def _has_room(self, size: int) -> bool:
        """True if the kernel's buffer surely takes ``size`` bytes now; it accounts up to twice that."""
        if not sys.platform.startswith("linux"):
            return True
        (used,) = struct.unpack("i", fcntl.ioctl(self._sock, _SIOCOUTQ, b"\0\0\0\0"))
        return bool(self._buffer_bytes - used > 2 * size + 4 * _ATOMIC_BYTES)

    def _is_queued(self, entry: bytes) -> bool:
        return any(item.key is entry for item in self._queue)

    def _finished_seq(self, key: object) -> int:
        """The frame number of what was sent in the meantime, once; 0 if it wasn't."""
        for number, (finished, seq) in enumerate(self._finished):
            if finished is key:
                del self._finished[number]
                return seq
        return 0

    def _abandon(self, entry: bytes) -> None:
        """Take back an entry that nobody waits for any more, if none of it was sent and nothing is behind it."""
        if self._queue and self._queue[-1].key is entry and not self._queue[-1].begun:
            item = self._queue.pop()
            self._seq = item.seq - len(item.data)
            self.drop(entry)

    def _kick(self) -> None:
        """Wake the recorder; a full pipe means that it is awake already."""
        self._unkicked = 0
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self._kick_fd, b"k")

    # --- events -----------------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        if self._loop is not None and not self._writer_armed:
            self._writer_armed = True
            self._loop.add_writer(self._sock.fileno(), self._on_writable)

    def _on_writable(self) -> None:
        while self._queue:
            if not self._flush_item(self._queue[0]):
                self._kick()
                return
            item = self._queue.popleft()
            if item.promised:
                self._finished.append((item.key, item.seq))
        waiting, self._room = self._room, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
        self._writer_armed = False
        if self._loop is not None:
            self._loop.remove_writer(self._sock.fileno())

    def _on_readable(self) -> None:
        try:
            data = self._sock.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            if self._loop is not None:
                self._loop.remove_reader(self._sock.fileno())
            self._refused(Refusal.CLOSING)
            return
        data = self._inbox + data
        whole = len(data) - len(data) % NOTICE_BYTES
        self._inbox = data[whole:]
        try:
            for at in range(0, whole, NOTICE_BYTES):
                self._noticed(*decode_notice(data[at : at + NOTICE_BYTES]))
        except ProtocolError:
            self._refused(Refusal.MALFORMED)

    def _noticed(self, kind: Notice, code: int, seq: int) -> None:
        if kind is Notice.DURABLE:
            self._durable = max(self._durable, seq)
            waiting = self._waiting
            while waiting and waiting[0][0] <= self._durable:
                future = waiting.popleft()[1]
                if not future.done():
                    future.set_result(None)
        elif kind is Notice.REFUSED:
            self._refused(Refusal(code))
        else:
            self._refusal = None
            if self._lost_count:
                lost, count = self._lost, self._lost_count
                self._lost, self._lost_count = [], 0
                self.post(*self._gap(lost, count))

    def _refused(self, why: Refusal) -> None:
        """Fail closed: whoever waits learns that there is no recording."""
        self._refusal = why
        failed = [future for _, future in self._waiting] + self._room
        self._waiting.clear()
        self._room = []
        for future in failed:
            if not future.done():
                future.set_exception(AuditUnavailable(why.name))

    async def _wait_durable(self, seq: int) -> None:
        """Wait for the notice that covers ``seq``.

        Raises:
            TimeoutError: it didn't come in time.
            AuditUnavailable: the recorder refused.
        """
        if self._durable >= seq:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((seq, future))
        async with asyncio.timeout(self._timeout):
            await future


def enlarge_buffer(sock: socket.socket, size: int) -> int:
    """Ask for a send buffer of ``size`` bytes, by force where permitted; the size that the kernel accounts."""
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) >= size:
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    if not (sys.platform.startswith("linux") and _try_option(sock, _SO_SNDBUFFORCE, size)):
        _try_option(sock, socket.SO_SNDBUF, size)
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)


def _try_option(sock: socket.socket, option: int, value: int) -> bool:
    try:
        sock.setsockopt(socket.SOL_SOCKET, option, value)
    except OSError:
        return False
    return True


__all__ = ["BUFFER_BYTES", "HEADER_BYTES", "TIMEOUT_SECONDS", "RecorderClient", "enlarge_buffer"]
