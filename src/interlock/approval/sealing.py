"""The sealed copy of a held action: AES-256-GCM, bound to what it may be used for.

Layout: 1 byte version, 12 bytes nonce, ciphertext with tag. The associated data is the purpose and the ids that the
copy is bound to, each preceded by its length, so that no two lists give the same bytes.
"""

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from interlock.core.errors import InterlockError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
_VERSION: Final = b"\x01"


class SealBroken(InterlockError):
    """A stored copy isn't what was stored for this approval, session and principal: it must not run."""

    code = "seal_broken"


class Sealer:
    """Seals and opens with one key."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            msg = f"the approval key has {len(key)} bytes, not {KEY_BYTES}; make a new one with `interlock init`"
            raise InterlockError(msg)
        self._aead: Final = AESGCM(key)

    def seal(self, data: bytes, *, nonce: bytes, binding: tuple[str, ...]) -> bytes:
        """Encrypt; ``nonce`` is 12 random bytes, never used twice."""
        return _VERSION + nonce + self._aead.encrypt(nonce, data, _bound(binding))

    def open(self, sealed: bytes, *, binding: tuple[str, ...]) -> bytes:
        """Decrypt.

        Raises:
            SealBroken: changed, cut, sealed with another key or for another binding.
        """
        nonce = sealed[1 : 1 + NONCE_BYTES]
        if sealed[:1] != _VERSION or len(nonce) != NONCE_BYTES:
            msg = "a sealed copy has no known form"
            raise SealBroken(msg)
        try:
            return self._aead.decrypt(nonce, sealed[1 + NONCE_BYTES :], _bound(binding))
        except InvalidTag:
            msg = "a sealed copy was changed, or was made for another approval, session or principal"
            raise SealBroken(msg) from None


def _bound(parts: tuple[str, ...]) -> bytes:
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)
