"""Our nouns as Cedar's entities and context. Names travel as JSON strings, never inside policy text."""

import ipaddress
import json
from collections.abc import Iterable, Mapping
from typing import Final

from cedarpy import Entities

from interlock.core.action import FactValue
from interlock.core.principal import Model, Principal, PrincipalKind
from interlock.core.resource import Resource
from interlock.policy.context import Context
from interlock.policy.leaves import BOOL, FACTS, LONG
from interlock.policy.mentions import Mentions
from interlock.policy.schema import shipped_schema

ENTITY_TYPES: Final[Mapping[PrincipalKind, str]] = {
    PrincipalKind.AGENT: "Agent",
    PrincipalKind.HUMAN: "Human",
    PrincipalKind.WORKLOAD: "Workload",
}
NO_MODEL: Final = Model("", "", "")
MIN_LONG: Final = -(2**63)
MAX_LONG: Final = 2**63 - 1
ALL_ATTRIBUTES: Final = frozenset(
    ("facts", "time", "hour", "weekday", "source", "reason", "database", "tls", "model", "session", "approved_by")
)


class UndecidableError(ValueError):
    """The question can't be put to the engine as the schema demands: the answer is a denial."""


def encode_entities(principal: Principal, resource: Resource) -> Entities:
    """Principal, resource, what they are in, and all actions of the schema.

    Raises:
        ValueError: the values can't be Cedar entities (lone surrogates).
    """
    labels = resource.labels
    environment = labels.get("environment", "")
    entities = [
        {
            "uid": {"type": ENTITY_TYPES[principal.kind], "id": principal.id},
            "attrs": {
                "subject": principal.subject,
                "issuer": principal.issuer,
                "person": principal.person or "",
                "actors": [f"{a.issuer}|{a.subject}" for a in principal.actors],
                "development": principal.development,
            },
            "parents": [{"type": "Group", "id": group} for group in sorted(principal.groups)],
            "tags": dict(principal.claims),
        },
        {
            "uid": {"type": "Resource", "id": resource.name},
            "attrs": {
                "name": resource.name,
                "protocol": resource.protocol,
                "owner": labels.get("owner", ""),
                "data_class": labels.get("data_class", ""),
                "environment": environment,
            },
            "parents": [{"type": "Environment", "id": environment}] if environment else [],
            "tags": dict(labels),
        },
    ]
    return Entities.from_json_str(json.dumps(entities), shipped_schema())


def encode_context(
    *,
    mentions: Mentions,
    protocol: str,
    facts: Mapping[str, FactValue],
    context: Context,
    model: Model | None,
    reason: str,
    approved_by: Iterable[str],
) -> dict[str, object]:
    """The attributes that are read, with the types that the schema says, and no others.

    Raises:
        UndecidableError: one that is read is missing or of another type.
    """
    read = ALL_ATTRIBUTES if mentions.everything else mentions.attributes
    encoded: dict[str, object] = {}
    for name in read:
        if name == "facts":
            encoded[name] = _encode_facts(mentions, protocol, facts)
        elif name == "time":
            encoded[name] = _extension("datetime", context.now.strftime("%Y-%m-%dT%H:%M:%SZ"))
        elif name == "hour":
            encoded[name] = context.now.hour
        elif name == "weekday":
            encoded[name] = context.now.isoweekday()
        elif name == "source":
            encoded[name] = _extension("ip", _encode_source(context.source))
        elif name == "reason":
            encoded[name] = reason
        elif name == "database":
            encoded[name] = context.database
        elif name == "tls":
            encoded[name] = context.tls
        elif name == "model":
            m = model or NO_MODEL
            encoded[name] = {"vendor": m.vendor, "name": m.name, "version": m.version, "attested": m.attested}
        elif name == "session":
            totals = context.totals
            encoded[name] = {
                "statements": _verify_long("statements", totals.statements),
                "rows": _verify_long("rows", totals.rows),
                "bytes": _verify_long("bytes", totals.bytes_count),
            }
        elif name == "approved_by":
            encoded[name] = sorted(approved_by)
        else:
            msg = f"the context has no attribute {name}"
            raise UndecidableError(msg)
    return encoded


def _encode_facts(mentions: Mentions, protocol: str, facts: Mapping[str, FactValue]) -> dict[str, object]:
    types = FACTS[protocol]
    read = types if mentions.everything or mentions.all_facts else mentions.facts
    encoded: dict[str, object] = {}
    for name in read:
        kind = types.get(name)
        value = facts.get(name)
        if kind == BOOL:
            fits = isinstance(value, bool)
        elif kind == LONG:
            fits = isinstance(value, int) and not isinstance(value, bool) and MIN_LONG <= value <= MAX_LONG
        else:
            fits = kind is not None and isinstance(value, tuple) and all(isinstance(v, str) for v in value)
        if not fits:
            msg = f"the fact {name} is missing or not a {kind}"
            raise UndecidableError(msg)
        encoded[name] = list(value) if isinstance(value, tuple) else value
    return encoded


def _encode_source(source: str) -> str:
    """The address in one form: an IPv4 address mapped into IPv6 is that IPv4 address."""
    try:
        address = ipaddress.ip_address(source)
    except ValueError as error:
        msg = "the client has no IP address"
        raise UndecidableError(msg) from error
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        address = ipaddress.IPv6Address(int(address))
    return str(mapped or address)


def _verify_long(name: str, value: int) -> int:
    if not MIN_LONG <= value <= MAX_LONG:
        msg = f"{name} is too large"
        raise UndecidableError(msg)
    return value


def _extension(function: str, argument: str) -> dict[str, object]:
    return {"__extn": {"fn": function, "arg": argument}}
