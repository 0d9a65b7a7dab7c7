"""The client's half of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, and PostgreSQL's MD5 response.

The server must prove that it knows the password too (its signature), must not have it hashed trivially or for ever
(iterations), and can't strip channel binding unnoticed: a client that could bind says so in ``y,,``.

Spec: RFC 5802, RFC 7677, RFC 5929 section 4 (tls-server-end-point); PostgreSQL 18, "SASL Authentication".
Trust: everything the server says is unverified until ``verify_final`` returns.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from typing import Final

from interlock.core.errors import AuthenticationError, UpstreamProtocolError
from interlock.core.secret import Secret
from interlock.wire.postgres.saslprep import prepare_password

SCRAM: Final = "SCRAM-SHA-256"
SCRAM_PLUS: Final = "SCRAM-SHA-256-PLUS"
MIN_ITERATIONS: Final = 4096
"""RFC 7677 section 4: "The iteration-count for SCRAM-SHA-256 SHOULD be at least 4096"."""
MAX_ITERATIONS: Final = 1_000_000
MAX_MESSAGE: Final = 4096

Derive = Callable[[bytes, bytes, int], bytes]
"""(password, salt, iterations) -> SaltedPassword; an argument so that a caller may keep results."""

_SERVER_FIRST: Final = re.compile(
    r"r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/=]+),i=([1-9][0-9]{0,9})((?:,[A-Za-z]=[^,]*)*)"
)
_SERVER_FINAL: Final = re.compile(r"([ve])=([^,]+)((?:,[A-Za-z]=[^,]*)*)")
_NONCE: Final = re.compile(r"[\x21-\x2b\x2d-\x7e]{18,128}")


def derive_pbkdf2(password: bytes, salt: bytes, iterations: int) -> bytes:
    """Hi() of RFC 5802: PBKDF2 with HMAC-SHA-256."""
    return hashlib.pbkdf2_hmac("sha256", password, salt, iterations)


def select_mechanism(offered: Sequence[str], *, channel_binding: bytes | None, require_binding: bool = False) -> str:
    """Pick the strongest mechanism: with binding data, PLUS if it is offered.

    Raises:
        AuthenticationError: nothing that we speak is offered, or binding is required and isn't on offer.
    """
    if channel_binding is not None and SCRAM_PLUS in offered:
        return SCRAM_PLUS
    if require_binding:
        reason = "channel binding is required, and the server doesn't offer it or there is no TLS to bind to"
        raise AuthenticationError(reason)
    if SCRAM in offered:
        return SCRAM
    reason = f"none of the server's SASL mechanisms is known: {', '.join(offered)[:200]}"
    raise AuthenticationError(reason)


class ScramClient:
    """One exchange: ``first()``, ``final(server_first)``, ``verify_final(server_final)``, in this order."""

    __slots__ = ("_binding", "_derive", "_first_bare", "_gs2", "_nonce", "_password", "_signature", "mechanism")

    def __init__(
        self,
        *,
        mechanism: str,
        password: Secret,
        nonce: str,
        channel_binding: bytes | None = None,
        derive: Derive = derive_pbkdf2,
    ) -> None:
        """Start an exchange; ``nonce`` is fresh random text of at least 18 printable characters without a comma.

        Raises:
            ValueError: the nonce isn't such text, or PLUS without binding data.
        """
        if not _NONCE.fullmatch(nonce) or (mechanism == SCRAM_PLUS and channel_binding is None):
            msg = "a weak nonce, or no binding data for SCRAM-SHA-256-PLUS"
            raise ValueError(msg)
        plus = mechanism == SCRAM_PLUS
        self.mechanism: Final = mechanism
        self._gs2 = b"p=tls-server-end-point,," if plus else b"n,," if channel_binding is None else b"y,,"
        self._binding = channel_binding if plus and channel_binding is not None else b""
        self._password = password
        self._nonce = nonce
        self._derive = derive
        self._first_bare = b"n=,r=" + nonce.encode("ascii")  # PostgreSQL takes the user from the StartupMessage
        self._signature = b""

    def first(self) -> bytes:
        """Make client-first-message."""
        return self._gs2 + self._first_bare

    def final(self, server_first: bytes) -> bytes:
        """Make client-final-message.

        Raises:
            UpstreamProtocolError: not a server-first-message.
            AuthenticationError: the nonce isn't ours and more, or too few or too many iterations.
        """
        nonce, salt, iterations = _decode_server_first(server_first)
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            reason = "SCRAM: the server's nonce doesn't extend ours"
            raise AuthenticationError(reason)
        if not MIN_ITERATIONS <= iterations <= MAX_ITERATIONS:
            reason = f"SCRAM: {iterations} iterations, outside of {MIN_ITERATIONS} to {MAX_ITERATIONS}"
            raise AuthenticationError(reason)
        bound = base64.b64encode(self._gs2 + self._binding)
        without_proof = b"c=" + bound + b",r=" + nonce.encode("ascii")
        auth_message = b",".join((self._first_bare, server_first, without_proof))
        salted = self._derive(prepare_password(self._password.reveal()), salt, iterations)
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        client_signature = hmac.digest(hashlib.sha256(client_key).digest(), auth_message, "sha256")
        proof = bytes([a ^ b for a, b in zip(client_key, client_signature, strict=True)])
        self._signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), auth_message, "sha256")
        return without_proof + b",p=" + base64.b64encode(proof)

    def verify_final(self, server_final: bytes) -> None:
        """Check that the server knows the password too.

        Raises:
            UpstreamProtocolError: not a server-final-message.
            AuthenticationError: the server reports an error, or its signature is wrong.
        """
        found = _SERVER_FINAL.fullmatch(_ascii(server_final))
        if found is None or not self._signature:
            msg = "SCRAM: not a server-final-message"
            raise UpstreamProtocolError(msg)
        if found[1] == "e":
            reason = f"SCRAM: the server says {found[2][:100]}"
            raise AuthenticationError(reason)
        if not hmac.compare_digest(_base64(found[2]), self._signature):
            reason = "SCRAM: the server's signature is wrong: it doesn't know the password"
            raise AuthenticationError(reason)


def _decode_server_first(message: bytes) -> tuple[str, bytes, int]:
    """Decode nonce, salt and iteration count; a mandatory extension (``m=``) doesn't match, as RFC 5802 demands.

    Raises:
        UpstreamProtocolError: not a server-first-message.
    """
    found = _SERVER_FIRST.fullmatch(_ascii(message))
    if found is None:
        msg = "SCRAM: not a server-first-message"
        raise UpstreamProtocolError(msg)
    return found[1], _base64(found[2]), int(found[3])


def _ascii(message: bytes) -> str:
    if len(message) > MAX_MESSAGE or not message.isascii():
        msg = "SCRAM: a message that is too long or not ASCII"
        raise UpstreamProtocolError(msg)
    return message.decode("ascii")


def _base64(text: str) -> bytes:
    try:
        decoded = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        msg = "SCRAM: not base64"
        raise UpstreamProtocolError(msg) from error
    return decoded


def md5_response(user: str, password: Secret, salt: bytes) -> Secret:
    """Make the answer to AuthenticationMD5Password: ``md5`` + md5(md5(password + user) + salt), in hex."""
    inner = hashlib.md5((password.reveal() + user).encode("utf-8", "surrogateescape"), usedforsecurity=False)
    outer = hashlib.md5(inner.hexdigest().encode("ascii") + salt, usedforsecurity=False)
    return Secret("md5" + outer.hexdigest())
