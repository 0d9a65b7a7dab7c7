"""The recorder: the one process that owns the log. ``python -m interlock.audit.recorder --config-fd N``.

One round, over all channels: peek what a worker's socket holds, write it, sync the files once, and only then take
exactly those bytes out of the sockets and tell whoever waits. If we crash anywhere before the last step, the bytes are
still in the socket that the supervisor holds, and the next run drops what the log has already (by channel and seq).

When the disk is full the reserve is released, the refusal is recorded and told to all workers, and what was recorded
(sits in the sockets) still goes to the log. Nothing is consumed that isn't on disk.
"""

import argparse
import contextlib
import ctypes
import errno
import json
import os
import resource
import secrets
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from interlock.audit.disk import Disk
from interlock.audit.framing import (
    ENTRY_LENGTH,
    MAX_FRAME_BYTES,
    Group,
    Notice,
    Refusal,
    decode_frames,
    encode_frame,
    encode_notice,
    resynchronise,
)
from interlock.audit.journal import Journal, Sealed
from interlock.audit.keys import KeyFileError
from interlock.audit.store import Limits, LogLocked, Recovery, Store

PEEK_BYTES: Final = 4 * 1024 * 1024
ROUND_SECONDS: Final = 0.03
"""While there is traffic, what nobody waits for is read this often; each round ends on disk, so within 50 ms."""
HEARTBEAT_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 1.0
_QUIET_ROUNDS: Final = 10
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_PR_SET_DUMPABLE: Final = 4


class ChannelConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One worker's socket and kick pipe, as inherited descriptors; ``channel`` is random, 16 hex digits."""

    sock: int
    kick: int
    channel: str
    worker: str


class RecorderConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the supervisor tells a recorder; comes through a descriptor, holds no secret."""

    directory: str
    instance: str
    durability: str
    supervisor_uid: int
    control: int = -1
    channels: list[ChannelConfig] = []
    limits: Limits = Limits()
    heartbeat_seconds: float = HEARTBEAT_SECONDS


class Channel:
    """One worker's socket."""

    __slots__ = ("fresh", "id", "kick", "last", "pending_notices", "sock", "taken", "urgent", "worker", "wrong")

    def __init__(self, sock: socket.socket, kick: int, channel: int, worker: str, last: int) -> None:
        sock.setblocking(False)
        os.set_blocking(kick, False)
        self.sock: Final = sock
        self.kick: Final = kick
        self.id: Final = channel
        self.worker: Final = worker
        self.last = last
        """Last seq that is in the log."""
        self.fresh = True
        """Nothing was read in this run yet."""
        self.taken = 0
        self.urgent = False
        self.wrong = ""
        self.pending_notices = b""


