import pytest

from interlock.core.errors import PolicyError
from interlock.policy import PolicySet
from interlock.policy.policyset import MAX_SOURCE_CHARACTERS

GOOD = '@id("good") permit (principal, action, resource);\n'
HELD = """@id("held") @approvers("dba") @expires("2h")
forbid (principal, action in Action::"destroy", resource) unless { context.approved_by.contains("dba") };
"""


def test_policies_of_all_files_are_loaded_under_their_own_names() -> None:
    policies = PolicySet.from_sources({"b.cedar": GOOD, "a.cedar": "// nothing here\n" + HELD})

    assert set(policies.rules) == {"good", "held"}
    held = policies.rules["held"]
    assert (held.file, held.line, held.forbids) == ("a.cedar", 2, True)
    assert (held.duties.approvers, held.duties.expires_seconds) == (("dba",), 7200)


def test_hash_names_the_texts_and_not_their_order() -> None:
    one = PolicySet.from_sources({"a.cedar": GOOD, "b.cedar": HELD})
    same = PolicySet.from_sources({"b.cedar": HELD, "a.cedar": GOOD})
    others = [
        PolicySet.from_sources({"a.cedar": GOOD, "b.cedar": HELD + "//"}),
        PolicySet.from_sources({"a.cedar": GOOD, "c.cedar": HELD}),
        PolicySet.from_sources({"a.cedar": GOOD}),
    ]

    assert one.hash == same.hash
    assert len({one.hash, *(other.hash for other in others)}) == 4


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        (GOOD + "\npermit (principal action, resource);", 3, "doesn't parse"),
        (GOOD + "permit (principal, action, resource)", 2, "doesn't parse"),
        (GOOD + "\n\npermit (principal, action, resource);", 4, "has no @id"),
        (GOOD + GOOD, 2, "is taken by p.cedar:1"),
        ('@id("Bad Name") permit (principal, action, resource);', 1, "a-z"),
        ('@id("x") permit (principal == ?principal, action, resource);', 1, "templates"),
        ('@id("x") permit (principal in Team::"x", action, resource);', 1, "doesn't fit the schema"),
        ('@id("x") permit (principal, action in Action::"delete", resource);', 1, "delete"),
        ('@id("x") permit (principal, action, resource) when { context.facts.bund };', 1, "bund"),
        ('@id("x") permit (principal, action, resource) when { context.facts.bounded == "yes" };', 1, "schema"),
        ('@id("x") permit (principal, action, resource) when { resource.getTag("a") == "b" };', 1, "schema"),
        ('@id("x") @mask("email") permit (principal, action, resource);', 1, "unknown annotation @mask"),
        ('@id("x") @approvers("dba") permit (principal, action, resource);', 1, "belongs on a forbid"),
        ('@id("x") @approvers("dba") forbid (principal, action, resource);', 1, "no condition tests it"),
        (HELD.replace('contains("dba")', 'contains("dbas")'), 1, "no condition tests it"),
        (HELD.replace('contains("dba")', 'containsAny(["dba", "sre"])'), 1, "no condition tests it"),
        (HELD.replace('@approvers("dba")', '@approvers("dba, sre")'), 1, '"sre"'),
        (HELD.replace('"2h"', '"2 hours"'), 1, "@expires('2 hours')"),
        ('@id("x") @max_rows("many") permit (principal, action, resource);', 1, "@max_rows('many')"),
        (
            '@id("x") permit (principal, action, resource) when { ' + "[" * 150 + "]" * 150 + ".isEmpty() };",
            1,
            "p.cedar",
        ),
    ],
)
def test_policy_that_cannot_be_kept_to_names_file_line_and_reason(text: str, line: int, expected: str) -> None:
    with pytest.raises(PolicyError) as raised:
        PolicySet.from_sources({"p.cedar": text})

    assert str(raised.value).startswith(f"p.cedar:{line}: ")
    assert expected in str(raised.value)


def test_all_problems_are_told_at_once_and_no_more_than_a_screenful() -> None:
    with pytest.raises(PolicyError) as raised:
        PolicySet.from_sources({"a.cedar": "permit (principal, action, resource);" * 30, "b.cedar": "oops;"})

    lines = str(raised.value).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "and 11 more problems"


def test_sources_over_the_limit_are_refused_unread() -> None:
    with pytest.raises(PolicyError, match="limit"):
        PolicySet.from_sources({"a.cedar": " " * (MAX_SOURCE_CHARACTERS + 1)})


def test_number_of_policies_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlock.policy.policyset.MAX_POLICIES", 2)
    many = "".join(f'@id("p{i}") permit (principal, action, resource);' for i in range(4))

    with pytest.raises(PolicyError, match="limit of 2 policies"):
        PolicySet.from_sources({"p.cedar": many})


@pytest.mark.parametrize("text", ['@id("x\ud800") permit (principal, action, resource);', "\x00", "\ufeff" + GOOD])
def test_text_that_is_not_policy_raises_only_the_documented_error(text: str) -> None:
    with pytest.raises(PolicyError):
        PolicySet.from_sources({"p.cedar": text})
