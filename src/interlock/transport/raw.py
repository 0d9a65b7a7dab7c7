"""Reads a raw socket exactly: what a protocol says before TLS, and not one byte more (T1).

Bytes are taken from the kernel only when they are wanted, so nothing that was sent in the clear after a request for
TLS can ever be read as if it had been protected.
"""

import asyncio
import socket
from typing import Final

from interlock.core.errors import ClientProtocolError

LINGER_BYTES: Final = 64 * 1024


class PeerClosed(ClientProtocolError):
    """The peer hung up before it said all that was announced."""


async def wait_readable(sock: socket.socket) -> None:
    """Wait until a read wouldn't block, be it for bytes or for the end."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def on_readable() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(sock.fileno(), on_readable)
    try:
        await ready
    finally:
        loop.remove_reader(sock.fileno())


async def peek(sock: socket.socket) -> int:
    """The first unread byte, left where it is.

    Raises:
        PeerClosed: there is none, nor will be.
        OSError: the connection broke.
    """
    while True:
        try:
            data = sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            await wait_readable(sock)
            continue
        if not data:
            msg = "the peer hung up"
            raise PeerClosed(msg)
        return data[0]


async def read_exactly(sock: socket.socket, count: int) -> bytes:
    """Exactly ``count`` bytes; what follows them stays in the kernel.

    Raises:
        PeerClosed: the peer hung up before.
        OSError: the connection broke.
    """
    parts: list[bytes] = []
    missing = count
    while missing:
        try:
            data = sock.recv(missing)
        except BlockingIOError:
            await wait_readable(sock)
            continue
        if not data:
            msg = f"the peer hung up {missing} bytes before the end of {count}"
            raise PeerClosed(msg)
        parts.append(data)
        missing -= len(data)
    return b"".join(parts)


async def send_all(sock: socket.socket, data: bytes) -> None:
    """Send every byte.

    Raises:
        OSError: the connection broke.
    """
    await asyncio.get_running_loop().sock_sendall(sock, data)


def has_unread(sock: socket.socket) -> bool:
    """True if bytes wait in the kernel: what must not be there when an answer of one byte was asked for."""
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False


def close_politely(sock: socket.socket) -> None:
    """Close so that the last bytes arrive: unread input would make the kernel send a reset that overtakes them."""
    try:
        sock.shutdown(socket.SHUT_WR)
        sock.recv(LINGER_BYTES)
    except OSError:
        pass  # the peer is gone, or has sent nothing: nothing can overtake
    sock.close()
