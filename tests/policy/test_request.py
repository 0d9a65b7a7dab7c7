from collections.abc import Callable, Mapping
from typing import Any

import pytest

from interlock.policy import Context
from interlock.policy.context import Totals
from interlock.policy.leaves import CONNECT_FACTS
from interlock.policy.mentions import Mentions
from interlock.policy.request import ALL_ATTRIBUTES, UndecidableError, encode_context, encode_entities

Make = Callable[..., Any]


def encode(context: Context, mentions: Mentions, facts: Mapping[str, Any] = CONNECT_FACTS) -> dict[str, Any]:
    return encode_context(
        mentions=mentions,
        protocol="postgres",
        facts=facts,
        context=context,
        model=None,
        reason="",
        approved_by=["b", "a"],
    )


def test_context_holds_what_is_read_and_nothing_else(context: Context) -> None:
    assert encode(context, Mentions()) == {}
    some = encode(context, Mentions(frozenset(("facts", "approved_by")), frozenset(("bounded", "writes"))))
    assert some == {"facts": {"bounded": True, "writes": []}, "approved_by": ["a", "b"]}
    everything = encode(context, Mentions(everything=True))
    assert set(everything) == ALL_ATTRIBUTES
    assert set(everything["facts"]) == set(CONNECT_FACTS)
    assert everything["time"] == {"__extn": {"fn": "datetime", "arg": "2026-11-23T10:30:00Z"}}
    assert (everything["hour"], everything["weekday"]) == (10, 1)


@pytest.mark.parametrize("source", ["", "local", "192.0.2.7:80", "192.0.2.0/24", "1.2.3", "::1%" + "x" * 3 + "/8"])
def test_source_that_is_not_an_address_cannot_be_decided_on(context: Context, source: str) -> None:
    nowhere = type(context)(context.now, source=source)

    with pytest.raises(UndecidableError):
        encode(nowhere, Mentions(frozenset(("source",))))


@pytest.mark.parametrize(
    ("source", "expected"),
    [("::ffff:127.0.0.1", "127.0.0.1"), ("2001:DB8::1", "2001:db8::1"), ("fe80::1%eth0", "fe80::1")],
)
def test_source_has_one_spelling(context: Context, source: str, expected: str) -> None:
    told = encode(type(context)(context.now, source=source), Mentions(frozenset(("source",))))

    assert told["source"]["__extn"]["arg"] == expected


def test_total_that_no_long_can_hold_cannot_be_decided_on(context: Context) -> None:
    endless = type(context)(context.now, totals=Totals(rows=2**63))

    with pytest.raises(UndecidableError):
        encode(endless, Mentions(frozenset(("session",))))


def test_attribute_that_the_context_lacks_cannot_be_decided_on(context: Context) -> None:
    with pytest.raises(UndecidableError):
        encode(context, Mentions(frozenset(("mood",))))


def test_entities_fit_the_shipped_schema_and_lone_surrogates_do_not(make_principal: Make, make_resource: Make) -> None:
    encoded = encode_entities(make_principal("a", claims={"k": "v"}), make_resource(environment="production", any="x"))
    assert '"id": "production"' in str(encoded)

    with pytest.raises(ValueError, match=r"."):
        encode_entities(make_principal("\ud800"), make_resource())
