import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interlock.analysis.postgres.analyser import Analyser
from interlock.analysis.postgres.statement import Analysis
from interlock.core.decision import Allow, Deny, Hold
from interlock.core.principal import PrincipalKind
from interlock.policy import Context, Decider, PolicySet
from interlock.policy.starting import starter_policies

Make = Callable[..., Any]


ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "policies" / "examples"


@pytest.fixture(scope="module")
def starter() -> Decider:
    return Decider(PolicySet.from_sources(starter_policies()))


@pytest.mark.parametrize(
    ("groups", "leaves", "facts", "expected"),
    [
        ((), ("session/connect",), {}, Deny),
        (("readers",), ("session/connect",), {}, Allow),
        (("readers",), ("read/postgres.select",), {}, Allow),
        (("readers",), ("session/postgres.set",), {"settings": ("search_path", "datestyle")}, Allow),
        (("readers",), ("session/postgres.parse",), {}, Allow),
        (("readers",), ("write/postgres.insert",), {}, Deny),
        (("readers",), ("destroy/postgres.drop_table",), {}, Deny),
        (("writers",), ("write/postgres.update",), {}, Allow),
        (("writers",), ("destroy/postgres.drop_column", "schema/postgres.alter_table"), {}, Hold),
        (("writers",), ("destroy/postgres.delete",), {"bounded": False}, Hold),
        (("writers",), ("execute/postgres.do",), {}, Hold),
        (("writers",), ("admin/postgres.grant",), {}, Hold),
        (("writers",), ("admin/postgres.set",), {"settings": ("role",)}, Deny),
        (("writers",), ("admin/postgres.set_role",), {}, Deny),
        (("writers",), ("admin/postgres.set_session_authorization",), {}, Deny),
        (("writers",), ("unknown/postgres.unparsed",), {}, Deny),
    ],
)
@pytest.mark.parametrize("kind", [PrincipalKind.AGENT, PrincipalKind.WORKLOAD])
def test_agent_under_the_starter_policies(
    starter: Decider,
    make_principal: Make,
    make_resource: Make,
    make_action: Make,
    context: Context,
    kind: PrincipalKind,
    groups: tuple[str, ...],
    leaves: tuple[str, ...],
    facts: dict[str, Any],
    expected: type,
) -> None:
    principal = make_principal(*groups, kind=kind)
    answer = starter.decide(principal, make_action(*leaves, **facts), make_resource(), context)

    assert isinstance(answer, expected)
    if isinstance(answer, Hold):
        assert (answer.groups, answer.expires_seconds) == (("dba",), 1800)


def test_person_under_the_starter_policies_gives_a_reason_and_waits(
    starter: Decider, make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    ann = make_principal("writers", kind=PrincipalKind.HUMAN, subject="ann")
    why = make_principal("writers", kind=PrincipalKind.HUMAN, subject="ann", reason="TICKET-1")
    drop = make_action("destroy/postgres.drop_table")

    assert isinstance(starter.decide(ann, make_action("schema/postgres.create_table"), make_resource(), context), Allow)
    assert getattr(starter.decide(ann, drop, make_resource(), context), "code", "") == "reason_required"
    assert isinstance(starter.decide(why, drop, make_resource(), context), Hold)


def test_statements_of_stock_clients_pass_for_a_reader(
    starter: Decider, make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    analyser = Analyser()
    reader, shop = make_principal("readers"), make_resource()
    recorded = json.loads(Path(__file__).with_name("stock_statements.json").read_text())["statements"]
    stopped = []
    for text in recorded:
        analysis = analyser.analyse(text)
        assert isinstance(analysis, Analysis)
        settled = analyser.settle(analysis, None, dirty=False, prepared={}, cursors={})
        action = make_action(*settled.leaves, **settled.facts)
        if not isinstance(starter.decide(reader, action, shop, context), Allow):
            stopped.append((text, settled.leaves))

    assert stopped == []
    assert len(recorded) > 70


def test_permit_all_example_permits_even_what_was_not_understood(
    make_principal: Make, make_resource: Make, make_action: Make, context: Context
) -> None:
    sources = {p.name: p.read_text() for p in (EXAMPLES / "permit-all").glob("*.cedar")}
    everything = Decider(PolicySet.from_sources(sources))

    for leaf in ("session/connect", "unknown/postgres.unparsed", "admin/postgres.set_role"):
        assert isinstance(everything.decide(make_principal(), make_action(leaf), make_resource(), context), Allow)


@pytest.mark.parametrize("folder", sorted(p.name for p in EXAMPLES.iterdir()))
def test_every_example_loads(folder: str) -> None:
    sources = {path.name: path.read_text() for path in (EXAMPLES / folder).glob("*.cedar")}

    assert PolicySet.from_sources(sources).rules


def test_starter_policies_and_schema_are_package_data() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["*"]

    assert {"*.cedar", "*.cedarschema"} <= set(data)
    assert all("@id" in text for text in starter_policies().values())
