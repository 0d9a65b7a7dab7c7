import cedarpy
import pytest
from cedarpy import pst

from interlock.policy.mentions import Mentions, find_groups_tested, find_mentions


def template(condition: str) -> pst.Template:
    policies = cedarpy.PolicySet.from_str(f"forbid (principal, action, resource) when {{ {condition} }};").to_pst()
    return next(iter(policies.static_policies.values()))


@pytest.mark.parametrize(
    ("condition", "attributes", "facts"),
    [
        ("principal.subject == resource.name", [], []),
        ("context.hour > 5 && context.tls", ["hour", "tls"], []),
        ("context.facts.bounded || context.facts.writes.contains(context.database)",
         ["facts", "database"], ["bounded", "writes"]),
        ('context has facts.bounded && context.model.name like "x*"', ["facts", "model"], ["bounded"]),
        ("context.facts has large", ["facts"], ["large"]),
        ("if context.tls then context.facts.large else (context.session.rows + 1 > 2)",
         ["facts", "tls", "session"], ["large"]),
        ('{a: context.reason}.a == "" || [context.source].contains(ip("::1"))', ["reason", "source"], []),
        ("principal.hasTag(context.reason)", ["reason"], []),
    ],
)  # fmt: skip
def test_every_attribute_that_a_condition_reads_is_found_T19(
    condition: str, attributes: list[str], facts: list[str]
) -> None:
    found = find_mentions(template(condition))

    assert found == Mentions(frozenset(attributes), frozenset(facts))


@pytest.mark.parametrize(
    ("condition", "everything", "all_facts"),
    [
        ("context == context", True, False),
        ("(if context.tls then context else context).hour > 3", True, False),
        ("{c: context}.c.hour > 3", True, False),
        ("context.facts == context.facts", False, True),
        ("[context.facts].contains(context.facts)", False, True),
    ],
)
def test_use_of_the_context_as_a_whole_counts_as_reading_everything_T19(
    condition: str, everything: bool, all_facts: bool
) -> None:
    found = find_mentions(template(condition))

    assert (found.everything, found.all_facts) == (everything, all_facts)


@pytest.mark.parametrize(
    ("condition", "groups"),
    [
        ('context.approved_by.contains("a")', ["a"]),
        ('!context.approved_by.containsAll(["a", "b"])', ["a", "b"]),
        ('context.approved_by.containsAny(["a", "b"])', []),
        ('["a"].contains("a") && context.facts.roles.contains("b")', []),
        ("context.approved_by.contains(context.reason)", []),
    ],
)  # fmt: skip
def test_groups_that_a_condition_looks_for_are_found(condition: str, groups: list[str]) -> None:
    assert find_groups_tested(template(condition)) == set(groups)
