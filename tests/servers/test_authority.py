"""The test authority's certificates are accepted and refused by a real TLS stack as they should be."""

import ssl
from pathlib import Path

import pytest

from tests.servers.authority import Authority, KeyPair


def handshake(ca: Path, pair: KeyPair, host: str) -> None:
    """One TLS handshake in memory; raises what the client raises."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(pair.certificate, pair.key)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = ssl.create_default_context(cafile=str(ca)).wrap_bio(to_client, to_server, server_hostname=host)
    done: set[ssl.SSLObject] = set()
    while len(done) < 2:
        for side in {client, server} - done:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            done.add(side)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_certificate_is_accepted_for_its_names(tmp_path: Path, host: str) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("server")
    handshake(authority.ca, pair, host)
    assert pair.key.stat().st_mode & 0o777 == 0o600


def test_other_name_other_authority_and_expired_certificate_are_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "one")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(authority.ca, authority.issue("server"), "elsewhere")
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        handshake(Authority(tmp_path / "two", name="two").ca, authority.issue("server"), "localhost")
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        handshake(authority.ca, authority.issue("old", expired=True), "localhost")
