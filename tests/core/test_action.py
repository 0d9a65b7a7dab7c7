"""Actions: the effects that policy is asked about come from the leaves."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.action import NO_FACTS, Action, Effect


def an_action(*leaves: str) -> Action:
    return Action("s1.1", "postgres.batch", leaves, NO_FACTS, "SELECT 1", b"SELECT 1", "00")


def test_the_vocabulary_of_effects_is_the_one_that_policies_are_written_in() -> None:
    assert [str(effect) for effect in Effect] == [
        "read", "write", "destroy", "schema", "admin", "execute", "session", "unknown",
    ]  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(list(Effect)), st.text("abc", min_size=1)), max_size=6))
def test_every_leafs_effect_counts_once_in_the_vocabularys_order(leaves: list[tuple[Effect, str]]) -> None:
    action = an_action(*(f"{effect}/postgres.{kind}" for effect, kind in leaves))
    assert set(action.effects) == {effect for effect, _ in leaves}
    assert list(action.effects) == sorted(set(action.effects), key=list(Effect).index)


def test_a_leaf_that_no_effect_names_adds_none() -> None:
    assert an_action("reads/postgres.select", "postgres.read", "read/postgres.select").effects == (Effect.READ,)


def test_nobody_changes_an_action_or_its_facts_after_it_was_made() -> None:
    action = an_action("read/postgres.select")
    with pytest.raises((AttributeError, TypeError)):
        action.leaves = ()  # type: ignore[misc]  # the attack
    with pytest.raises(TypeError):
        NO_FACTS["bounded"] = True  # type: ignore[index]  # the attack
    assert msgspec.structs.replace(action, text="x").leaves == action.leaves
