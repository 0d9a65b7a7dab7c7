from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from interlock.approval.duties import covered_groups
from interlock.approval.held import Verdict, VerdictKind

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GROUPS = ("a", "b", "c")


def verdict(person: str, groups: Sequence[str], kind: VerdictKind = VerdictKind.APPROVE) -> Verdict:
    return Verdict(kind, person, person, tuple(groups), "", NOW)


@given(st.lists(st.lists(st.sampled_from(GROUPS), unique=True), max_size=4))
def test_groups_covered_are_as_many_as_any_assignment_gives_and_no_person_counts_twice(people: list[list[str]]) -> None:
    covered = covered_groups(GROUPS, [verdict(str(i), groups) for i, groups in enumerate(people)])
    assert len(set(covered.values())) == len(covered)
    assert all(group in people[int(person)] for group, person in covered.items())
    seats = [*range(len(people)), *([None] * len(GROUPS))]
    best = max(
        sum(person is not None and group in people[person] for group, person in zip(GROUPS, order, strict=False))
        for order in permutations(seats, len(GROUPS))
    )
    assert len(covered) == best


def test_refusals_cover_nothing() -> None:
    assert covered_groups(GROUPS, [verdict("p", GROUPS, VerdictKind.DENY)]) == {}