class Recorder:
    """Rounds over channels into a store; ``run`` is the loop, ``round`` can be called by itself."""

    def __init__(
        self,
        store: Store,
        journal: Journal,
        *,
        monotonic: Callable[[], float],
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        report: Callable[[Mapping[str, object]], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._journal = journal
        self._monotonic = monotonic
        self._heartbeat_seconds = heartbeat_seconds
        self._report = report
        self._channels: dict[int, Channel] = {}
        self._known: dict[int, int] = {}
        self._own_id = int.from_bytes(secrets.token_bytes(8), "big")
        self._own_seq = 0
        self._own: list[Sealed] = []
        self._buffer = bytearray(PEEK_BYTES)
        self._view = memoryview(self._buffer)
        self._refusal: Refusal | None = None
        self._stopping = False
        self._control: socket.socket | None = None
        self._wake_fd = -1
        self._next_heartbeat = monotonic() + heartbeat_seconds
        self._next_retry = 0.0
        self._failed = False
        self._partial = False

    @property
    def refusing(self) -> bool:
        """True while nothing new may be recorded."""
        return self._refusal is not None

    def start(self, detail: Mapping[str, str | int]) -> Recovery:
        """Recover the log, begin a new file and record that this run has begun.

        Raises:
            OSError: the disk isn't usable at all.
            LogLocked: another recorder owns the log.
            KeyFileError: the recordings' key is missing or unusable.
        """
        self._store.lock()
        recovery = self._store.recover()
        self._known = dict(recovery.channels)
        self._own.append(
            self._journal.recorder_start(
                {
                    **detail,
                    "first": recovery.first,
                    "previous": recovery.number,
                    "previous_bytes": recovery.good_bytes,
                    "previous_digest": recovery.digest,
                    "torn_bytes": recovery.torn_bytes,
                }
            )
        )
        return recovery

    def open(self) -> None:
        """Begin this run's first file; with a full disk, refuse and go on trying."""
        try:
            self._store.begin(self._positions())
            self._store.make_reserve()
        except OSError as error:
            self._disk_failed(error, renew=False)

    def add(self, sock: socket.socket, kick: int, channel: int, worker: str) -> None:
        """Serve another worker; tell it up to where the log has it already."""
        added = Channel(sock, kick, channel, worker, self._known.get(channel, 0))
        self._channels[channel] = added
        if added.last:
            self._notify(added, encode_notice(Notice.DURABLE, added.last))
        refusal = self._refusal
        notice = encode_notice(Notice.RESUMED, 0) if refusal is None else encode_notice(Notice.REFUSED, 0, refusal)
        self._notify(added, notice)

    # --- one round --------------------------------------------------------------------------------------------------

    def round(self) -> bool:
        """Write, sync, consume, tell: everything that the sockets hold now; True if there was anything."""
        self._failed = False
        try:
            busy = self._write_all()
        except OSError as error:
            self._undo()
            self._disk_failed(error, renew=error.errno not in _FULL)
            return False
        if not busy and not self._own:
            return False
        try:
            self._store.commit()
        except OSError as error:
            self._undo()
            self._disk_failed(error, renew=True)
            return False
        self._own.clear()
        for channel in list(self._channels.values()):
            if channel.taken:
                self._consume(channel)
            if channel.urgent:
                channel.urgent = False
                self._notify(channel, encode_notice(Notice.DURABLE, channel.last))
            if channel.wrong:
                self._end_channel(channel)
        try:
            self._store.rotate_if_due(self._positions())
        except OSError as error:
            self._disk_failed(error, renew=True)
        return busy

    def _write_all(self) -> bool:
        """Write our own entries and what every channel holds."""
        for sealed in self._own:
            self._own_seq += 1
            entries, groups = _own_frame(self._own_seq, sealed)
            self._store.append(self._own_id, self._own_seq, entries, groups)
        busy = False
        self._partial = False
        for channel in self._channels.values():
            busy |= self._write_channel(channel)
        return busy

    def _write_channel(self, channel: Channel) -> bool:
        """Peek at one socket and write what is new in it; nothing is consumed."""
        channel.taken = 0
        try:
            got = channel.sock.recv_into(self._buffer, PEEK_BYTES, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            got = 0
        if not got:
            channel.wrong = channel.wrong or "closed"
            return True
        start = 0
        decoded = decode_frames(self._view[:got], channel.last, fresh=channel.fresh)
        if channel.fresh and channel.last and not decoded.used and decoded.wrong == "malformed":
            # A recorder died in the middle of consuming: what is left of those frames is in the log already.
            start = resynchronise(self._view[:got], channel.last)
            decoded = decode_frames(self._view[start:got], channel.last, fresh=True)
        if decoded.frames:
            self._store.append(channel.id, decoded.last_seq, decoded.entries, decoded.groups)
            channel.urgent = channel.urgent or decoded.urgent
        if decoded.used:
            channel.fresh = False
            channel.taken = start + decoded.used
        elif not decoded.wrong and (got >= MAX_FRAME_BYTES or _hung_up(channel.sock)):
            channel.wrong = "incomplete"
        else:
            self._partial = not decoded.wrong
        channel.wrong = channel.wrong or decoded.wrong
        self._known[channel.id] = decoded.last_seq
        return bool(channel.taken or channel.wrong)

    def _consume(self, channel: Channel) -> None:
        """Take what is on disk now out of the socket."""
        left = channel.taken
        channel.taken = 0
        channel.last = self._known[channel.id]
        while left:
            left -= channel.sock.recv_into(self._buffer, min(left, PEEK_BYTES))

    def _undo(self) -> None:
        """Nothing of this round counts; the sockets still hold it."""
        for channel in self._channels.values():
            channel.taken = 0
            self._known[channel.id] = channel.last

    def _end_channel(self, channel: Channel) -> None:
        """A worker is gone or broke the rules: the channel ends, and unless it ended well, that is on record."""
        del self._channels[channel.id]
        self._report({"state": "channel_ended", "channel": f"{channel.id:016x}", "code": channel.wrong})
        if channel.wrong != "closed":
            self._notify(channel, encode_notice(Notice.REFUSED, 0, Refusal.MALFORMED))
            self._own.append(
                self._journal.admin(
                    "channel_ended",
                    code=channel.wrong,
                    detail={"channel": f"{channel.id:016x}", "worker": channel.worker},
                )
            )
            with contextlib.suppress(OSError):
                channel.sock.shutdown(socket.SHUT_RDWR)
        self._known.pop(channel.id, None)
        channel.sock.close()
        os.close(channel.kick)

    # --- trouble ----------------------------------------------------------------------------------------------------

    def _disk_failed(self, error: OSError, *, renew: bool) -> None:
        """Fail closed; then make what is already recorded safe, in the reserve or in new files.

        A file whose sync failed is given up (``renew``); one that only had no room is cut back to what is committed.
        """
        self._failed = True
        first = self._refusal is None
        self._refusal = Refusal.DISK_FULL if error.errno in _FULL else Refusal.DISK_ERROR
        if first:
            self._own.append(self._journal.gap(self._refusal.name.lower()))
            self._tell_all(encode_notice(Notice.REFUSED, 0, self._refusal))
            self._report({"state": "refusing", "code": self._refusal.name.lower(), "errno": error.errno or 0})
            self._next_retry = 0.0
            with contextlib.suppress(OSError):
                self._store.release_reserve()
        else:
            self._next_retry = self._monotonic() + RETRY_SECONDS
        try:
            if renew:
                self._store.renew(self._positions())
            else:
                self._store.rollback()
        except OSError:
            with contextlib.suppress(OSError):
                self._store.renew(self._positions())

    def _try_to_resume(self) -> None:
        """Refusing ends when the disk takes what waits and the reserve is whole again."""
        self._next_retry = self._monotonic() + RETRY_SECONDS
        if not self._store.is_open:
            try:
                self._store.renew(self._positions())
            except OSError:
                return
        while self.round():
            pass
        if self._failed:
            return
        try:
            self._store.make_reserve()
        except OSError:
            return
        self._own.append(self._journal.gap("resumed"))
        self.round()
        if not self._failed:
            self._refusal = None
            self._tell_all(encode_notice(Notice.RESUMED, 0))
            self._report({"state": "resumed"})

    def _positions(self) -> dict[int, int]:
        """Up to where each live channel is in the log."""
        return {channel.id: channel.last for channel in self._channels.values()}

    def _tell_all(self, notice: bytes) -> None:
        for channel in self._channels.values():
            self._notify(channel, notice)

    def _notify(self, channel: Channel, notice: bytes) -> None:
        """Send a notice; a worker that doesn't read its notices loses some, and waits in vain."""
        data = channel.pending_notices + notice
        try:
            sent = channel.sock.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError:
            channel.pending_notices = b""
            return
        channel.pending_notices = data[sent:][-4096 - len(data[sent:]) % 16 :] if sent < len(data) else b""

    # --- the loop ---------------------------------------------------------------------------------------------------

    def run(self, control: socket.socket | None, wake_fd: int) -> None:
        """Serve until SIGTERM, or until the supervisor and all workers are gone."""
        self._control = control
        self._wake_fd = wake_fd
        quiet = 0
        while not self._stopping:
            asleep = quiet >= _QUIET_ROUNDS
            self._poll(data_too=asleep)
            now = self._monotonic()
            if now >= self._next_heartbeat:
                self._next_heartbeat = now + self._heartbeat_seconds
                if self._refusal is None:
                    self._own.append(self._journal.heartbeat({"channels": len(self._channels)}))
                    self._prune()
            if self._refusal is not None and now >= self._next_retry:
                self._try_to_resume()
            elif self._refusal is None:
                quiet = 0 if self.round() or self._partial else quiet + 1
            if self._control is None and not self._channels:
                break
        self.stop("closing")

    def stop(self, code: str) -> None:
        """Record what the sockets hold and that this run ends."""
        while self.round():
            pass
        self._own.append(self._journal.recorder_stop(code))
        self.round()
        self._tell_all(encode_notice(Notice.REFUSED, 0, Refusal.CLOSING))
        self.abandon()

    def abandon(self) -> None:
        """Let go of all descriptors and of the lock without writing anything."""
        for channel in self._channels.values():
            channel.sock.close()
            os.close(channel.kick)
        self._channels.clear()
        self._store.close()

    def request_stop(self) -> None:
        """Make ``run`` return after what it is doing; safe in a signal handler."""
        self._stopping = True

    def _poll(self, *, data_too: bool) -> None:
        """Wait for a kick, a word from the supervisor, or time; when all is quiet also for data itself."""
        poll = select.poll()
        if self._wake_fd >= 0:
            poll.register(self._wake_fd, select.POLLIN)
        if self._control is not None:
            poll.register(self._control, select.POLLIN)
        for channel in self._channels.values() if self._refusal is None else ():
            poll.register(channel.kick, select.POLLIN)
            if data_too:
                poll.register(channel.sock, select.POLLIN)
        due = self._next_heartbeat if self._refusal is None else min(self._next_heartbeat, self._next_retry)
        limit = max(due - self._monotonic(), 0.0)
        if not data_too and self._refusal is None:
            limit = min(limit, ROUND_SECONDS)
        ready = {fd for fd, _ in poll.poll(limit * 1000 + 1)}
        if self._wake_fd in ready:
            _drain(self._wake_fd)
        for channel in self._channels.values():
            if channel.kick in ready:
                _drain(channel.kick)
        if self._control is not None and self._control.fileno() in ready:
            self._on_control(self._control)

    def _on_control(self, control: socket.socket) -> None:
        """The supervisor hands down another channel, or is gone."""
        try:
            data, fds, _, _ = socket.recv_fds(control, 4096, 2)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        if not data:
            self._control = None
            return
        message = json.loads(data)
        if message.get("do") == "add" and len(fds) == 2:
            self.add(socket.socket(fileno=fds[0]), fds[1], int(message["channel"], 16), str(message["worker"]))
            return
        for fd in fds:
            os.close(fd)

    def _prune(self) -> None:
        """Remove recordings that are over their age or size, each after an entry that says so is on disk."""
        for number, size in self._store.prunable():
            self._own.append(self._journal.admin("prune", detail={"bytes": size, "recording": number}))
            self.round()
            if self._own:
                return
            with contextlib.suppress(OSError):
                self._store.prune(number)


def _own_frame(seq: int, sealed: Sealed) -> tuple[list[bytes], dict[bytes, Group]]:
    """An entry of the recorder itself, as if it had come through a channel."""
    entry, payload = sealed
    entries = [ENTRY_LENGTH.pack(len(entry)) + entry]
    if payload is None:
        return entries, {}
    return entries, {b"": Group(seq, seq, [memoryview(encode_frame(seq, b"", payload, 0))])}


def _hung_up(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, 0)
    return bool(poll.poll(0))


def _drain(fd: int) -> None:
    with contextlib.suppress(BlockingIOError):
        os.read(fd, 65_536)


def harden() -> None:
    """No core dumps, no ptrace by the same user, no files for others."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def read_config(fd: int) -> RecorderConfig:
    """Read the configuration from an inherited descriptor.

    Raises:
        msgspec.MsgspecError: it isn't one.
    """
    with open(fd, "rb") as file:
        return msgspec.json.decode(file.read(), type=RecorderConfig)


def serve(config: RecorderConfig, disk: Disk) -> None:
    """Be the recorder until told to stop."""
    journal = Journal(
        instance=config.instance,
        worker="recorder",
        now_us=_now_us,
        mono_us=_mono_us,
        random=secrets.token_bytes,
    )
    store = Store(Path(config.directory), disk=disk, random=secrets.token_bytes, now_us=_now_us, limits=config.limits)
    control = socket.socket(fileno=config.control) if config.control >= 0 else None

    def report(message: Mapping[str, object]) -> None:
        if control is not None:
            with contextlib.suppress(OSError):
                control.send(json.dumps(message).encode(), socket.MSG_DONTWAIT)

    recorder = Recorder(
        store, journal, monotonic=time.monotonic, heartbeat_seconds=config.heartbeat_seconds, report=report
    )
    wake_out, wake_in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wake_in, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda *_: recorder.request_stop())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor, in the same process group, decides
    recorder.start(
        {
            "durability": config.durability,
            "own_uid": int(os.getuid() != config.supervisor_uid),
            "pid": os.getpid(),
        }
    )
    for channel in config.channels:
        recorder.add(socket.socket(fileno=channel.sock), channel.kick, int(channel.channel, 16), channel.worker)
    recorder.open()
    recorder.round()
    report({"state": "ready", "pid": os.getpid()})
    recorder.run(control, wake_out)


def _now_us() -> int:
    return time.time_ns() // 1000


def _mono_us() -> int:
    return time.monotonic_ns() // 1000


def main(arguments: Sequence[str] | None = None, *, disk: Disk | None = None) -> int:
    """Run the recorder; exit codes: 0 told to stop, 2 usage, 3 another recorder, a key or a disk that can't be used."""
    parser = argparse.ArgumentParser(prog="interlock-recorder")
    parser.add_argument("--config-fd", type=int, required=True)
    options: Any = parser.parse_args(arguments)
    harden()
    try:
        serve(read_config(options.config_fd), disk or Disk())
    except (LogLocked, KeyFileError, OSError, msgspec.MsgspecError) as error:
        sys.stderr.write(f"interlock recorder: {error}\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
