import json
import math
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from interlock.core.errors import AuthenticationError
from interlock.identity.keys import ALGORITHMS, KeySet, is_roca
from interlock.identity.token import Envelope, decode_envelope, encode_base64url

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "vectors" / "jose" / "json_web_signature_test.json"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def jwk(key: Any, **more: object) -> dict[str, Any]:
    name = {"RSAPublicKey": "RSAAlgorithm", "ECPublicKey": "ECAlgorithm"}.get(type(key).__name__, "OKPAlgorithm")
    return {**json.loads(getattr(jwt.algorithms, name).to_jwk(key)), "kid": "k", **more}


def usable(*entries: object) -> KeySet:
    return KeySet.from_jwks({"keys": list(entries)})


def sign(key: Any, algorithm: str, kid: str | None = "k", payload: bytes = b"{}") -> Envelope:
    headers = None if kid is None else {"kid": kid}
    return decode_envelope(jwt.api_jws.encode(payload, key, algorithm, headers))


def verifies(keys: KeySet, envelope: Envelope, allowed: Any = ALGORITHMS) -> bool:
    try:
        keys.verify_signature(envelope, allowed)
    except AuthenticationError:
        return False
    return True


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [*((RSA_KEY, name) for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
     (EC_KEY, "ES256"), (ec.generate_private_key(ec.SECP384R1()), "ES384"), (ED_KEY, "EdDSA")],
)  # fmt: skip
def test_signature_of_the_key_verifies_and_a_changed_one_does_not_T25(key: Any, algorithm: str) -> None:
    keys = usable(jwk(key.public_key()))
    good = sign(key, algorithm)
    tampered = Envelope("x", "k", "", b"", b"", b"")
    changed = Envelope(good.algorithm, good.kid, "", b"", good.signed + b"A", good.signature)
    flipped = Envelope(
        good.algorithm, good.kid, "", b"", good.signed, bytes([good.signature[0] ^ 1]) + good.signature[1:]
    )
    longer = Envelope(good.algorithm, good.kid, "", b"", good.signed, good.signature + b"\0")
    zero = Envelope(good.algorithm, good.kid, "", b"", good.signed, bytes(len(good.signature)))
    none = Envelope(good.algorithm, good.kid, "", b"", good.signed, b"")

    assert verifies(keys, good)
    assert not any(verifies(keys, bad) for bad in (tampered, changed, flipped, longer, zero, none))
    assert not verifies(keys, good, allowed=ALGORITHMS - {algorithm})


@pytest.mark.parametrize(
    "name", ["none", "None", "nOnE", "NONE", "", "HS256", "HS384", "HS512", "rs256", "ES256K", "ES512", "RS1"]
)
def test_algorithm_outside_the_list_is_refused_even_if_configured_T25(name: str) -> None:
    keys = usable(jwk(RSA_KEY.public_key()), jwk(EC_KEY.public_key(), kid="e"))

    for signature in (b"", bytes(32), bytes(256)):
        assert not verifies(keys, Envelope(name, "k", "", b"", b"e30.e30", signature), allowed={name, "RS256"})


def test_public_key_used_as_a_shared_secret_is_refused_T25() -> None:
    secret = RSA_KEY.public_key().public_numbers().n.to_bytes(256, "big")
    forged = sign(secret, "HS256")

    assert not verifies(usable(jwk(RSA_KEY.public_key())), forged, allowed={"HS256"})


