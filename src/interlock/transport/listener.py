"""Accepts connections and gives each a task of its own; the accept loop itself never waits for a client (bypass 11).

Limits before anybody is known (T30): connections in all; connections that haven't authenticated, in all and from one
source; one deadline from accept to authenticated. When every place for the unknown is taken, the one that has
dallied longest makes room, so silent clients can't keep others out.
"""

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, final

from interlock.core.commands import Mediator
from interlock.core.errors import InterlockError
from interlock.transport.life import live
from interlock.transport.raw import accept, close_politely
from interlock.transport.services import Services
from interlock.transport.stream import Conversation

_log = logging.getLogger("interlock.transport")

BACKLOG: Final = 1024
PATIENCE_SECONDS: Final = 2.0
"""How long an unknown client may take before it can be made to give its place up."""
SOURCE_SHARE: Final = 4
"""One source may have a quarter of the places for the unknown."""
EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
EXHAUSTED_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Opened:
    """What a client's first words came to."""

    transport: asyncio.Transport
    """The connection, protected unless the configuration allows plaintext; its reading may be paused."""
    first: bytes
    """Bytes already read that belong to the conversation."""
    tls: bool


class Door(Protocol):
    """What a protocol says before TLS."""

    async def open(self, sock: socket.socket) -> Opened | None:
        """Talk until a session is asked for, TLS included; None if there is nothing more to say.

        Raises:
            ProtocolError: the client broke the protocol.
            LimitExceeded: it announced too much.
            OSError: the connection broke.
        """
        ...

    def refusal(self, code: str) -> bytes:
        """The protocol's own words for a client that can't be served: ``connections``."""
        ...


@final
class Listener:
    """One listening socket of one protocol in one worker."""

    def __init__(
        self, sock: socket.socket, *, door: Door, services: Services, make_mediator: Callable[[], Mediator]
    ) -> None:
        self._sock: Final = sock
        self._door: Final = door
        self._services: Final = services
        self._make_mediator: Final = make_mediator
        self._unknown: Final[dict[asyncio.Task[None], tuple[float, str]]] = {}
        """Connections that haven't authenticated, oldest first: when they were accepted, and from where."""
        self._sources: Final[Counter[str]] = Counter()
        self._open = 0
        self._places = asyncio.Event()
        self._accepting: asyncio.Task[None] | None = None
        self._tasks: Final[set[asyncio.Task[None]]] = set()
        sock.setblocking(False)
        sock.listen(BACKLOG)

    @property
    def connections(self) -> int:
        """Connections open now, authenticated or not."""
        return self._open

    def stop_accepting(self) -> None:
        """Take no more connections; those that are open live on until ``serve`` is cancelled."""
        if self._accepting is not None:
            self._accepting.cancel()

    async def serve(self) -> None:
        """Accept until cancelled; then every connection is ended and waited for."""
        async with asyncio.TaskGroup() as group:
            self._accepting = group.create_task(self._accept_all(group), name="accept")
            try:
                await asyncio.get_running_loop().create_future()  # until cancelled
            finally:
                self._accepting.cancel()
                await asyncio.wait([self._accepting])
                for task in self._tasks:
                    task.cancel()

    async def _accept_all(self, group: asyncio.TaskGroup) -> None:
        try:
            await self._accept_each(group)
        finally:
            self._sock.close()

    async def _accept_each(self, group: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._make_place()
            try:
                sock, address = await accept(self._sock)
            except OSError as error:
                if error.errno in EXHAUSTED:
                    _log.warning("accept_exhausted", extra={"error": errno.errorcode.get(error.errno or 0, "")})
                    await asyncio.sleep(EXHAUSTED_SECONDS)
                    continue
                if self._sock.fileno() < 0:
                    return
                continue  # the client left between its SYN and our accept
            source = str(address[0]) if isinstance(address, tuple) else "local"
            if not self._admit(sock, source):
                continue
            task = group.create_task(self._converse(sock, _written(address)), name=f"connection {_written(address)}")
            self._unknown[task] = (loop.time(), source)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _make_place(self) -> None:
        """Wait until another unknown client may be accepted; the one that dallies longest goes first."""
        while len(self._unknown) >= self._services.limits.handshakes:
            oldest, (since, _) = next(iter(self._unknown.items()))
            left = since + PATIENCE_SECONDS - asyncio.get_running_loop().time()
            if left <= 0:
                _log.info("handshake_displaced", extra={"unknown": len(self._unknown)})
                self._leave_unknown(oldest)
                oldest.cancel()
                return
            self._places.clear()
            try:
                async with asyncio.timeout(left):
                    await self._places.wait()
            except TimeoutError:
                continue

    def _admit(self, sock: socket.socket, source: str) -> bool:
        """Count the connection in, or turn it away."""
        limits = self._services.limits
        if self._open >= limits.connections:
            code = "connections"
        elif self._sources[source] >= max(1, limits.handshakes // SOURCE_SHARE):
            code = "source_connections"
        else:
            self._open += 1
            self._sources[source] += 1
            return True
        _log.info("connection_refused", extra={"code": code, "client_address": source})
        with contextlib.suppress(OSError):  # it is turned away in any case
            sock.send(self._door.refusal("connections"))
        close_politely(sock)
        return False

    def _leave_unknown(self, task: asyncio.Task[None]) -> None:
        """The connection has authenticated, ended or been displaced: its place is another's."""
        entry = self._unknown.pop(task, None)
        if entry is None:
            return
        source = entry[1]
        self._sources[source] -= 1
        if self._sources[source] <= 0:
            del self._sources[source]
        self._places.set()

    async def _converse(self, sock: socket.socket, address: str) -> None:
        """One connection from its first byte to its last; whatever breaks here breaks only this one."""
        task = asyncio.current_task()
        assert task is not None
        try:
            await self._open_and_run(sock, address, lambda: self._leave_unknown(task))
        except InterlockError as error:
            _log.info("connection_ended", extra={"client_address": address, "code": error.code})
        except (OSError, TimeoutError) as error:
            _log.info("connection_ended", extra={"client_address": address, "error": type(error).__name__})
        except Exception as error:  # noqa: BLE001 - the per-connection boundary: no session harms another
            _log.warning("connection_failed", extra={"client_address": address, "error": type(error).__name__})
        finally:
            self._leave_unknown(task)
            self._open -= 1
            sock.close()  # a transport that has it keeps its descriptor until it is done

    async def _open_and_run(self, sock: socket.socket, address: str, on_authenticated: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        limits = self._services.limits
        accepted_at = loop.time()
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        async with asyncio.timeout(limits.handshake_seconds):
            opened = await self._door.open(sock)
        if opened is None:
            return
        conversation = Conversation(
            self._make_mediator(),
            self._services,
            client_address=address,
            tls=opened.tls,
            accepted_at=accepted_at,
            on_authenticated=on_authenticated,
        )
        await live(conversation, opened.transport, opened.first)


def bind(host: str, port: int, *, reuse_port: bool = True) -> socket.socket:
    """A bound socket that isn't listening yet; several may share the port, one a worker.

    Raises:
        OSError: the address can't be bound.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port and hasattr(socket, "SO_REUSEPORT"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    os.set_inheritable(sock.fileno(), False)
    return sock


def _written(address: object) -> str:
    """``host:port`` for logs and entries."""
    if isinstance(address, tuple):
        host, port = str(address[0]), address[1]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return "local"
