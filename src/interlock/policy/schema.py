"""The schema that every policy is checked against: shipped text and the table of leaves."""

from functools import cache
from importlib.resources import files

from cedarpy import Schema

from interlock.core.action import Effect
from interlock.policy.leaves import CONNECT, FACTS, KINDS

PRINCIPALS = "[Agent, Human, Workload]"


@cache
def shipped_schema_text() -> str:
    """The whole schema in Cedar's schema syntax, as ``interlock policy schema`` would print it."""
    parts = [files("interlock.policy").joinpath("schema.cedarschema").read_text(encoding="utf-8")]
    parts += [_facts_type(protocol) for protocol in FACTS]
    parts += [f'action "{effect.value}";' for effect in Effect]
    for protocol, kinds in KINDS.items():
        context = f"{protocol.capitalize()}Context"
        parts.append(f'action "{protocol}";')
        for effect in Effect:
            group = f"{effect.value}/{protocol}"
            names = ", ".join(f'"{group}.{kind}"' for kind in kinds)
            parts.append(f'action "{group}" in ["{effect.value}", "{protocol}"];')
            parts.append(f'action {names} in ["{group}"]\n{_applies(context)}')
    parts.append(f'action "{CONNECT}" in ["session"]\n{_applies("PostgresContext")}')
    return "\n\n".join(parts) + "\n"


def _applies(context: str) -> str:
    return f"  appliesTo {{ principal: {PRINCIPALS}, resource: [Resource], context: {context} }};"


def _facts_type(protocol: str) -> str:
    name = protocol.capitalize()
    facts = "\n".join(f"  {fact}: {kind}," for fact, kind in FACTS[protocol].items())
    return f"""type {name}Facts = {{
{facts}
}};

type {name}Context = {{
  facts: {name}Facts,
  // UTC.
  time: datetime,
  hour: Long,
  // 1 = Monday ... 7 = Sunday.
  weekday: Long,
  // The client's address. A local socket has none: there a policy that reads it is an error, and so a denial.
  source: ipaddr,
  reason: String,
  database: String,
  tls: Bool,
  model: Model,
  session: Totals,
  // Groups whose approval this action has.
  approved_by: Set<String>,
}};"""


@cache
def shipped_schema() -> Schema:
    """The schema, parsed once."""
    return Schema.from_str(shipped_schema_text())
