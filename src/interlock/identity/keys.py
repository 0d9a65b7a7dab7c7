"""An issuer's public keys, and whether one of them made a signature.

Spec: RFC 7517 (JWK), RFC 7518 (JWA), RFC 8037 (Ed25519). Asymmetric algorithms only; a key is tied to the algorithms
that its type, curve and ``alg`` allow, so that a token can't choose how its key is used (RFC 8725 sections 3.1, 3.2).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import Algorithm, get_default_algorithms

from interlock.core.errors import AuthenticationError
from interlock.identity.token import Envelope, decode_base64url

ALGORITHMS: Final = frozenset(
    ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"),
)
MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192
MAX_KEYS: Final = 100

_RSA_ALGORITHMS: Final = frozenset(name for name in ALGORITHMS if name[:2] in ("RS", "PS"))
_CURVE_ALGORITHMS: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    ("EC", "P-256"): frozenset(("ES256",)),
    ("EC", "P-384"): frozenset(("ES384",)),
    ("OKP", "Ed25519"): frozenset(("EdDSA",)),
}
_SIGNATURE_BYTES: Final[Mapping[str, int]] = {"ES256": 64, "ES384": 96, "EdDSA": 64}
_PRIVATE: Final = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))
_SMALL_PRIMES: Final = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One public key and the algorithms that it may verify."""

    kid: str | None
    algorithms: frozenset[str]
    key: Any = field(repr=False)


class KeySet:
    """The usable keys of one JWKS document; those that don't fit are left out, with the reason in ``rejected``."""

    __slots__ = ("_by_kid", "_keys", "rejected")

    def __init__(self, keys: Iterable[VerificationKey], rejected: Sequence[str] = ()) -> None:
        self._keys: Final = tuple(keys)
        self.rejected: Final = tuple(rejected)
        by_kid: dict[str, list[VerificationKey]] = {}
        for key in self._keys:
            if key.kid is not None:
                by_kid.setdefault(key.kid, []).append(key)
        self._by_kid: Final = by_kid

    @classmethod
    def from_jwks(cls, document: Mapping[str, Any]) -> "KeySet":
        """Read ``{"keys": [...]}``.

        Trust: from the issuer's own address or the operators' file.

        Raises:
            AuthenticationError: not a JWKS document, or more keys than an issuer has.
        """
        entries = document.get("keys")
        if not isinstance(entries, list) or len(entries) > MAX_KEYS:
            msg = f"the key set isn't a list of at most {MAX_KEYS} keys"
            raise AuthenticationError(msg)
        keys: list[VerificationKey] = []
        rejected: list[str] = []
        for number, entry in enumerate(entries):
            try:
                keys.append(_decode_key(entry))
            except ValueError as error:
                rejected.append(f"key {number}: {error}")
        return cls(keys, rejected)

    def __len__(self) -> int:
        return len(self._keys)

    def has_kid(self, kid: str) -> bool:
        """Whether any usable key has this id; a set without it may be out of date."""
        return kid in self._by_kid

    def verify_signature(self, token: Envelope, allowed: Iterable[str]) -> None:
        """Return only if exactly one key fits the token and that key made its signature.

        Raises:
            AuthenticationError: algorithm not allowed, no key or more than one, or not that key's signature.
        """
        name = token.algorithm
        if name not in ALGORITHMS or name not in allowed:
            msg = "the token's algorithm isn't allowed"
            raise AuthenticationError(msg)
        candidates = self._keys if token.kid is None else self._by_kid.get(token.kid, [])
        fitting = [key for key in candidates if name in key.algorithms]
        if len(fitting) != 1:
            msg = "no key of the issuer fits the token" if not fitting else "more than one key fits the token"
            raise AuthenticationError(msg)
        if not _is_signature(name, fitting[0].key, token):
            msg = "the token's signature doesn't verify"
            raise AuthenticationError(msg)


def _is_signature(name: str, key: Any, token: Envelope) -> bool:
    expected = (key.key_size + 7) // 8 if isinstance(key, RSAPublicKey) else _SIGNATURE_BYTES[name]
    if len(token.signature) != expected:
        return False
    return bool(_algorithm(name).verify(token.signed, key, token.signature))


def _algorithm(name: str) -> Algorithm:
    return get_default_algorithms()[name]


def _decode_key(entry: object) -> VerificationKey:
    """One JWK; ValueError says why it isn't used."""
    if not isinstance(entry, dict):
        msg = "not an object"
        raise ValueError(msg)  # noqa: TRY004 from_jwks takes ValueError as "leave this key out"
    _verify_use(entry)
    kid = entry.get("kid")
    if kid is not None and not (isinstance(kid, str) and kid):
        msg = "its kid isn't a string"
        raise ValueError(msg)
    kind, curve = entry.get("kty"), entry.get("crv")
    algorithms = _RSA_ALGORITHMS if kind == "RSA" else _CURVE_ALGORITHMS.get((str(kind), str(curve)), frozenset())
    if not algorithms:
        msg = f"its type {kind!r} {curve or ''} isn't one that verifies signatures here"
        raise ValueError(msg)
    alg = entry.get("alg")
    if alg is not None:
        algorithms &= {alg} if isinstance(alg, str) else set()
        if not algorithms:
            msg = f"its alg {alg!r} isn't allowed for its type"
            raise ValueError(msg)
    public = {name: entry[name] for name in ("kty", "crv", "n", "e", "x", "y") if name in entry}
    try:
        for name in ("n", "e", "x", "y"):
            if name in public:
                decode_base64url(public[name])
        key = jwt.PyJWK(public, algorithm=min(algorithms)).key
    except (jwt.PyJWTError, AuthenticationError, ValueError, TypeError, KeyError) as error:
        msg = f"not a valid {kind} public key"
        raise ValueError(msg) from error
    if isinstance(key, RSAPublicKey):
        _verify_rsa(key)
    return VerificationKey(kid, algorithms, key)


def _verify_use(entry: Mapping[str, Any]) -> None:
    if _PRIVATE & entry.keys():
        msg = "it holds a private or symmetric key"
        raise ValueError(msg)
    if entry.get("use", "sig") != "sig":
        msg = "its use isn't sig"
        raise ValueError(msg)
    operations = entry.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        msg = "its key_ops don't have verify"
        raise ValueError(msg)


def _verify_rsa(key: RSAPublicKey) -> None:
    numbers = key.public_numbers()
    if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        msg = f"an RSA key of {key.key_size} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS} are accepted"
        raise ValueError(msg)
    if numbers.e < 3 or numbers.e % 2 == 0 or numbers.e.bit_length() > 64:
        msg = "its public exponent isn't sound"
        raise ValueError(msg)
    if is_roca(numbers.n):
        msg = "an RSA key of the weak ROCA form (CVE-2017-15361)"
        raise ValueError(msg)


def is_roca(modulus: int) -> bool:
    """Whether the modulus has the ROCA fingerprint: a power of 65537 modulo every one of these primes.

    Spec: Nemec et al., "The Return of Coppersmith's Attack" (2017), section 5.1, which expects one ordinary modulus in
    about 2^27 to look so.
    """
    return all(modulus % prime in _powers(prime) for prime in _SMALL_PRIMES)


def _powers(prime: int) -> frozenset[int]:
    found: set[int] = set()
    power = 1
    while power not in found:
        found.add(power)
        power = power * 65537 % prime
    return frozenset(found)
