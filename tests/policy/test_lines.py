import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from interlock.core.errors import ConfigError
from interlock.core.principal import Model, PrincipalKind
from interlock.policy import Context, Decider, PolicySet
from interlock.policy.leaves import CONNECT_FACTS
from interlock.policy.lines import Analysed, decode_principal, policy_test_lines
from interlock.policy.starting import starter_policies

Make = Callable[..., Any]


REVIEWER = {
    "subject": "ci", "kind": "agent", "groups": ["writers"],
    "model": {"vendor": "acme", "name": "reviewer", "version": "2"},
}  # fmt: skip


def analyse(text: str) -> Analysed:
    words = {"select 1": "read/postgres.select", "delete from t": "destroy/postgres.delete"}
    leaf = words.get(text)
    if leaf is None:
        return Analysed("postgres.unparsed", ("unknown/postgres.unparsed",), CONNECT_FACTS, {"code": "42601"})
    return Analysed("postgres." + leaf.rpartition(".")[2], (leaf,), CONNECT_FACTS)


def run(lines: Iterable[bytes | str], make_resource: Make, context: Context) -> list[dict[str, Any]]:
    decided = policy_test_lines(
        lines,
        analyse=analyse,
        decider=Decider(PolicySet.from_sources(starter_policies())),
        principal=decode_principal(json.dumps(REVIEWER), file="agent.json"),
        resource=make_resource(),
        context=context,
    )
    return [json.loads(line) for line in decided]


def test_each_statement_gets_its_decision_in_order(make_resource: Make, context: Context) -> None:
    lines = ['{"id": 1, "text": "select 1"}', "", '{"id": "b", "text": "delete from t"}', '{"id": null, "text": "?"}']
    read, delete, unparsed = run(lines, make_resource, context)

    assert list(read)[:5] == ["id", "effects", "kind", "facts", "error"]
    assert (read["id"], read["effects"], read["error"], read["facts"]["bounded"]) == (1, ["read"], None, True)
    assert (read["decision"], read["policies"], read["approvers"]) == ("allow", ["writers-change"], [])
    assert (delete["id"], delete["decision"], delete["approvers"]) == ("b", "hold", ["dba"])
    assert delete["policies"] == ["machines-need-dba"]
    assert (unparsed["id"], unparsed["decision"], unparsed["error"]) == (None, "deny", {"code": "42601"})
    assert unparsed["policies"] == ["never-unknown"]


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"id": 1}', '{"id": 1, "text": 5}', b"\xff", '{"id": 1, "text": "\\ud800"}']
)
def test_line_that_is_no_statement_is_answered_in_its_place(
    line: str | bytes, make_resource: Make, context: Context
) -> None:
    answers = run([line, '{"id": 2, "text": "select 1"}'], make_resource, context)

    assert [(a["id"], a["decision"]) for a in answers] == [(None, "deny"), (2, "allow")]
    assert answers[0]["error"]["code"] == "line"


def test_principal_file_says_who_asks() -> None:
    principal = decode_principal(json.dumps(REVIEWER | {"actors": [{"subject": "b", "issuer": "i"}]}), file="a.json")

    assert (principal.subject, principal.kind, principal.groups) == ("ci", PrincipalKind.AGENT, frozenset({"writers"}))
    assert principal.model == Model("acme", "reviewer", "2")
    assert principal.actors[0].subject == "b"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"subject": "x"}',
        '{"subject": "x", "kind": "robot"}',
        '{"subject": "x", "kind": "agent", "group": []}',
        "\ud800",
    ],
)
def test_principal_file_of_another_form_names_the_file(text: str) -> None:
    with pytest.raises(ConfigError, match=r"agent\.json"):
        decode_principal(text, file="agent.json")
