"""Bytes that no stock client sends, at the whole gateway: the protocol's error or a close, and nobody else harmed."""

import socket
import ssl
import struct

import psycopg
import pytest

from tests.integration.site import Site

pytestmark = pytest.mark.integration

SSL_REQUEST = struct.pack("!ii", 8, 80877103)


def startup(site: Site, database: str) -> bytes:
    body = struct.pack("!i", 196608) + f"user\0{site.gateway.resource}\0database\0{database}\0\0".encode()
    return struct.pack("!i", len(body) + 4) + body


def message(kind: bytes, body: bytes, length: int | None = None) -> bytes:
    return kind + struct.pack("!I", len(body) + 4 if length is None else length) + body


def dial(site: Site) -> socket.socket:
    return socket.create_connection((site.gateway.host, site.gateway.port), 20)


def secure(site: Site, *, direct: bool = False, alpn: str | None = "postgresql") -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(site.gateway.ca))
    if alpn:
        context.set_alpn_protocols([alpn])
    raw = dial(site)
    if not direct:
        raw.sendall(SSL_REQUEST)
        assert raw.recv(1) == b"S"
    return context.wrap_socket(raw, server_hostname="localhost")


def until(sock: socket.socket, end: bytes | None = None) -> bytes:
    """Everything up to these bytes, or to the close."""
    seen = b""
    while end is None or end not in seen:
        try:
            data = sock.recv(65536)
        except (ConnectionError, ssl.SSLError):
            break
        if not data:
            break
        seen += data
    return seen


def enter(site: Site, database: str, sock: socket.socket) -> None:
    """Log in as a stock client would."""
    sock.sendall(startup(site, database))
    assert until(sock, b"R\0\0\0\x08\0\0\0\x03").startswith(b"R")
    sock.sendall(message(b"p", site.token().encode() + b"\0"))
    assert b"Z\0\0\0\x05I" in until(sock, b"Z\0\0\0\x05I")


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("!i", 2**31 - 1) + b"\0\3\0\0",
        struct.pack("!i", -1) + b"\0\3\0\0",
        struct.pack("!i", 0) + b"\0\3\0\0",
        struct.pack("!i", 10_000_000) + b"\0\3\0\0" + b"x" * 20_000,
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0" * 100,
        SSL_REQUEST + SSL_REQUEST,
        struct.pack("!ii", 9, 196608) + b"\0",
        struct.pack("!ii", 8, 7 << 16),
    ],
)
def test_stranger_is_answered_or_dropped_and_a_session_beside_it_lives_on_T1_T30(
    starter: Site, database: str, data: bytes
) -> None:
    with psycopg.connect(starter.through(database), autocommit=True) as beside:
        with dial(starter) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            answer = until(sock)
        assert answer[:1] in {b"", b"E", b"S"}
        assert beside.execute(b"SELECT 1").fetchone() == (1,)
        psycopg.connect(starter.through(database)).close()


@pytest.mark.parametrize(
    "data",
    [
        message(b"Q", b"", 0),
        message(b"Q", b"", 1),
        message(b"Q", b"", 2**31),
        message(b"Q", b"", 2**32 - 1),
        message(b"!", b"abc"),
        message(b"Q", b"SELECT 1"),
        message(b"p", b"again\0"),
        message(b"d", b"nobody copies") + message(b"!", b""),
    ],
)
def test_known_client_that_breaks_the_format_is_told_so_and_no_session_beside_it_is_harmed_T1(
    starter: Site, database: str, data: bytes
) -> None:
    with psycopg.connect(starter.through(database), autocommit=True) as beside:
        with secure(starter) as sock:
            enter(starter, database, sock)
            sock.sendall(data + message(b"X", b""))
            answer = until(sock)
        assert answer.startswith(b"E")
        assert b"C08P01" in answer
        assert beside.execute(b"SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("data", [message(b"B", b"\0\0\0\0\xff\xff"), message(b"P", b"\0")])
def test_broken_message_of_the_extended_protocol_fails_alone_up_to_its_sync(
    starter: Site, database: str, data: bytes
) -> None:
    with secure(starter) as sock:
        enter(starter, database, sock)
        sock.sendall(data + message(b"S", b""))
        answer = until(sock, b"Z\0\0\0\x05I")
        assert answer.startswith(b"E")
        assert b"C08P01" in answer
        sock.sendall(message(b"Q", b"SELECT 'on'\0"))
        assert b"on" in until(sock, b"Z\0\0\0\x05I")


def test_bytes_behind_an_ssl_request_are_not_taken_for_the_inside_T1(starter: Site, database: str) -> None:
    with dial(starter) as sock:
        sock.sendall(SSL_REQUEST + startup(starter, database))
        sock.shutdown(socket.SHUT_WR)
        answer = until(sock)
    assert answer.startswith(b"S")
    assert b"R\0\0\0\x08" not in answer


def test_silent_client_keeps_nobody_out_T30(starter: Site, database: str) -> None:
    silent = [dial(starter) for _ in range(20)]
    for number, sock in enumerate(silent):
        sock.sendall(SSL_REQUEST[: number % 8])
    psycopg.connect(starter.through(database)).close()
    for sock in silent:
        sock.close()


def test_direct_tls_is_spoken_with_postgres_alpn_and_with_no_other(starter: Site, database: str) -> None:
    with secure(starter, direct=True) as sock:
        enter(starter, database, sock)
    for alpn in (None, "http/1.1"):
        with pytest.raises((AssertionError, OSError)), secure(starter, direct=True, alpn=alpn) as sock:
            enter(starter, database, sock)


def test_half_a_statement_and_a_hang_up_runs_nothing(starter: Site, database: str) -> None:
    before = starter.postgres.log_position()
    with secure(starter) as sock:
        enter(starter, database, sock)
        sock.sendall(message(b"Q", b"SELECT 'half'\0")[:-3])
    with secure(starter) as sock:
        enter(starter, database, sock)
        for byte in message(b"Q", b"SELECT 'slow'\0"):
            sock.sendall(bytes([byte]))
        assert b"slow" in until(sock, b"Z\0\0\0\x05I")
    texts = [logged.text for logged in starter.postgres.statements(before, database=database)]
    assert "SELECT 'slow'" in texts
    assert not [text for text in texts if "half" in text]


def test_function_call_by_number_is_refused_and_the_session_goes_on_T7(starter: Site, database: str) -> None:
    with secure(starter) as sock:
        enter(starter, database, sock)
        sock.sendall(message(b"F", struct.pack("!ihhh", 1299, 0, 0, 0)))
        assert until(sock, b"Z\0\0\0\x05I").startswith(b"E")
        sock.sendall(message(b"Q", b"SELECT 'on'\0"))
        assert b"on" in until(sock, b"Z\0\0\0\x05I")
