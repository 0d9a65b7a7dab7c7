"""How the gateway ends when it can't begin: exit statuses and what operators read."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

TEXT = """
[gateway]
mode = "development"
workers = 1
[[issuers]]
issuer = "https://idp/"
audience = "interlock"
jwks = "file:jwks.json"
"""
LISTENER = '[listeners.postgres]\naddress = "127.0.0.1:{port}"\nplaintext = "loopback"\n'
SERVE = """
import sys
from pathlib import Path
from interlock.app import serve
from interlock.config import load
sys.exit(serve(load(Path(sys.argv[1]))))
"""


def write_development_key(folder: Path) -> None:
    (folder / "keys").mkdir(exist_ok=True, mode=0o700)
    pem = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "keys" / "development.pem").write_bytes(pem)
    (folder / "keys" / "development.pem").chmod(0o600)


def serve(folder: Path, text: str) -> tuple[int, list[dict[str, str]]]:
    (folder / "policies").mkdir()
    (folder / "policies" / "a.cedar").write_text('@id("all")\npermit (principal, action, resource);')
    write_development_key(folder)
    (folder / "jwks.json").write_text('{"keys": []}')
    (folder / "interlock.toml").write_text(text)
    command = [sys.executable, "-c", SERVE, str(folder / "interlock.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == ""  # nobody is told that it is ready
    return done.returncode, [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]


NO_CERTIFICATE = LISTENER.format(port=1).replace(
    'plaintext = "loopback"', 'tls = { certificate = "file:a", key = "file:b" }'
)


@pytest.mark.parametrize(
    ("text", "says"),
    [(TEXT, "listeners"), (TEXT + NO_CERTIFICATE, "certificate")],
    ids=["no listener", "no certificate"],
)
def test_configuration_that_cannot_be_served_ends_with_3(tmp_path: Path, text: str, says: str) -> None:
    status, events = serve(tmp_path, text)
    assert status == 3
    assert events[-1]["event"] == "cannot_start"
    assert says in events[-1]["reason"]


def test_address_that_is_taken_ends_with_4_and_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, events = serve(tmp_path, TEXT + LISTENER.format(port=port))
    assert status == 4
    assert f"127.0.0.1:{port}: can't listen: Address already in use" in events[-1]["reason"]
