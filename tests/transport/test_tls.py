"""Contexts of both legs, in handshakes with each other and with clients that want something else."""

import hashlib
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from interlock.core.errors import ConfigError
from interlock.transport.tls import compute_end_point_binding, make_server_context, make_upstream_context
from tests.servers.authority import Authority


def shake(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str = "localhost"
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Let two contexts shake hands in memory.

    Raises:
        ssl.SSLError: as either side.
    """
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    theirs = client.wrap_bio(down, up, server_hostname=name)
    ours = server.wrap_bio(up, down, server_side=True)
    waiting = [theirs, ours]
    while waiting:
        for one in list(waiting):
            try:
                one.do_handshake()
                waiting.remove(one)
            except ssl.SSLWantReadError:
                continue
    return ours, theirs


def contexts(folder: Path) -> tuple[Authority, ssl.SSLContext]:
    authority = Authority(folder)
    pair = authority.issue("gateway")
    return authority, make_server_context(pair.certificate, pair.key, alpn="postgresql")


def test_both_legs_verify_each_other_in_full_and_agree_on_the_protocol(tmp_path: Path) -> None:
    authority, server = contexts(tmp_path)
    ours, theirs = shake(server, make_upstream_context("verify-full", authority.ca, alpn="postgresql"))
    assert ours.selected_alpn_protocol() == theirs.selected_alpn_protocol() == "postgresql"
    assert theirs.version() == "TLSv1.3"
    assert theirs.session is None or not theirs.session.has_ticket  # nothing to resume, so nothing to replay


def test_old_tls_is_refused_on_both_legs_T27(tmp_path: Path) -> None:
    authority, server = contexts(tmp_path)
    upstream = make_upstream_context("verify-full", authority.ca, alpn="postgresql")
    assert server.minimum_version == upstream.minimum_version == ssl.TLSVersion.TLSv1_2
    old = ssl.create_default_context(cafile=str(authority.ca))
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        shake(server, old)


def test_upstream_of_another_name_or_authority_is_refused_T27(tmp_path: Path) -> None:
    authority, server = contexts(tmp_path / "a")
    stranger = Authority(tmp_path / "b")
    for ca, mode, name in (
        (authority.ca, "verify-full", "db.elsewhere"),
        (stranger.ca, "verify-full", "localhost"),
        (stranger.ca, "verify-ca", "localhost"),
    ):
        with pytest.raises(ssl.SSLCertVerificationError):
            shake(server, make_upstream_context(mode, ca, alpn="postgresql"), name)
    shake(server, make_upstream_context("verify-ca", authority.ca, alpn="postgresql"), "db.elsewhere")


@pytest.mark.parametrize("mode", ["require", "prefer", "disable", "verify_full", ""])
def test_mode_that_verifies_nobody_makes_no_context_T27(mode: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="doesn't verify"):
        make_upstream_context(mode, Authority(tmp_path).ca, alpn="postgresql")


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, two = authority.issue("one"), authority.issue("two")
    with pytest.raises(ConfigError, match="can't be used together"):
        make_server_context(one.certificate, two.key, alpn="postgresql")
    with pytest.raises(ConfigError, match="No such file"):
        make_server_context(tmp_path / "missing.pem", one.key, alpn="postgresql")
    with pytest.raises(ConfigError, match=r"upstream\.ca"):
        make_upstream_context("verify-full", tmp_path / "missing.pem", alpn="postgresql")


def test_channel_binding_is_the_certificates_own_hash_T27(tmp_path: Path) -> None:
    pem = Authority(tmp_path).issue("gateway").certificate.read_bytes()
    der = x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)
    assert compute_end_point_binding(der) == hashlib.sha256(der).digest()
    assert compute_end_point_binding(b"no certificate") is None
