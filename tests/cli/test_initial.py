import json
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from interlock.config import Mode, load
from tests.cli.running import interlock, make_folder


def test_operator_inits_an_empty_folder_and_the_configuration_is_whole(tmp_path: Path) -> None:
    config = load(make_folder(tmp_path / "gw"))
    assert config.gateway.mode is Mode.DEVELOPMENT
    assert config.resources[0].upstreams[0].tls == "verify-full"
    (listener,) = config.listeners
    assert listener.tls is not None
    assert listener.tls.ca == tmp_path / "gw/tls/ca.pem"
    for secret in ("keys/approvals.key", "keys/development.pem", "tls/key.pem", "tls/ca-key.pem"):
        assert stat.S_IMODE((tmp_path / "gw" / secret).stat().st_mode) == 0o600, secret
    for folder in ("keys", "var"):
        assert stat.S_IMODE((tmp_path / "gw" / folder).stat().st_mode) == 0o700, folder


def test_client_verifies_the_server_s_certificate_with_the_ca_that_init_made(tmp_path: Path) -> None:
    make_folder(tmp_path, "--host", "gateway.example", "--host", "192.0.2.7")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "tls/cert.pem", tmp_path / "tls/key.pem")
    for name in ("gateway.example", "192.0.2.7", "localhost", "127.0.0.1", "::1"):
        assert shakes_hands(server, tmp_path / "tls/ca.pem", name)
    with pytest.raises(ssl.SSLCertVerificationError):
        shakes_hands(server, tmp_path / "tls/ca.pem", "evil.example")
    ca = x509.load_pem_x509_certificate((tmp_path / "tls/ca.pem").read_bytes())
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


def shakes_hands(server_context: ssl.SSLContext, ca: Path, name: str) -> bool:
    client_in, server_in = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_context = ssl.create_default_context(cafile=str(ca))
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT
    client = client_context.wrap_bio(client_in, server_in, server_hostname=name)
    server = server_context.wrap_bio(server_in, client_in, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return client.version() is not None


def test_operator_inits_twice_and_nothing_is_overwritten(tmp_path: Path) -> None:
    make_folder(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    (tmp_path / "policies/readers.cedar").unlink()
    (tmp_path / "interlock.toml").write_text("# mine\n")
    answer = interlock("init", tmp_path, "--json")
    made = [row["path"] for row in json.loads(answer.out) if row["made"]]
    assert made == [str(tmp_path / "policies/readers.cedar")]
    assert (tmp_path / "interlock.toml").read_text() == "# mine\n"
    changed = [path for path, data in before.items() if path.name != "interlock.toml" and path.read_bytes() != data]
    assert changed == []


@pytest.mark.parametrize(
    "options",
    [
        ("--listen", "nonsense"),
        ("--resource", "shop", "--address", "db:5432", "--user", "app", "--password", "hunter2"),
        ("--resource", "Bad Name", "--address", "db:5432", "--user", "app", "--password", "env:X"),
        ("--resource", 'a"\n[gateway]', "--address", "db:5432", "--user", "app", "--password", "env:X"),
    ],
)
def test_operator_asks_for_a_file_that_would_not_load_and_nothing_is_written(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    answer = interlock("init", tmp_path / "gw", *options)
    assert answer.code == 3
    assert "hunter2" not in answer.err + answer.out
    assert not (tmp_path / "gw").exists()


@pytest.mark.parametrize(
    "options", [("--resource", "shop"), ("--host", "a b"), ("--host", "-x"), ("--mode", "staging")]
)
def test_operator_misuses_init_and_is_told_so(tmp_path: Path, options: tuple[str, ...]) -> None:
    answer = interlock("init", tmp_path / "gw", *options)
    assert answer.code == 2
    assert not (tmp_path / "gw").exists()
