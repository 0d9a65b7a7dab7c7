"""Principals: who they are is issuer and subject together."""

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime

import pytest

from interlock.core.principal import Principal, PrincipalKind

UNTIL = datetime(2026, 11, 22, tzinfo=UTC)


def test_the_same_subject_of_two_issuers_is_two_principals_P4() -> None:
    one = Principal("alice", "https://a.example", PrincipalKind.HUMAN, UNTIL, "t1")
    other = Principal("alice", "https://b.example", PrincipalKind.HUMAN, UNTIL, "t1")
    assert one.id == "https://a.example|alice"
    assert one.id != other.id


def test_a_principal_starts_with_no_groups_and_nobody_adds_one_later_P4() -> None:
    one = Principal("alice", "https://a.example", PrincipalKind.HUMAN, UNTIL, "t1")
    assert (one.groups, one.actors, one.person, one.development) == (frozenset(), (), None, False)
    with pytest.raises(FrozenInstanceError):
        one.groups = frozenset({"dba"})  # type: ignore[misc]  # the attack
