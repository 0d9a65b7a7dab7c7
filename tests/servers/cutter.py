"""A TCP proxy that cuts, holds and counts: what the wire does to a conversation, on command and at an exact byte.

It never sleeps: bytes are held until the test lets them go, and a test waits for a condition, not for a time.
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import Self

WAIT_SECONDS = 30.0
_CHUNK = 65536


class Direction:
    """One way of one conversation: the bytes that went by, and the rules they go by."""

    def __init__(self, condition: threading.Condition) -> None:
        self._condition = condition
        self._passed = bytearray()
        self._limit: int | None = None
        self._held = False

    @property
    def passed(self) -> bytes:
        """All bytes that went by so far."""
        with self._condition:
            return bytes(self._passed)

    def cut_after(self, count: int) -> None:
        """Let ``count`` bytes go by in all, counted from the start of the conversation; then cut it both ways."""
        with self._condition:
            self._limit = count
            self._condition.notify_all()

    def hold(self) -> None:
        """Let nothing more go by until ``release``."""
        with self._condition:
            self._held = True

    def release(self) -> None:
        """Let go what is held, and all that follows."""
        with self._condition:
            self._held = False
            self._condition.notify_all()

    def wait_until(self, is_enough: Callable[[bytes], bool]) -> bytes:
        """Wait until the bytes that went by fulfil the condition, and return them.

        Raises:
            TimeoutError: they didn't within half a minute.
        """
        with self._condition:
            if not self._condition.wait_for(lambda: is_enough(bytes(self._passed)), WAIT_SECONDS):
                msg = f"only {len(self._passed)} bytes went by"
                raise TimeoutError(msg)
            return bytes(self._passed)

    def pass_on(self, data: bytes, target: socket.socket, *, is_over: Callable[[], bool]) -> bool:
        """Send what the rules allow; False if the conversation is to be cut."""
        with self._condition:
            self._condition.wait_for(lambda: not self._held or is_over())
            if is_over():
                return False
            allowed = data if self._limit is None else data[: max(0, self._limit - len(self._passed))]
            self._passed += allowed
            self._condition.notify_all()
        with contextlib.suppress(OSError):
            target.sendall(allowed)
        return len(allowed) == len(data) and (self._limit is None or len(self._passed) < self._limit)


class Conversation:
    """One client's connection through the proxy."""

    def __init__(self, client: socket.socket, upstream: socket.socket) -> None:
        self._condition = threading.Condition()
        self._sockets = (client, upstream)
        self._over = False
        self.from_client = Direction(self._condition)
        self.from_upstream = Direction(self._condition)
        self._threads = [
            threading.Thread(target=self._run, args=(self.from_client, client, upstream), daemon=True),
            threading.Thread(target=self._run, args=(self.from_upstream, upstream, client), daemon=True),
        ]

    def start(self) -> None:
        """Begin to pass bytes on."""
        for thread in self._threads:
            thread.start()

    def cut(self) -> None:
        """Reset both ends, as a pulled cable with a firewall behind it would."""
        with self._condition:
            self._over = True
            self._condition.notify_all()
        for end in self._sockets:
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def join(self) -> None:
        """Wait until both ways are done."""
        for thread in self._threads:
            thread.join(WAIT_SECONDS)

    def _run(self, direction: Direction, source: socket.socket, target: socket.socket) -> None:
        while True:
            try:
                data = source.recv(_CHUNK)
            except OSError:
                self.cut()
                return
            if not data:
                with contextlib.suppress(OSError):
                    target.shutdown(socket.SHUT_WR)
                return
            if not direction.pass_on(data, target, is_over=lambda: self._over):
                self.cut()
                return


class WireCutter:
    """Listens on a port of its own and passes every connection on to one address.

    ``prepare`` is called with each conversation before its first byte goes by: the place to set rules.
    """

    def __init__(self, host: str, port: int, *, prepare: Callable[[Conversation], None] | None = None) -> None:
        self._upstream = (host, port)
        self._prepare = prepare
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._accepted = threading.Condition()
        self._conversations: list[Conversation] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self.host = "127.0.0.1"
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(WAIT_SECONDS)
        for conversation in self._conversations:
            conversation.cut()
            conversation.join()

    def conversation(self, number: int = 0) -> Conversation:
        """Wait for the client connection of that number (from 0) and return it."""
        with self._accepted:
            if not self._accepted.wait_for(lambda: len(self._conversations) > number, WAIT_SECONDS):
                msg = f"only {len(self._conversations)} clients connected"
                raise TimeoutError(msg)
            return self._conversations[number]

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                upstream = socket.create_connection(self._upstream, WAIT_SECONDS)
            except OSError:
                client.close()
                continue
            upstream.settimeout(None)
            for end in (client, upstream):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            conversation = Conversation(client, upstream)
            if self._prepare is not None:
                self._prepare(conversation)
            with self._accepted:
                self._conversations.append(conversation)
                self._accepted.notify_all()
            conversation.start()
