from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from interlock.core.errors import AuthenticationError
from interlock.core.principal import Actor
from interlock.core.secret import Secret
from interlock.identity.claims import Expectations, Registered, verify_registered
from interlock.identity.token import decode_token

Make = Callable[..., Secret]
EXPECTED = Expectations("https://idp.example/", "interlock", max_token_seconds=3600)
START = int(datetime(2026, 11, 23, 10, 30, tzinfo=UTC).timestamp())


def verify(secret: Secret, now: datetime, expected: Expectations = EXPECTED) -> Registered:
    return verify_registered(decode_token(secret), expected, now)


def test_token_for_us_now_is_taken(make_token: Make, now: datetime) -> None:
    assert verify(make_token(), now) == Registered("ann", now + timedelta(seconds=600), "j1", ())
    assert verify(make_token(aud=["interlock"], nbf=START, header={"typ": "JWT"}), now).subject == "ann"


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://idp.example"},
        {"iss": "https://IDP.example/"},
        {"iss": "https://idp.example/{tenantid}/"},
        {"iss": ...},
        {"iss": ["https://idp.example/"]},
        {"aud": "interlock "},
        {"aud": "Interlock"},
        {"aud": "interlock/x"},
        {"aud": []},
        {"aud": ...},
        {"aud": ["interlock", "other"]},
        {"aud": ["interlock", "interlock"]},
        {"aud": [["interlock"]]},
        {"aud": {"interlock": 1}},
        {"sub": ...},
        {"sub": ""},
        {"sub": None},
        {"sub": 7},
        {"sub": "a" * 257},
        {"sub": "ann\n"},
        {"sub": " ann"},
        {"sub": "ann\u202e"},
        {"sub": "a\u200bnn"},
        {"sub": "e\u0301ve"},
        {"jti": 5},
        {"jti": ""},
        {"nonce": "n"},
        {"at_hash": "x"},
        {"c_hash": "x"},
        {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
    ],
)
def test_token_that_is_not_exactly_for_us_is_refused_T25(
    make_token: Make, now: datetime, claims: dict[str, Any]
) -> None:
    with pytest.raises(AuthenticationError):
        verify(make_token(**claims), now)


@pytest.mark.parametrize("kind", ["logout+jwt", "dpop+jwt", "secevent+jwt", "id_token", "at+jwt+x", "JOSE", "jwt "])
def test_token_of_another_kind_is_refused_T25(make_token: Make, now: datetime, kind: str) -> None:
    with pytest.raises(AuthenticationError):
        verify(make_token(header={"typ": kind}), now)


def test_required_type_is_required(make_token: Make, now: datetime) -> None:
    strict = Expectations("https://idp.example/", "interlock", types=("at+jwt",))

    assert verify(make_token(header={"typ": "at+jwt"}), now, strict).subject == "ann"
    for header in ({}, {"typ": "JWT"}):
        with pytest.raises(AuthenticationError):
            verify(make_token(header=header), now, strict)


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": ...},
        {"exp": None},
        {"exp": str(START + 600)},
        {"exp": float(START + 600)},
        {"exp": True},
        {"exp": -1},
        {"exp": 10**12},
        {"exp": START + 3601},
        {"exp": START - 30},
        {"exp": START, "iat": START},
        {"exp": START + 10, "iat": START + 20},
        {"iat": ...},
        {"iat": START + 31},
        {"iat": "now"},
        {"iat": START + 0.5},
        {"nbf": START + 31},
        {"nbf": None},
        {"nbf": str(START)},
        {"nbf": False},
    ],
)
def test_token_whose_times_do_not_hold_is_refused_T25(make_token: Make, now: datetime, claims: dict[str, Any]) -> None:
    with pytest.raises(AuthenticationError):
        verify(make_token(**claims), now)


def test_number_beyond_any_time_is_refused_T25(make_token: Make, now: datetime) -> None:
    for number in ("1e400", "1E400", f"{START + 600}e0", "9" * 400):
        raw = f'{{"iss":"https://idp.example/","sub":"a","aud":"interlock","iat":{START},"exp":{number}}}'
        with pytest.raises(AuthenticationError):
            verify(make_token(raw=raw), now)


@pytest.mark.parametrize(
    ("skew", "behind", "taken"), [(30, 29, True), (30, 30, False), (600, 59, True), (600, 60, False)]
)
def test_clock_may_differ_by_the_configured_skew_and_by_a_minute_at_most_T25(
    make_token: Make, now: datetime, skew: int, behind: int, taken: bool
) -> None:
    expected = Expectations("https://idp.example/", "interlock", skew_seconds=skew)
    late = now + timedelta(seconds=600 + behind)
    try:
        verify(make_token(), late, expected)
    except AuthenticationError:
        assert not taken
    else:
        assert taken


def test_delegation_chain_is_kept_outermost_first(make_token: Make, now: datetime) -> None:
    act = {"sub": "bot", "act": {"sub": "tool", "iss": "https://other.example/"}}

    assert verify(make_token(act=act), now).actors == (
        Actor("bot", "https://idp.example/"),
        Actor("tool", "https://other.example/"),
    )


@pytest.mark.parametrize("act", [None, "bot", [], {}, {"sub": ""}, {"sub": "a", "act": []}, {"sub": "a", "iss": 1}])
def test_delegation_chain_that_is_none_is_refused_T21(make_token: Make, now: datetime, act: object) -> None:
    with pytest.raises(AuthenticationError):
        verify(make_token(act=act), now)


def test_endless_delegation_chain_is_refused_T25(make_token: Make, now: datetime) -> None:
    act: dict[str, Any] = {"sub": "x"}
    for _ in range(8):
        act = {"sub": "x", "act": act}

    with pytest.raises(AuthenticationError):
        verify(make_token(act=act), now)


def test_token_without_an_id_is_named_by_what_was_signed_T25(make_token: Make, now: datetime) -> None:
    one, same, other = (verify(make_token(jti=..., sub=s), now).token_id for s in ("ann", "ann", "bob"))

    assert one == same != other
    assert one.startswith("sha256:")
