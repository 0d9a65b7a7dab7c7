from datetime import datetime, timedelta

import pytest

from interlock.core.errors import AuthenticationError
from interlock.core.principal import Actor, Model, Principal, PrincipalKind
from interlock.identity.principal_json import decode_principal, encode_principal


def test_principal_comes_back_bound_to_its_resource_and_its_end(now: datetime) -> None:
    principal = Principal(
        subject="ann",
        issuer="https://idp.example/",
        kind=PrincipalKind.HUMAN,
        expires_at=now + timedelta(hours=1),
        token_id="t1",
        groups=frozenset(("dba", "readers")),
        actors=(Actor("bot", "i", PrincipalKind.AGENT), Actor("x", "j")),
        model=Model("v", "n", "1", attested=True),
        reason="why",
        person="p",
        development=True,
        claims={"repo": "acme/shop"},
    )
    sooner = now + timedelta(minutes=5)
    back = decode_principal(encode_principal(principal, resource="shop", expires_at=sooner))

    assert back.expires_at == sooner
    assert back.resources == frozenset({"shop"})
    assert (back.groups, back.actors, back.model) == (principal.groups, principal.actors, principal.model)
    assert (back.id, back.kind, back.token_id, back.person) == (principal.id, principal.kind, "t1", "p")
    assert (back.reason, back.development, back.claims) == ("why", True, principal.claims)
    later = decode_principal(encode_principal(principal, resource="shop", expires_at=now + timedelta(days=9)))
    assert later.expires_at == principal.expires_at


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"subject": "x"}', "\ud800"])
def test_text_that_is_no_stored_principal_is_refused(text: str) -> None:
    with pytest.raises(AuthenticationError):
        decode_principal(text)


def test_stored_principal_with_more_or_without_a_time_zone_is_refused(now: datetime) -> None:
    text = encode_principal(Principal("a", "i", PrincipalKind.AGENT, now, "t"), resource="r", expires_at=now)

    for changed in (text.replace('"subject"', '"admin":true,"subject"'), text.replace("Z", "").replace("+00:00", "")):
        with pytest.raises(AuthenticationError):
            decode_principal(changed)