def test_key_is_used_only_with_the_algorithms_of_its_type_curve_and_alg_T25() -> None:
    p384 = ec.generate_private_key(ec.SECP384R1())

    assert not verifies(usable(jwk(RSA_KEY.public_key(), alg="PS256")), sign(RSA_KEY, "RS256"))
    assert verifies(usable(jwk(RSA_KEY.public_key(), alg="PS256")), sign(RSA_KEY, "PS256"))
    assert not verifies(usable(jwk(EC_KEY.public_key())), sign(RSA_KEY, "RS256"))
    with_wrong_curve = Envelope("ES256", "k", "", b"", b"e30.e30", bytes(64))
    assert not verifies(usable(jwk(p384.public_key())), with_wrong_curve)


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T", "kid": "k"},
        jwk(RSA_KEY.public_key(), use="enc"),
        jwk(RSA_KEY.public_key(), key_ops=["sign"]),
        jwk(RSA_KEY.public_key(), key_ops="verify"),
        jwk(RSA_KEY.public_key(), alg="HS256"),
        jwk(RSA_KEY.public_key(), alg="none"),
        jwk(RSA_KEY.public_key(), alg=["RS256"]),
        jwk(RSA_KEY.public_key(), kid=7),
        jwk(RSA_KEY.public_key(), kty="EC"),
        jwk(RSA_KEY.public_key(), e="AQ"),
        jwk(RSA_KEY.public_key(), e="Ag"),
        jwk(RSA_KEY.public_key(), n="AAAA"),
        jwk(RSA_KEY.public_key(), n=None),
        jwk(RSA_KEY.public_key(), d="AQAB"),
        jwk(rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()),  # noqa: S505 weak on purpose
        jwk(EC_KEY.public_key(), crv="P-384"),
        jwk(EC_KEY.public_key(), crv="secp256k1"),
        jwk(EC_KEY.public_key(), y=encode_base64url(bytes(32))),
        jwk(EC_KEY.public_key(), x="AA"),
        jwk(ec.generate_private_key(ec.SECP256K1()).public_key()),
        jwk(ED_KEY.public_key(), crv="X25519"),
        jwk(ED_KEY.public_key(), x="AAAA"),
        "key",
        None,
    ],
)
def test_key_that_must_not_verify_is_left_out_and_the_others_serve_T25(entry: object) -> None:
    keys = usable(entry, jwk(ED_KEY.public_key(), kid="other"))

    assert len(keys) == 1
    assert len(keys.rejected) == 1
    assert not keys.has_kid("k")
    assert verifies(keys, sign(ED_KEY, "EdDSA", kid="other"))


def test_two_keys_that_fit_one_token_verify_nothing_T25() -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    keys = usable(jwk(EC_KEY.public_key()), jwk(other.public_key()), jwk(ED_KEY.public_key()))

    assert not verifies(keys, sign(EC_KEY, "ES256"))
    assert not verifies(keys, sign(EC_KEY, "ES256", kid=None))
    assert verifies(keys, sign(ED_KEY, "EdDSA"))
    assert verifies(keys, sign(ED_KEY, "EdDSA", kid=None))
    assert not verifies(keys, sign(ED_KEY, "EdDSA", kid="missing"))


@pytest.mark.parametrize("kid", ["../../dev/null", "' OR 1=1 --", "k; id", "http://evil.example/k", "K", "k "])
def test_kid_is_a_name_in_the_issuers_set_and_nothing_else_T25(kid: str) -> None:
    assert not verifies(usable(jwk(ED_KEY.public_key())), sign(ED_KEY, "EdDSA", kid=kid))


@pytest.mark.parametrize("document", [{}, {"keys": {}}, {"keys": None}, {"keys": [{}] * 101}])
def test_document_that_is_no_key_set_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(AuthenticationError):
        KeySet.from_jwks(document)


def _weak_modulus(primorial: int) -> int:
    """An odd 2048-bit number that is a power of 65537 modulo every small prime."""
    factor = (1 << 2047) // primorial + 2
    return pow(65537, 5, primorial) + primorial * factor


def test_weak_roca_modulus_is_recognised_T25() -> None:
    primorial = math.prod(p for p in range(2, 168) if all(p % q for q in range(2, p)))
    roca_like = (pow(65537, 12345, primorial) + 7 * primorial) * (pow(65537, 999, primorial) + 9 * primorial)

    weak = jwk(RSA_KEY.public_key(), n=encode_base64url(_weak_modulus(primorial).to_bytes(256, "big")))

    assert is_roca(roca_like)
    assert usable(weak).rejected == ("key 0: an RSA key of the weak ROCA form (CVE-2017-15361)",)
    assert not is_roca(RSA_KEY.public_key().public_numbers().n)


# Valid by RFC 7515 and not here, each for a reason: ES512 isn't offered, and a key's ``alg`` binds (RFC 7517 section
# 4.4), which the PS384 example signed for a key marked PS256 breaks.
DECLINED = {346, 347, 350, 351}


def test_wycheproof_signatures_verify_exactly_where_they_should_T25() -> None:
    if not VECTORS.exists():
        pytest.skip(f"the published vectors aren't beside the project: {VECTORS.name}")
    wrong: list[tuple[int, str]] = []
    seen = 0
    for group in json.loads(VECTORS.read_text())["testGroups"]:
        entry = group.get("public")
        keys = usable(entry if entry is not None else group["private"])
        for test in group["tests"]:
            seen += 1
            try:
                verified = isinstance(test["jws"], str) and verifies(keys, decode_envelope(test["jws"]))
            except AuthenticationError:
                verified = False
            expected = test["result"] == "valid" and entry is not None and test["tcId"] not in DECLINED
            if verified != expected:
                wrong.append((test["tcId"], test["comment"]))

    assert wrong == []
    assert seen == 401
