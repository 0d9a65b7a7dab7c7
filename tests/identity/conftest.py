"""Tokens of an issuer made for the tests, in whatever wrong form an attack needs."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from interlock.core.secret import Secret
from interlock.identity.keys import KeySet, VerificationKey
from interlock.identity.token import encode_base64url

NOW = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture(scope="session")
def now() -> datetime:
    return NOW


@pytest.fixture(scope="session")
def key_set() -> KeySet:
    return KeySet([VerificationKey("k", frozenset(("EdDSA",)), KEY.public_key())])


@pytest.fixture(scope="session")
def make_token() -> Callable[..., Secret]:
    """A signed token; ``header`` and further claims replace the usual ones, a claim of ``...`` is left out."""

    def make(*, header: dict[str, Any] | None = None, raw: str | None = None, **claims: Any) -> Secret:
        issued = int(NOW.timestamp())
        usual = {
            "iss": "https://idp.example/",
            "sub": "ann",
            "aud": "interlock",
            "iat": issued,
            "exp": issued + 600,
            "jti": "j1",
        }
        said = {name: value for name, value in {**usual, **claims}.items() if value is not ...}
        heads = {name: v for name, v in {"alg": "EdDSA", "kid": "k", **(header or {})}.items() if v is not ...}
        payload = json.dumps(said) if raw is None else raw
        signed = f"{encode_base64url(json.dumps(heads).encode())}.{encode_base64url(payload.encode())}"
        return Secret(f"{signed}.{encode_base64url(KEY.sign(signed.encode()))}")

    return make
