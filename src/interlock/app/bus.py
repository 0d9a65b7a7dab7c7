"""The local bus between supervisor and workers: one socketpair each, MessagePack frames with a length before them.

Trust: both ends are the gateway's own processes; a frame that can't be read ends the link all the same.
"""

import asyncio
import socket
import struct
from collections.abc import Mapping
from typing import Final, final

import msgspec

from interlock.core.errors import InterlockError

MAX_FRAME_BYTES: Final = 64 * 1024 * 1024
_LENGTH: Final = struct.Struct("!I")


class BusBroken(InterlockError):
    """The other end is gone, or said what can't be read."""

    code = "bus"


class Snapshot(msgspec.Struct, frozen=True):
    """What is in force: the text of the configuration and of the policies, so that all workers have the very same."""

    generation: int
    config_file: str
    config_text: str
    policies: Mapping[str, str]


class Start(msgspec.Struct, frozen=True, tag=True):
    """First of all, to a worker: who it is, what it was given, what is in force."""

    worker: int
    name: str
    instance: str
    log_level: int
    recorder_fd: int
    kick_fd: int
    listeners: Mapping[str, int]
    """Descriptor of the bound socket, by protocol."""
    snapshot: Snapshot


class Prepare(msgspec.Struct, frozen=True, tag=True):
    """Build everything from this, and say whether it can be; nothing changes yet."""

    request: int
    snapshot: Snapshot


class Switch(msgspec.Struct, frozen=True, tag=True):
    """Put in force what was prepared."""

    request: int
    generation: int


class Discard(msgspec.Struct, frozen=True, tag=True):
    """Forget what was prepared: another worker couldn't."""

    generation: int


class Cancel(msgspec.Struct, frozen=True, tag=True):
    """A cancel request for a session of ``worker``; from a worker to the supervisor, and on to that worker."""

    worker: int
    pid: int
    secret: bytes


class Kill(msgspec.Struct, frozen=True, tag=True):
    """End this session if the worker has it; the answer counts it."""

    request: int
    session_id: str
    kill_code: str
    message: str


class Revoked(msgspec.Struct, frozen=True, tag=True):
    """End the sessions that this revocation concerns; the answer counts them."""

    request: int
    kind: str
    value: str


class ApprovalChanged(msgspec.Struct, frozen=True, tag=True):
    """Somebody decided: whoever waits for it looks again."""

    approval_id: str


class Drain(msgspec.Struct, frozen=True, tag=True):
    """Accept no more; end sessions as their statements end, all of them within ``seconds``; then end."""

    seconds: float


class Listening(msgspec.Struct, frozen=True, tag=True):
    """From a worker: it accepts connections."""


class Answer(msgspec.Struct, frozen=True, tag=True):
    """From a worker: what a request came to."""

    request: int
    count: int = 0
    error: str = ""


class Report(msgspec.Struct, frozen=True, tag=True):
    """From a worker, now and then: how it is."""

    connections: int
    sessions: int


ToWorker = Start | Prepare | Switch | Discard | Cancel | Kill | Revoked | ApprovalChanged | Drain
FromWorker = Listening | Answer | Cancel | Report
Message = ToWorker | FromWorker

_encode: Final = msgspec.msgpack.Encoder().encode
_decoder: Final[msgspec.msgpack.Decoder[Message]] = msgspec.msgpack.Decoder(Message)


@final
class Link:
    """One end of a worker's bus."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader: Final = reader
        self._writer: Final = writer

    @classmethod
    async def open(cls, sock: socket.socket) -> "Link":
        """Use a connected local socket, which the link then owns."""
        reader, writer = await asyncio.open_unix_connection(sock=sock)
        return cls(reader, writer)

    def send(self, message: Message) -> None:
        """Queue a message; to an end that is gone it goes nowhere, which ``receive`` tells."""
        body = _encode(message)
        if not self._writer.is_closing():
            self._writer.write(_LENGTH.pack(len(body)) + body)

    async def receive(self) -> Message:
        """The next message.

        Raises:
            BusBroken: the other end is gone, or sent what can't be read.
        """
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            if length > MAX_FRAME_BYTES:
                msg = f"a frame of {length} bytes"
                raise BusBroken(msg)
            return _decoder.decode(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            msg = "the other end is gone"
            raise BusBroken(msg) from error
        except msgspec.MsgspecError as error:
            msg = "a frame that can't be read"
            raise BusBroken(msg) from error

    def close(self) -> None:
        """Let go of the socket."""
        self._writer.close()
