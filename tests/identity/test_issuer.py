import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from interlock.config.model import ClaimMap, IssuerConfig, ModelClaims
from interlock.core.errors import AuthenticationError
from interlock.core.principal import Model, Principal, PrincipalKind
from interlock.core.secret import Secret
from interlock.identity.issuer import IssuerVerifier
from interlock.identity.jwks import StaticKeys
from interlock.identity.keys import KeySet
from interlock.identity.token import decode_token

Make = Callable[..., Secret]
HUMAN = ClaimMap("", {}, "human")


def config(**more: Any) -> IssuerConfig:
    fields = {"issuer": "https://idp.example/", "audience": "interlock", "jwks": "file:/x", "kinds": HUMAN, **more}
    return IssuerConfig(**fields)


def verify(secret: Secret, keys: KeySet, now: datetime, **more: Any) -> Principal:
    verifier = IssuerVerifier(config(**more), StaticKeys(keys))
    return asyncio.run(verifier.verify(decode_token(secret), now))


def test_claims_become_a_principal_by_the_issuers_mapping(make_token: Make, key_set: KeySet, now: datetime) -> None:
    token = make_token(
        roles=["platform-dba", "dba", "staff"], who="agent-runner", email="ann@example.com", for_="shop",
        why="TICKET-1", model_vendor="acme", model_name="rev", model_version="2", repo="acme/shop", run=7, fork=False,
    )  # fmt: skip
    principal = verify(
        token, key_set, now,
        groups=ClaimMap("roles", {"platform-dba": "dba", "staff": "readers"}),
        kinds=ClaimMap("who", {"agent-runner": "agent"}),
        person_claim="email", resources_claim="for_", reason_claim="why",
        model=ModelClaims(attested=True), claims=("repo", "run", "fork", "absent"),
    )  # fmt: skip

    assert (principal.kind, principal.groups) == (PrincipalKind.AGENT, frozenset({"dba", "readers"}))
    assert (principal.person, principal.resources, principal.reason) == (
        "ann@example.com",
        frozenset({"shop"}),
        "TICKET-1",
    )
    assert principal.model == Model("acme", "rev", "2", attested=True)
    assert principal.claims == {"repo": "acme/shop", "run": "7", "fork": "false"}
    assert not principal.development


def test_group_names_come_from_the_mapping_only_T21(make_token: Make, key_set: KeySet, now: datetime) -> None:
    token = make_token(groups=["dba", "interlock:dba", "__proto__"], interlock={"groups": ["dba"], "development": True})

    assert verify(token, key_set, now).groups == frozenset()
    assert verify(token, key_set, now, groups=ClaimMap("groups", {"x": "dba"})).groups == frozenset()
    assert verify(token, key_set, now, groups=ClaimMap("other", {"dba": "dba"})).groups == frozenset()
    assert not verify(token, key_set, now).development


@pytest.mark.parametrize("roles", [{"dba": True}, [["dba"]], [1], None, "dba\n", ["x"] * 1001])
def test_groups_claim_of_another_form_is_refused_T25(
    make_token: Make, key_set: KeySet, now: datetime, roles: object
) -> None:
    with pytest.raises(AuthenticationError):
        verify(make_token(roles=roles), key_set, now, groups=ClaimMap("roles", {"dba": "dba"}))


@pytest.mark.parametrize(
    "kinds", [ClaimMap("who", {}), ClaimMap("who", {"x": "robot"}), ClaimMap("missing", {"x": "human"})]
)
def test_token_that_does_not_say_whose_kind_it_is_is_refused(
    make_token: Make, key_set: KeySet, now: datetime, kinds: ClaimMap
) -> None:
    with pytest.raises(AuthenticationError):
        verify(make_token(who="x"), key_set, now, kinds=kinds)


def test_person_without_the_claim_that_names_the_person_is_refused_T21(
    make_token: Make, key_set: KeySet, now: datetime
) -> None:
    with pytest.raises(AuthenticationError):
        verify(make_token(), key_set, now, person_claim="email")

    assert verify(make_token(), key_set, now).person == "ann"


def test_agent_that_acts_for_a_person_has_that_person_behind_it_T21(
    make_token: Make, key_set: KeySet, now: datetime
) -> None:
    agent = ClaimMap("", {}, "agent")

    assert verify(make_token(act={"sub": "bot"}), key_set, now, kinds=agent).person == "ann"
    assert verify(make_token(), key_set, now, kinds=agent).person is None


def test_token_that_does_not_name_its_resources_where_it_must_is_refused_T25(
    make_token: Make, key_set: KeySet, now: datetime
) -> None:
    with pytest.raises(AuthenticationError):
        verify(make_token(), key_set, now, resources_claim="resources")


def test_signature_is_checked_before_the_claims_are_believed_T25(
    make_token: Make, key_set: KeySet, now: datetime
) -> None:
    with pytest.raises(AuthenticationError, match="signature"):
        verify(Secret(make_token().reveal()[:-4] + "AAAA"), key_set, now)
    with pytest.raises(AuthenticationError, match="algorithm"):
        verify(make_token(), key_set, now, algorithms=("RS256",))
    with pytest.raises(AuthenticationError, match="algorithm"):
        verify(make_token(header={"alg": "none"}), key_set, now, algorithms=("none",))
    with pytest.raises(AuthenticationError, match="another issuer"):
        verify(make_token(iss="https://idp.example/other"), key_set, now)
