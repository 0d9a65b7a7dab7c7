from collections.abc import Callable
from typing import Any

import pytest

from interlock.core.principal import PrincipalKind
from interlock.policy import PolicySet
from interlock.policy.slices import pair_value, select_rules

Make = Callable[..., Any]


@pytest.mark.parametrize(
    ("principal", "resource", "fits"),
    [
        ("principal", "resource", True),
        ("principal is Agent", "resource is Resource", True),
        ("principal is Human", "resource", False),
        ('principal in Group::"team"', "resource", True),
        ('principal in Group::"Team"', "resource", False),
        ('principal is Agent in Group::"team"', "resource", True),
        ('principal is Workload in Group::"team"', "resource", False),
        ('principal == Agent::"https://idp.example/|ci"', "resource", True),
        ('principal in Agent::"https://idp.example/|ci"', "resource", True),
        ('principal == Human::"https://idp.example/|ci"', "resource", False),
        ("principal", 'resource == Resource::"shop"', True),
        ("principal", 'resource == Resource::"shop2"', False),
        ("principal", 'resource in Environment::"production"', True),
        ("principal", 'resource in Environment::"prod"', False),
        ("principal", 'resource is Resource in Environment::"production"', True),
    ],
)
def test_slice_has_the_policies_whose_scope_can_match_and_no_others(
    make_principal: Make, make_resource: Make, principal: str, resource: str, fits: bool
) -> None:
    policies = PolicySet.from_sources({"p.cedar": f'@id("x") permit ({principal}, action, {resource});'})
    selected = select_rules(policies, make_principal("team"), make_resource(environment="production"))

    assert bool(selected) is fits


def test_pairs_are_equal_only_if_no_policy_can_tell_them_apart_T21(make_principal: Make, make_resource: Make) -> None:
    usual = pair_value(make_principal("a"), make_resource(owner="x"))
    others = [
        pair_value(make_principal("b"), make_resource(owner="x")),
        pair_value(make_principal("a", kind=PrincipalKind.HUMAN), make_resource(owner="x")),
        pair_value(make_principal("a", subject="cj"), make_resource(owner="x")),
        pair_value(make_principal("a", person="p"), make_resource(owner="x")),
        pair_value(make_principal("a", claims={"k": "v"}), make_resource(owner="x")),
        pair_value(make_principal("a", development=True), make_resource(owner="x")),
        pair_value(make_principal("a"), make_resource(owner="y")),
        pair_value(make_principal("a"), make_resource("other", owner="x")),
    ]

    assert usual == pair_value(make_principal("a"), make_resource(owner="x"))
    assert usual not in others
