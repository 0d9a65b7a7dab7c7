"""The compact form of a signed token, taken apart strictly and once.

Spec: RFC 7515 (JWS) section 7.1 and RFC 7519 (JWT); RFC 8725 (best practice). Nothing here is verified yet: a
``SignedToken`` says what is claimed, ``keys`` says whether its signature holds.
"""

import base64
import re
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from interlock.core.errors import AuthenticationError
from interlock.core.secret import Secret
from interlock.identity.strict_json import decode_object

MAX_TOKEN_CHARACTERS: Final = 16_384
MAX_KID_CHARACTERS: Final = 256

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")
_REFUSED_HEADERS: Final = {
    "jku": "points to keys elsewhere",
    "x5u": "points to keys elsewhere",
    "jwk": "brings its own key",
    "x5c": "brings its own key",
    "crit": "demands extensions",
    "b64": "changes how the payload is read",
    "zip": "is compressed",
    "enc": "is encrypted",
    "cty": "is nested",
}


@dataclass(frozen=True, slots=True)
class Envelope:
    """What was signed and by which means, whatever it says."""

    algorithm: str
    kid: str | None
    type: str
    """``typ``, lower case, without ``application/``; empty if absent."""
    payload: bytes = field(repr=False)
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SignedToken:
    """An envelope and the claims in it, which are unverified until its signature was."""

    envelope: Envelope
    claims: dict[str, Any] = field(repr=False)

    @property
    def issuer(self) -> str:
        """``iss`` as claimed, empty if it isn't a string; for choosing the verifier."""
        issuer = self.claims.get("iss")
        return issuer if isinstance(issuer, str) else ""


def decode_token(credential: Secret) -> SignedToken:
    """Take a signed token apart.

    Trust: from the client, unverified.

    Raises:
        AuthenticationError: not a compact JWS as ``decode_envelope`` takes it, or its payload isn't a JSON object.
    """
    envelope = decode_envelope(credential.reveal())
    return SignedToken(envelope, decode_object(envelope.payload, "token's claims"))


def decode_envelope(text: str) -> Envelope:
    """Take a compact JWS apart.

    Trust: from the client, unverified. Layout: base64url(header) "." base64url(payload) "." base64url(signature), each
    in its one canonical spelling without padding.

    Raises:
        AuthenticationError: anything but that, or a header that asks for what isn't done here.
    """
    if len(text) > MAX_TOKEN_CHARACTERS:
        _refuse("is longer than allowed")
    parts = text.split(".")
    if len(parts) != 3:
        _refuse("isn't a signed token of three parts")
    header_bytes, payload, signature = (decode_base64url(part) for part in parts)
    header = decode_object(header_bytes, "token's header")
    for name, problem in _REFUSED_HEADERS.items():
        if name in header:
            _refuse(f"{problem} ({name})")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str):
        _refuse("names no algorithm")
    return Envelope(
        algorithm=algorithm,
        kid=_decode_kid(header),
        type=_decode_type(header),
        payload=payload,
        signed=f"{parts[0]}.{parts[1]}".encode("ascii"),
        signature=signature,
    )


def decode_base64url(text: str) -> bytes:
    """Decode the one canonical spelling: no padding, no white space, unused bits zero.

    Raises:
        AuthenticationError: any other spelling, which would make two tokens of one.
    """
    if not _BASE64URL.fullmatch(text) or len(text) % 4 == 1:
        _refuse("isn't base64url")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode_base64url(data) != text:
        _refuse("isn't canonical base64url")
    return data


def encode_base64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode_kid(header: dict[str, Any]) -> str | None:
    kid = header.get("kid")
    if "kid" in header and not (isinstance(kid, str) and 0 < len(kid) <= MAX_KID_CHARACTERS and kid.isprintable()):
        _refuse("has a kid that isn't a short printable string")
    return kid


def _decode_type(header: dict[str, Any]) -> str:
    kind = header.get("typ", "")
    if not isinstance(kind, str) or not kind.isascii():
        _refuse("has a typ that isn't a string")
    return kind.lower().removeprefix("application/")


def _refuse(problem: str) -> NoReturn:
    reason = f"the token {problem}"
    raise AuthenticationError(reason)
