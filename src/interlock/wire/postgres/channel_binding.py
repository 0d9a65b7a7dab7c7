"""The binding data of a TLS connection that SCRAM-SHA-256-PLUS puts into its proof.

Spec: RFC 5929 section 4.1, tls-server-end-point.
"""

import hashlib

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm


def server_end_point(certificate: bytes) -> bytes | None:
    """Hash the server's certificate (DER) with the hash of its own signature, SHA-256 instead of MD5 and SHA-1.

    None where the signature has no single hash (Ed25519): RFC 5929 defines no binding then.
    """
    try:
        algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        return None
    if algorithm is None:
        return None
    name = "sha256" if algorithm.name in {"md5", "sha1"} else algorithm.name
    return hashlib.new(name, certificate).digest()
