"""Reads a raw socket exactly: what a protocol says before TLS, and not one byte more (T1).

Bytes are taken from the kernel only when they are wanted, so nothing that was sent in the clear after a request for
TLS can ever be read as if it had been protected.
"""

import asyncio
import contextlib
import errno
import os
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
    loop.add_reader(sock.fileno(), _settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(sock.fileno())  # before anybody closes it: the loop must not watch a closed descriptor


async def wait_writable(sock: socket.socket) -> None:
    """Wait until a write wouldn't block, or a connect has ended one way or the other."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(sock.fileno(), _settle, ready)
    try:
        await ready
    finally:
        loop.remove_writer(sock.fileno())


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def accept(sock: socket.socket) -> tuple[socket.socket, object]:
    """The next connection of a listening socket, non-blocking, and its address.

    Raises:
        OSError: the client left, or descriptors or memory are used up.
    """
    while True:
        try:
            connection, address = sock.accept()
        except BlockingIOError:
            await wait_readable(sock)
            continue
        connection.setblocking(False)
        return connection, address


async def connect(sock: socket.socket, address: object) -> None:
    """Connect a non-blocking socket.

    Raises:
        OSError: nobody answers there.
    """
    code = sock.connect_ex(address)  # type: ignore[arg-type]  # typeshed knows no union of address families
    if code == errno.EINPROGRESS:
        await wait_writable(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


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
    sent = 0
    while sent < len(data):
        try:
            sent += sock.send(data[sent:])
        except BlockingIOError:
            await wait_writable(sock)


def close_politely(sock: socket.socket) -> None:
    """Close so that the last bytes arrive: unread input would make the kernel send a reset that overtakes them."""
    with contextlib.suppress(OSError):  # the peer is gone, or has sent nothing: nothing can overtake
        sock.shutdown(socket.SHUT_WR)
        sock.recv(LINGER_BYTES)
    sock.close()
