"""The cut-the-wire proxy does to a conversation what it is told, at the byte it is told."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.servers.cutter import Conversation, WireCutter


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it gets; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer, contextlib.suppress(OSError):
                while data := peer.recv(1024):
                    peer.sendall(data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(10)


def connect(cutter: WireCutter) -> socket.socket:
    return socket.create_connection((cutter.host, cutter.port), 10)


def test_bytes_pass_both_ways_and_a_half_close_is_passed_on(echo: int) -> None:
    with WireCutter("127.0.0.1", echo) as cutter, connect(cutter) as client:
        client.sendall(b"hello")
        assert client.recv(5, socket.MSG_WAITALL) == b"hello"
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b""
        conversation = cutter.conversation()
        assert (conversation.from_client.passed, conversation.from_upstream.passed) == (b"hello", b"hello")


def test_conversation_is_cut_after_exactly_so_many_bytes(echo: int) -> None:
    def prepare(conversation: Conversation) -> None:
        conversation.from_client.cut_after(3)

    with WireCutter("127.0.0.1", echo, prepare=prepare) as cutter, connect(cutter) as client:
        client.sendall(b"hello")
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(100, socket.MSG_WAITALL) in (b"", b"hel")
        assert cutter.conversation().from_client.passed == b"hel"


def test_held_bytes_pass_only_when_released(echo: int) -> None:
    def prepare(conversation: Conversation) -> None:
        conversation.from_upstream.hold()

    with WireCutter("127.0.0.1", echo, prepare=prepare) as cutter, connect(cutter) as client:
        client.sendall(b"hello")
        conversation = cutter.conversation()
        assert conversation.from_client.wait_until(lambda data: data == b"hello") == b"hello"
        assert conversation.from_upstream.passed == b""
        conversation.from_upstream.release()
        assert client.recv(5, socket.MSG_WAITALL) == b"hello"


def test_cut_resets_the_client_even_while_bytes_are_held(echo: int) -> None:
    def prepare(conversation: Conversation) -> None:
        conversation.from_client.hold()

    with WireCutter("127.0.0.1", echo, prepare=prepare) as cutter, connect(cutter) as client:
        client.sendall(b"hello")
        conversation = cutter.conversation()
        conversation.cut()
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(100) == b""
        assert conversation.from_client.passed == b""


def test_client_is_dropped_when_nobody_listens_behind() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with WireCutter("127.0.0.1", port) as cutter, connect(cutter) as client:
        assert client.recv(100) == b""
