from interlock.core.action import Effect
from interlock.policy.leaves import CONNECT, KNOWN_LEAVES, leaf_ancestors, leaf_protocol, schema_leaf


def test_every_leaf_belongs_to_exactly_one_effect() -> None:
    effects = {effect.value for effect in Effect}

    for leaf in KNOWN_LEAVES:
        assert len(leaf_ancestors(leaf) & effects) == 1


def test_every_effect_has_a_leaf_for_kinds_that_the_table_lacks() -> None:
    for effect in Effect:
        assert schema_leaf(f"{effect.value}/postgres.brand_new") == f"{effect.value}/postgres.other"


def test_leaf_of_another_effect_or_protocol_has_no_place() -> None:
    for leaf in (
        "",
        "read",
        "read/postgres",
        "read/postgres.",
        "raed/postgres.x",
        "read/mysql.select",
        "READ/postgres.x",
    ):
        assert schema_leaf(leaf) is None


def test_connecting_is_a_leaf_without_a_protocol_group() -> None:
    assert leaf_ancestors(CONNECT) == {CONNECT, "session"}
    assert leaf_protocol(CONNECT) == "postgres"
    assert leaf_protocol("read/postgres.select") == "postgres"
