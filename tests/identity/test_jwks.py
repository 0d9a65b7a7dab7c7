import asyncio
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from interlock.core.errors import AuthenticationError, ConfigError
from interlock.identity.jwks import MAX_JWKS_BYTES, JwksSource, fetch_jwks, verify_https_url
from interlock.identity.keys import KeySet
from interlock.identity.token import encode_base64url


def document(*kids: str) -> bytes:
    x = encode_base64url(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw())
    return json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid} for kid in kids]}).encode()


class Address:
    """An issuer's address that gives what it is told to, and counts."""

    def __init__(self, answer: bytes | Exception) -> None:
        self.answer = answer
        self.count = 0

    def __call__(self) -> bytes:
        self.count += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def keys_for(source: JwksSource, kid: str | None, now: datetime) -> KeySet:
    return asyncio.run(source.keys_for(kid, now))


def test_keys_are_fetched_once_and_again_when_they_are_old(now: datetime) -> None:
    address = Address(document("a"))
    source = JwksSource(address)
    for minutes in (0, 1, 9):
        assert keys_for(source, "a", now + timedelta(minutes=minutes)).has_kid("a")
    assert address.count == 1
    keys_for(source, "a", now + timedelta(minutes=11))
    assert address.count == 2


def test_flood_of_unknown_key_ids_does_not_become_a_flood_of_fetches_T25(now: datetime) -> None:
    address = Address(document("a"))
    source = JwksSource(address)
    for i in range(200):
        keys_for(source, f"made-up-{i}", now + timedelta(seconds=i / 10))

    assert address.count == 1
    address.answer = document("a", "b")
    assert keys_for(source, "b", now + timedelta(seconds=31)).has_kid("b")
    assert address.count == 2


def test_many_at_once_wait_for_one_fetch_T25(now: datetime) -> None:
    address = Address(document("a"))
    source = JwksSource(address)

    async def many() -> list[KeySet]:
        return await asyncio.gather(*(source.keys_for("a", now) for _ in range(50)))

    assert len(asyncio.run(many())) == 50
    assert address.count == 1


@pytest.mark.parametrize(
    "answer", [OSError("down"), b"", b"{}", b"[]", b'{"keys":[],"keys":[]}', b" " * (MAX_JWKS_BYTES + 1)]
)
def test_failed_refresh_keeps_the_keys_until_they_are_too_old_T25(now: datetime, answer: bytes | Exception) -> None:
    address = Address(document("a"))
    source = JwksSource(address)
    keys_for(source, "a", now)
    address.answer = answer

    assert keys_for(source, "a", now + timedelta(hours=23)).has_kid("a")
    with pytest.raises(AuthenticationError):
        keys_for(source, "a", now + timedelta(hours=25))
    address.answer = document("a")
    assert keys_for(source, "a", now + timedelta(hours=26)).has_kid("a")


def test_issuer_that_never_answered_gives_no_keys_and_is_not_asked_at_once_again(now: datetime) -> None:
    address = Address(OSError("down"))
    source = JwksSource(address)
    for _ in range(5):
        with pytest.raises(AuthenticationError):
            keys_for(source, "a", now)

    assert address.count == 1


@pytest.mark.parametrize(
    "reference",
    [
        "http://idp.example/jwks",
        "ftp://idp.example/jwks",
        "https://user:pw@idp.example/jwks",
        "https://idp.example@evil.example/jwks",
        "https://",
        "https:///jwks",
        "https://idp.example/jwks#x",
        "https://idp.example:0/",
        "https://idp.example:99999/",
        "https://idp.example/a b",
        "https://idp.example/\r\nX: y",
        "https://[::1/jwks",
        "/etc/jwks.json",
        "",
    ],
)
def test_reference_that_is_no_plain_https_address_or_file_is_refused_T26(reference: str) -> None:
    with pytest.raises(ConfigError):
        JwksSource.from_reference(reference)


def test_plain_https_address_is_taken() -> None:
    assert verify_https_url("https://idp.example:8443/a/jwks?v=1") == "https://idp.example:8443/a/jwks?v=1"


def test_keys_come_from_a_file(tmp_path: Path, now: datetime) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(document("a"))

    assert keys_for(JwksSource.from_reference(f"file:{path}"), "a", now).has_kid("a")
    with pytest.raises(AuthenticationError):
        keys_for(JwksSource.from_reference(f"file:{tmp_path}/missing"), "a", now)


# --- over the wire, to a real TLS server ----------------------------------------------------------------------------


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/jwks":
            body = document("a")
            self.send_response(200)
        elif self.path == "/redirect":
            body = b""
            self.send_response(302)
            self.send_header("Location", "/jwks")
        elif self.path == "/large":
            body = b" " * (MAX_JWKS_BYTES + 1)
            self.send_response(200)
        else:
            body = document("a")
            self.send_response(404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the parent's name
        return


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ssl.SSLContext]]:
    folder = tmp_path_factory.mktemp("issuer")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = datetime.now(UTC)  # noqa: TID251 TLS itself reads the real clock
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start - timedelta(hours=1))
        .not_valid_after(start + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "both.pem").write_bytes(private + pem)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, name="issuer")
    thread.start()
    try:
        yield f"https://localhost:{server.server_port}", ssl.create_default_context(cadata=pem.decode())
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_document_is_fetched_over_verified_tls(issuer: tuple[str, ssl.SSLContext]) -> None:
    address, context = issuer

    assert fetch_jwks(f"{address}/jwks", context=context) == document("a")


@pytest.mark.parametrize("path", ["/redirect", "/missing", "/large"])
def test_redirect_error_and_oversize_are_no_document_T26(issuer: tuple[str, ssl.SSLContext], path: str) -> None:
    address, context = issuer

    with pytest.raises(OSError, match="issuer"):
        fetch_jwks(address + path, context=context)


def test_server_that_nobody_vouches_for_is_not_believed_T27(issuer: tuple[str, ssl.SSLContext]) -> None:
    with pytest.raises(ssl.SSLError):
        fetch_jwks(f"{issuer[0]}/jwks")
