"""The control socket: who may speak, how much, how long."""

import asyncio
import contextlib
import logging
import os
import pwd
import socket
import stat
import struct
from pathlib import Path
from typing import Final, final

from interlock.control.messages import MAX_REQUEST_BYTES, ControlRefused, decode_request, encode_data, encode_error
from interlock.control.operations import Operations
from interlock.core.errors import AuditUnavailable, InterlockError

LOG: Final = logging.getLogger("interlock.control")
MAX_CONNECTIONS: Final = 64
IDLE_SECONDS: Final = 60.0
WRITE_SECONDS: Final = 30.0
_MAX_PATH: Final = 107
_CREDENTIALS: Final = struct.Struct("3i")


@final
class ControlServer:
    """Listens on a local socket of mode 0600; only the same user and root are answered."""

    def __init__(
        self, path: Path, operations: Operations, *, owner: int | None = None, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self._path: Final = path
        self._operations: Final = operations
        self._owner: Final = os.geteuid() if owner is None else owner
        self._idle: Final = idle_seconds
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen.

        Raises:
            InterlockError: another gateway listens there, or the path can't be used.
        """
        sock = _bind(self._path)
        self._server = await asyncio.start_unix_server(self._converse, sock=sock, limit=MAX_REQUEST_BYTES)

    async def close(self) -> None:
        """Stop listening, end conversations (those that follow the log never end themselves)."""
        if self._server is None:
            return
        self._server.close()
        self._path.unlink(missing_ok=True)
        for connection in tuple(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, TimeoutError):
            pass  # the peer went away or went silent: nothing is owed to it
        except asyncio.CancelledError:
            pass  # the gateway stops; asyncio's server would log a task that ends so
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        by = self._verified_peer(writer)
        if by is None or len(self._connections) > MAX_CONNECTIONS:
            code, message = ("not_allowed", "you are not the gateway's user") if by is None else ("busy", "try again")
            await _send(writer, encode_error(code, message))
            return
        while True:
            try:
                async with asyncio.timeout(self._idle):
                    line = await reader.readuntil(b"\n")
            except asyncio.IncompleteReadError:
                return
            except asyncio.LimitOverrunError:
                await _send(writer, encode_error("bad_request", f"a request is at most {MAX_REQUEST_BYTES} bytes"))
                return
            await self._reply(line, by, writer)

    async def _reply(self, line: bytes, by: str, writer: asyncio.StreamWriter) -> None:
        try:
            async for data, more in self._operations.answer(decode_request(line), by):
                await _send(writer, encode_data(data, more=more))
        except ControlRefused as refused:
            await _send(writer, encode_error(refused.reply_code, refused.message))
        except AuditUnavailable:
            LOG.warning("control_change_not_recorded", extra={"by": by})
            message = "this can't be recorded now, so it wasn't done; see `interlock doctor`"
            await _send(writer, encode_error(AuditUnavailable.code, message))
        except InterlockError as error:
            LOG.warning("control_request_failed", extra={"by": by, "code": error.code}, exc_info=error)
            await _send(writer, encode_error(error.code, f"{error}; see `interlock doctor`"))

    def _verified_peer(self, writer: asyncio.StreamWriter) -> str | None:
        """The local user at the other end, by the kernel's word, if it is the gateway's own or root."""
        with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as sock:
            raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _pid, uid, _gid = _CREDENTIALS.unpack(raw)
        if uid not in (0, self._owner):
            LOG.warning("control_peer_refused", extra={"uid": uid})
            return None
        try:
            return f"local:{pwd.getpwuid(uid).pw_name}"
        except KeyError:
            return f"local:uid-{uid}"


async def _send(writer: asyncio.StreamWriter, line: bytes) -> None:
    writer.write(line)
    async with asyncio.timeout(WRITE_SECONDS):
        await writer.drain()


def _bind(path: Path) -> socket.socket:
    """A listening socket at ``path``, mode 0600 from its first moment; a dead one in the way is removed."""
    if len(os.fsencode(path)) > _MAX_PATH:
        msg = f"{path}: a local socket's path has at most {_MAX_PATH} bytes; choose a shorter data_dir"
        raise InterlockError(msg)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        _remove_dead(path)
        sock.bind(os.fspath(path))
        sock.listen(MAX_CONNECTIONS)
    except OSError as error:
        sock.close()
        msg = f"{path}: can't listen here: {error.strerror}"
        raise InterlockError(msg) from error
    finally:
        os.umask(mask)
    return sock


def _remove_dead(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(0, "something that isn't a socket is there; move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise FileExistsError(0, "another gateway with this data_dir is running; stop it first")
