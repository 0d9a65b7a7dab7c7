"""What of a policy set concerns one principal at one resource, and what deciding on one set of leaves takes."""

from collections.abc import Iterable
from typing import Final

import cedarpy
from cedarpy import pst

from interlock.core.decision import Deny
from interlock.core.principal import Principal
from interlock.core.resource import Resource
from interlock.policy.leaves import leaf_ancestors, schema_leaf
from interlock.policy.mentions import Mentions
from interlock.policy.policyset import PolicySet, Rule
from interlock.policy.recent import Recent
from interlock.policy.request import ENTITY_TYPES

_NEVER_CACHED: Final = frozenset(("time", "session"))


class Plan:
    """What it takes to decide one set of leaves for one slice. Compared by identity, so it can key the cache."""

    __slots__ = ("cached", "facts", "foreseen", "hourly", "leaves", "mentions", "reads", "unknown")

    def __init__(
        self, leaves: tuple[str, ...], foreseen: tuple[str, ...], unknown: str | None, rules: Iterable[Rule]
    ) -> None:
        self.leaves = leaves
        self.foreseen = foreseen
        self.unknown = unknown
        """A leaf that the schema can't place, or that there is none at all: denied."""
        mentions = Mentions()
        require_reason = False
        for rule in rules:
            mentions |= rule.mentions
            require_reason = require_reason or rule.duties.require_reason
        self.mentions = mentions
        self.cached = not (mentions.everything or mentions.all_facts or mentions.attributes & _NEVER_CACHED)
        self.facts = tuple(sorted(mentions.facts))
        self.hourly = bool(mentions.attributes & {"hour", "weekday"})
        self.reads = (
            bool(mentions.attributes & {"reason", "source", "database", "tls"}) or self.hourly or require_reason
        )


class Slice:
    """The policies whose scope fits one principal and one resource, by value; scopes can't err, so leaving is sound."""

    __slots__ = ("cedar", "entities", "plans", "rules")

    def __init__(self, rules: tuple[Rule, ...], cedar: cedarpy.PolicySet, entities: cedarpy.Entities) -> None:
        self.rules = rules
        self.cedar = cedar
        self.entities = entities
        self.plans: Recent[tuple[tuple[str, ...], tuple[str, ...]], Plan] = Recent(1024)


class Pair:
    """One principal object with one resource object; keeps both alive, so that their ids stay theirs."""

    __slots__ = ("principal", "refusal", "resource", "slice")

    def __init__(self, principal: Principal, resource: Resource, part: Slice | None, refusal: Deny | None) -> None:
        self.principal = principal
        self.resource = resource
        self.slice = part
        self.refusal = refusal


def plan_leaves(part: Slice, leaves: tuple[str, ...], foreseen: tuple[str, ...]) -> Plan:
    """The plan for these leaves, kept with the slice."""
    plan = part.plans.get((leaves, foreseen))
    if plan is None:
        places = [schema_leaf(leaf) for leaf in leaves]
        later_places = [schema_leaf(leaf) for leaf in foreseen]
        known = tuple(dict.fromkeys(leaf for leaf in places if leaf is not None))
        later = tuple(dict.fromkeys(leaf for leaf in later_places if leaf is not None and leaf not in known))
        given = zip((*leaves, *foreseen), (*places, *later_places), strict=True)
        strange = [leaf for leaf, place in given if place is None]
        unknown = strange[0] if strange else (None if known else "an action without effects")
        concerned = [leaf_ancestors(leaf) for leaf in (*known, *later)]
        rules = [rule for rule in part.rules if any(_concerns(rule.template.action, names) for names in concerned)]
        plan = Plan(known, later, unknown, rules)
        part.plans.put((leaves, foreseen), plan)
    return plan


def select_rules(policy_set: PolicySet, principal: Principal, resource: Resource) -> tuple[Rule, ...]:
    """The policies whose scope can match this principal at this resource."""
    kind = ENTITY_TYPES[principal.kind]
    who = (kind, principal.id)
    groups = {("Group", group) for group in principal.groups} | {who}
    where = ("Resource", resource.name)
    environment = resource.labels.get("environment", "")
    places = {where, ("Environment", environment)} if environment else {where}
    return tuple(
        rule
        for rule in policy_set.rules.values()
        if _fits(rule.template.principal, kind, who, groups)
        and _fits(rule.template.resource, "Resource", where, places)
    )


def pair_value(principal: Principal, resource: Resource) -> tuple[object, ...]:
    """All that a policy can see of principal and resource, so that equal ones share their decisions."""
    return (
        principal.kind,
        principal.id,
        principal.subject,
        principal.groups,
        principal.actors,
        principal.model,
        principal.person,
        principal.development,
        tuple(sorted(principal.claims.items())),
        resource.name,
        resource.protocol,
        tuple(sorted(resource.labels.items())),
    )


def _fits(
    scope: pst.PrincipalOrResourceConstraint, kind: str, uid: tuple[str, str], within: Iterable[tuple[str, str]]
) -> bool:
    """Can the scope match? What isn't understood can."""
    match scope:
        case pst.ScopeEq(entity=pst.EntityUid() as entity):
            return (str(entity.type), entity.id) == uid
        case pst.ScopeIn(entity=pst.EntityUid() as entity):
            return (str(entity.type), entity.id) in within
        case pst.ScopeIs(entity_type=entity_type):
            return str(entity_type) == kind
        case pst.ScopeIsIn(entity_type=entity_type, entity=pst.EntityUid() as entity):
            return str(entity_type) == kind and (str(entity.type), entity.id) in within
        case _:
            return True


def _concerns(scope: pst.ActionConstraint, names: frozenset[str]) -> bool:
    """Can the policy apply to a leaf with these ancestors?"""
    match scope:
        case pst.ActionEq(entity=entity):
            return entity.id in names
        case pst.ActionIn(entities=entities):
            return any(entity.id in names for entity in entities)
        case _:
            return True
