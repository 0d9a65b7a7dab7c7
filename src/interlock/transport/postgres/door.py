"""A PostgreSQL client's first words, performed: the prelude decides, this reads and answers.

Before TLS the raw socket is read exactly as far as the prelude wants, so nothing said in the clear outlives the
handshake (T1). Inside TLS the same prelude goes on, since newer clients send cancel requests there.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Final, cast, final

from interlock.protocols.postgres.prelude import Cancel, Continue, Prelude, PreludeStep, Refuse, Startup, WrapTls
from interlock.transport.cancel import CancelRouter
from interlock.transport.listener import Opened
from interlock.transport.raw import PeerClosed, close_politely, peek, read_exactly, send_all
from interlock.transport.stream import CLOSE_SECONDS
from interlock.wire.postgres.replies import error_response

_log = logging.getLogger("interlock.transport")


@final
class FirstWords(asyncio.Protocol):
    """Collects what arrives on a transport until somebody takes the transport over."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._data = bytearray()
        self._ended = False
        self._paused = False
        self._more = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The (protected) connection stands."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of it

    def data_received(self, data: bytes) -> None:
        """Keep the bytes; one reading is enough to wait with."""
        self._data += data
        if self.transport is not None and not self._paused:
            self._paused = True
            self.transport.pause_reading()
        self._more.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - a reset and a close end alike
        """No more will come."""
        self._ended = True
        self._more.set()

    async def read_exactly(self, count: int) -> bytes:
        """Exactly ``count`` bytes.

        Raises:
            PeerClosed: the client hung up before.
        """
        assert self.transport is not None
        while len(self._data) < count:
            if self._ended:
                msg = "the client hung up during its start-up packet"
                raise PeerClosed(msg)
            self._more.clear()
            self._resume()
            await self._more.wait()
        data = bytes(self._data[:count])
        del self._data[:count]
        return data

    def take_rest(self) -> bytes:
        """What arrived behind the bytes read so far; the transport is read again, by whoever takes it over now."""
        rest = bytes(self._data)
        self._data.clear()
        self._resume()
        return rest

    def _resume(self) -> None:
        if self._paused and self.transport is not None and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()


@final
class PostgresDoor:
    """Opens connections of PostgreSQL clients."""

    def __init__(
        self, *, tls: Callable[[], ssl.SSLContext | None], plaintext_allowed: bool, cancels: CancelRouter
    ) -> None:
        self._tls: Final = tls
        """The context in force now: certificates are replaced by a reload."""
        self._plaintext_allowed: Final = plaintext_allowed
        self._cancels: Final = cancels

    def refusal(self, code: str) -> bytes:
        """FATAL 53300, as PostgreSQL says it when its places are taken."""
        return error_response("FATAL", "53300", "sorry, too many clients already", detail=f"Interlock: {code}")

    async def open(self, sock: socket.socket) -> Opened | None:
        """Talk until there is a StartupMessage; a cancel request is passed on in silence (T11).

        Raises:
            ProtocolError: the client hung up or broke the protocol where no answer is due.
            OSError: the connection or its TLS broke.
        """
        context = self._tls()
        prelude = Prelude(tls_offered=context is not None, plaintext_allowed=self._plaintext_allowed)
        step = prelude.first_byte(await peek(sock))
        while isinstance(step, Continue):
            if step.reply:
                await send_all(sock, step.reply)
            step = prelude.feed(await read_exactly(sock, prelude.wants))
        if not isinstance(step, WrapTls):
            return await self._conclude(step, await _adopt(sock, None) if isinstance(step, Startup) else None, sock)
        if step.reply:
            await send_all(sock, step.reply)
        words = await _adopt(sock, context)
        try:
            return await self._open_inside(prelude, words, sock)
        except BaseException:
            _abort(words)
            raise

    async def _open_inside(self, prelude: Prelude, words: FirstWords, sock: socket.socket) -> Opened | None:
        assert words.transport is not None
        ssl_object = words.transport.get_extra_info("ssl_object")
        step = prelude.secured(ssl_object.selected_alpn_protocol())
        while isinstance(step, Continue):
            if step.reply:
                words.transport.write(step.reply)
            step = prelude.feed(await words.read_exactly(prelude.wants))
        return await self._conclude(step, words, sock)

    async def _conclude(self, step: PreludeStep, words: FirstWords | None, sock: socket.socket) -> Opened | None:
        match step:
            case Startup() if words is not None and words.transport is not None:
                return Opened(words.transport, first=step.head + words.take_rest(), tls=step.tls)
            case Cancel():
                self._cancels.present(step.pid, step.key, source=_source(sock))
            case Refuse():
                _log.info("prelude_refused", extra={"client_address": _source(sock), "reason": step.reason})
                if step.reply and words is not None and words.transport is not None:
                    words.transport.write(step.reply)
                elif step.reply:
                    await send_all(sock, step.reply)
            case Startup() | Continue() | WrapTls():
                pass  # answered before; inside TLS there is no second handshake
        if words is not None and words.transport is not None:
            words.transport.close()
        else:
            close_politely(sock)
        return None


async def _adopt(sock: socket.socket, context: ssl.SSLContext | None) -> FirstWords:
    """Hand the socket to the loop, behind TLS where there is a context.

    Raises:
        OSError: the handshake failed (``ssl.SSLError`` is one).
    """
    loop = asyncio.get_running_loop()
    words = FirstWords()
    if context is None:
        await loop.connect_accepted_socket(lambda: words, sock)
    else:
        await loop.connect_accepted_socket(lambda: words, sock, ssl=context, ssl_shutdown_timeout=CLOSE_SECONDS)
    return words


def _abort(words: FirstWords) -> None:
    if words.transport is not None:
        words.transport.abort()


def _source(sock: socket.socket) -> str:
    try:
        name = sock.getpeername()
    except OSError:
        return ""
    return str(name[0]) if isinstance(name, tuple) else "local"
