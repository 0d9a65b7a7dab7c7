"""TLS contexts of both legs: the client's, one a protocol by ALPN (T27), and the upstream's, verified in full."""

import hashlib
import ssl
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from interlock.core.errors import ConfigError

_BINDING_HASHES: Final = {"md5": "sha256", "sha1": "sha256"}


def make_server_context(certificate: Path, key: Path, *, alpn: str) -> ssl.SSLContext:
    """The client leg's context: TLS 1.2 or later, one ALPN name, no tickets (nothing to resume or replay).

    Raises:
        ConfigError: certificate or key can't be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.set_alpn_protocols([alpn])
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror if not isinstance(error, ssl.SSLError) and error.strerror else type(error).__name__
        raise ConfigError(str(certificate), "tls", f"certificate and key can't be used together: {reason}") from error
    return context


def make_upstream_context(mode: str, ca: Path | None, *, alpn: str) -> ssl.SSLContext:
    """The upstream leg's context for ``verify-full`` or ``verify-ca``.

    Raises:
        ConfigError: the authorities' file can't be used, or the mode is none of the two.
    """
    if mode not in {"verify-full", "verify-ca"}:
        raise ConfigError(str(ca or ""), "upstream.tls", f"{mode!r} doesn't verify the upstream")
    try:
        context = ssl.create_default_context(cafile=str(ca) if ca is not None else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(str(ca), "upstream.ca", f"can't be used: {type(error).__name__}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = mode == "verify-full"
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols([alpn])
    return context


def compute_end_point_binding(certificate: bytes) -> bytes | None:
    """Channel-binding data ``tls-server-end-point`` of a DER certificate; None where it has no defined hash.

    Spec: RFC 5929 section 4.1: the certificate's signature hash, SHA-256 where that is MD5 or SHA-1.
    """
    try:
        algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        return None
    if algorithm is None:
        return None
    return hashlib.new(_BINDING_HASHES.get(algorithm.name, algorithm.name), certificate).digest()
