from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.errors import AuthenticationError
from interlock.core.secret import Secret
from interlock.identity.token import MAX_TOKEN_CHARACTERS, decode_base64url, decode_token, encode_base64url

Make = Callable[..., Secret]


def test_token_is_taken_apart_without_being_believed(make_token: Make) -> None:
    token = decode_token(make_token(header={"typ": "application/AT+jwt"}, sub="bob"))

    assert (token.issuer, token.claims["sub"]) == ("https://idp.example/", "bob")
    assert (token.envelope.algorithm, token.envelope.kid, token.envelope.type) == ("EdDSA", "k", "at+jwt")


@pytest.mark.parametrize(
    "header",
    [
        {"jku": "https://idp.example@evil.example/jwks"},
        {"x5u": "https://evil.example/cert"},
        {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}},
        {"x5c": ["MIIB"]},
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"b64": False},
        {"b64": True},
        {"zip": "DEF"},
        {"enc": "A256GCM"},
        {"cty": "JWT"},
        {"kid": 1},
        {"kid": ""},
        {"kid": None},
        {"kid": "a\x00b"},
        {"kid": "k" * 257},
        {"alg": None},
        {"alg": ["EdDSA"]},
        {"alg": ...},
        {"typ": 1},
        {"typ": "\uff2a\uff37\uff34"},
    ],
)
def test_header_that_asks_for_more_than_a_signature_is_refused_T25(make_token: Make, header: dict[str, Any]) -> None:
    with pytest.raises(AuthenticationError):
        decode_token(make_token(header=header))


def test_other_spelling_of_the_same_token_is_refused_T25(make_token: Make) -> None:
    text = make_token().reveal()
    head, claims, signature = text.split(".")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    loose = signature[:-1] + last[last.index(signature[-1]) + 1]
    spellings = [
        f"{head}.{claims}.{loose}",
        text + "=",
        text + "\n",
        " " + text,
        "Bearer " + text,
        text.replace("-", "+").replace("_", "/") + "==",
        f"{head}=.{claims}.{signature}",
        f"{head}.{claims[:4]}\n{claims[4:]}.{signature}",
        f"{head}.{claims}",
        f"{text}.",
        f"{head}.{claims}..{signature}",
        f".{claims}.{signature}",
        "",
        "..",
        "a.b.c",
        "\u0435yJ.e30.AA",
        "." * 10_000,
        head + "." + "A" * MAX_TOKEN_CHARACTERS + ".AA",
    ]

    for spelling in spellings:
        with pytest.raises(AuthenticationError):
            decode_token(Secret(spelling))


def test_encrypted_token_is_not_taken_for_a_signed_one_T25() -> None:
    with pytest.raises(AuthenticationError):
        decode_token(Secret("eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAA.AAAA.AAAA"))


@pytest.mark.parametrize("claims", ['{"sub":"a","sub":"b"}', "[]", '"x"', "{", '{"exp": NaN}', ""])
def test_claims_that_are_no_single_object_are_refused_T25(make_token: Make, claims: str) -> None:
    with pytest.raises(AuthenticationError):
        decode_token(make_token(raw=claims))


@given(st.binary(max_size=40))
def test_base64url_has_one_spelling(data: bytes) -> None:
    assert decode_base64url(encode_base64url(data)) == data


@given(st.text(max_size=80))
def test_any_text_gives_a_token_or_the_documented_error(text: str) -> None:
    try:
        token = decode_token(Secret(text))
    except AuthenticationError:
        return
    assert token.claims is not None


def test_token_shows_neither_claims_nor_signature_in_repr_T24(make_token: Make) -> None:
    secret = make_token(sub="CANARY-CLAIM")
    shown = repr(decode_token(secret)) + repr(secret)

    assert "CANARY" not in shown
    assert not any(part in shown for part in secret.reveal().split("."))
