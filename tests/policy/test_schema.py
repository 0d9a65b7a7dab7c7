import pytest
from cedarpy import Decision, Entities, PolicySet, is_authorized

from interlock.policy.leaves import KNOWN_LEAVES, leaf_ancestors
from interlock.policy.schema import shipped_schema, shipped_schema_text


def test_every_leaf_is_an_action_of_the_schema() -> None:
    text = shipped_schema_text()

    assert all(f'"{leaf}"' in text for leaf in KNOWN_LEAVES)


@pytest.mark.parametrize("leaf", ["session/connect", "read/postgres.select", "unknown/postgres.other"])
def test_leaf_is_in_the_groups_that_the_decider_assumes_and_in_no_others(leaf: str) -> None:
    entities = Entities.from_json_str("[]", shipped_schema())
    names = {"read", "session", "unknown", "destroy", "postgres", "read/postgres", "unknown/postgres", leaf}
    nobody = {"type": "Agent", "id": "x"}
    request = {"principal": nobody, "action": {"type": "Action", "id": leaf}, "resource": nobody, "context": {}}

    found = set()
    for name in names:
        policy = PolicySet.from_str(f'permit (principal, action in Action::"{name}", resource);')
        if is_authorized(request, policy, entities).decision is Decision.Allow:
            found.add(name)
    assert found == leaf_ancestors(leaf)
