import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from interlock.cli import material

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def test_file_is_there_already_and_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("mine")
    assert not material.make_file(tmp_path / "key", lambda: b"new", secret=True).made
    assert (tmp_path / "key").read_text() == "mine"
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert not material.make_file(tmp_path / "link", lambda: b"new", secret=True).made
    assert not (tmp_path / "nowhere").exists()


def test_secret_file_is_never_readable_by_others_whatever_the_umask(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        material.make_file(tmp_path / "key", material.make_random_key, secret=True)
        material.make_folder(tmp_path / "keys", secret=True)
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert [path.name for path in tmp_path.iterdir()].count(".key.new") == 0


def test_file_cannot_be_made_and_the_error_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(material.CannotWrite, match="file"):
        material.make_file(tmp_path / "file/key", lambda: b"", secret=True)
    with pytest.raises(material.CannotWrite, match="isn't a folder"):
        material.make_folder(tmp_path / "file", secret=True)


def test_certificate_lives_as_long_as_said_and_may_not_sign_others() -> None:
    ca_key, key = material.make_tls_key(), material.make_tls_key()
    ca = material.make_ca(ca_key, now=NOW)
    pem = material.make_server_certificate(ca, ca_key, key, names=["db.example"], now=NOW)
    certificate = x509.load_pem_x509_certificate(pem)
    assert certificate.not_valid_after_utc == NOW + timedelta(days=material.SERVER_DAYS)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["db.example", "localhost"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]


def test_authority_s_key_is_of_another_kind() -> None:
    with pytest.raises(material.CannotWrite, match="interlock init"):
        material.make_ca(material.make_signing_key(), now=NOW)
