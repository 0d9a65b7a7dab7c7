import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from interlock.core.errors import AuthenticationError
from interlock.core.principal import Actor, Model, Principal, PrincipalKind
from interlock.core.secret import Secret
from interlock.identity.development import DevelopmentGrant, DevelopmentVerifier, issue_development_token
from interlock.identity.token import decode_token

Make = Callable[..., Secret]
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
REVIEWER = DevelopmentGrant(
    subject="code-reviewer",
    kind=PrincipalKind.AGENT,
    groups=("writers", "readers"),
    model=Model("acme", "reviewer", "2", attested=True),
    resources=("shop",),
    reason="nightly review",
    actors=(Actor("runner", "https://ci.example/"), Actor("bot", "https://ci.example/")),
)


def issue(now: datetime, grant: DevelopmentGrant = REVIEWER, seconds: int = 600) -> Secret:
    return issue_development_token(KEY, grant, lifetime=timedelta(seconds=seconds), now=now, token_id="t-1")


def verify(token: Secret, now: datetime, key: Ed25519PrivateKey = KEY) -> Principal:
    return asyncio.run(DevelopmentVerifier(key.public_key()).verify(decode_token(token), now))


def test_development_token_says_what_was_granted_and_never_an_attested_model(now: datetime) -> None:
    assert verify(issue(now), now) == Principal(
        subject="code-reviewer",
        issuer="interlock:development",
        kind=PrincipalKind.AGENT,
        expires_at=now + timedelta(seconds=600),
        token_id="t-1",
        groups=frozenset(("writers", "readers")),
        actors=REVIEWER.actors,
        model=Model("acme", "reviewer", "2", attested=False),
        reason="nightly review",
        person="code-reviewer",
        resources=frozenset(("shop",)),
        development=True,
    )


def test_person_of_a_development_token_is_its_subject(now: datetime) -> None:
    assert verify(issue(now, DevelopmentGrant("ann", PrincipalKind.HUMAN)), now).person == "ann"
    assert verify(issue(now, DevelopmentGrant("ci", PrincipalKind.WORKLOAD)), now).person is None
    assert verify(issue(now, DevelopmentGrant("ci", PrincipalKind.AGENT, person="ann")), now).person == "ann"


def test_development_token_of_another_key_or_time_is_refused_T25(now: datetime) -> None:
    refused: list[Any] = [
        (issue(now), now + timedelta(seconds=640), KEY),
        (issue(now), now - timedelta(seconds=40), KEY),
        (issue(now, seconds=7200), now, KEY),
        (issue(now), now, Ed25519PrivateKey.generate()),
    ]
    for token, at, key in refused:
        with pytest.raises(AuthenticationError):
            verify(token, at, key)


@pytest.mark.parametrize(
    "said",
    [
        ...,
        None,
        {"kind": "agent"},
        {"development": False, "kind": "agent"},
        {"development": True},
        {"development": True, "kind": "robot"},
        {"development": True, "kind": "agent", "admin": True},
        {"development": True, "kind": "agent", "groups": "dba"},
    ],
)
def test_development_claim_of_another_form_is_refused(make_token: Make, now: datetime, said: object) -> None:
    token = make_token(iss="interlock:development", header={"typ": "at+jwt", "kid": "development"}, interlock=said)

    with pytest.raises(AuthenticationError):
        verify(token, now)


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 300, "\u202eann"])
def test_name_that_no_token_may_carry_is_not_issued(now: datetime, name: str) -> None:
    with pytest.raises(ValueError, match="printable"):
        issue(now, DevelopmentGrant(name, PrincipalKind.AGENT))
    with pytest.raises(ValueError, match="printable"):
        issue(now, DevelopmentGrant("ci", PrincipalKind.AGENT, groups=(name,)))
