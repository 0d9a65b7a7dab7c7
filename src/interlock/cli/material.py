"""Keys and certificates that ``interlock init`` makes: a local authority, a server certificate, the gateway's own keys.

Everything secret is written with mode 0600 from its first byte, in folders of mode 0700, and nothing is overwritten.
"""

import ipaddress
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from interlock.core.errors import InterlockError

CA_DAYS: Final = 3650
SERVER_DAYS: Final = 397
"""What browsers and most TLS stacks still accept from an authority; doctor warns a month before."""
KEY_BYTES: Final = 32
_BACKDATE: Final = timedelta(minutes=5)
LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "::1")


class CannotWrite(InterlockError):
    """A file can't be made; the text says which and why."""

    code = "cannot_write"


@dataclass(frozen=True, slots=True)
class Written:
    """One path that ``init`` looked after."""

    path: Path
    made: bool
    """False: it was there and was left as it is."""


def make_folder(path: Path, *, secret: bool) -> Written:
    """A folder of mode 0700 or 0755, unless it is there.

    Raises:
        CannotWrite: it can't be made.
    """
    try:
        path.mkdir(mode=0o700 if secret else 0o755, parents=True, exist_ok=False)
    except FileExistsError:
        if path.is_dir():
            return Written(path, made=False)
        msg = f"{path}: something that isn't a folder is there; move it away"
        raise CannotWrite(msg) from None
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise CannotWrite(msg) from error
    return Written(path, made=True)


def make_file(path: Path, make: Callable[[], bytes], *, secret: bool) -> Written:
    """A file with what ``make`` gives, mode 0600 or 0644, unless it is there; written whole or not at all.

    Raises:
        CannotWrite: it can't be made.
    """
    if os.path.lexists(path):
        return Written(path, made=False)
    temporary = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644)
        with open(fd, "wb") as file:  # noqa: PTH123 - of a descriptor, made with its mode
            file.write(make())
            file.flush()
            os.fsync(file.fileno())
        made = _linked(temporary, path)
        temporary.unlink()
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise CannotWrite(msg) from error
    return Written(path, made=made)


def _linked(temporary: Path, path: Path) -> bool:
    """Give the finished file its name, unless something has that name by now: unlike rename, never overwrites."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    return True


def make_signing_key() -> bytes:
    """A new Ed25519 private key, PEM."""
    return _pem(Ed25519PrivateKey.generate())


def make_random_key() -> bytes:
    """32 random bytes."""
    return os.urandom(KEY_BYTES)


def make_tls_key() -> bytes:
    """A new P-256 private key, PEM."""
    return _pem(ec.generate_private_key(ec.SECP256R1()))


def make_ca(key_pem: bytes, *, now: datetime) -> bytes:
    """The certificate of a local authority that may only sign servers' certificates, PEM."""
    key = _load(key_pem)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Interlock local CA {os.urandom(4).hex()}")])
    return (
        _builder(name, name, key, now=now, days=CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


def make_server_certificate(
    ca_pem: bytes, ca_key_pem: bytes, key_pem: bytes, *, names: Iterable[str], now: datetime
) -> bytes:
    """A server certificate for these host names and addresses, signed by the local authority, PEM."""
    ca, ca_key, key = x509.load_pem_x509_certificate(ca_pem), _load(ca_key_pem), _load(key_pem)
    names = tuple(dict.fromkeys((*names, *LOCAL_NAMES)))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    return (
        _builder(subject, ca.subject, key, now=now, days=SERVER_DAYS)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(authority, critical=False)
        .sign(ca_key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _load(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        msg = "the key isn't one that `interlock init` made; move it away and run it again"
        raise CannotWrite(msg)
    return key


def _pem(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
