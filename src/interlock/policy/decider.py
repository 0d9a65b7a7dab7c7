"""Decide: Cedar asked once for each leaf, holds only where approval would help, denials that say what to do.

Speed: a decision costs some 100 us in Cedar, so it is cached by what the policies that could apply read, and nothing
else: two statements that differ in a fact that no policy reads share one decision, two that differ in one that is read
never do. What reads the time or the session's totals is asked anew each time.

Threads: a Decider may be shared. Its caches are dicts of immutable values, replaced whole; a race costs a second
computation, never another answer.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import cedarpy

from interlock.core.action import Action, FactValue
from interlock.core.decision import Allow, Decision, Deny, Hold
from interlock.core.principal import Principal
from interlock.core.resource import Resource
from interlock.policy import replies
from interlock.policy.annotations import strictest
from interlock.policy.context import Context
from interlock.policy.leaves import CONNECT, CONNECT_FACTS, leaf_protocol
from interlock.policy.policyset import PolicySet, Rule, assemble
from interlock.policy.recent import Recent
from interlock.policy.request import ENTITY_TYPES, encode_context, encode_entities
from interlock.policy.slices import Pair, Plan, Slice, pair_value, plan_leaves, select_rules

_SLICE_ABOVE: Final = 16
"""Smaller sets are asked whole: Cedar needs longer to read the request than to skip a few policies."""


class _Answer:
    """Cedar's answer on one leaf."""

    __slots__ = ("allowed", "policies")

    def __init__(self, *, allowed: bool, policies: Sequence[str]) -> None:
        self.allowed = allowed
        self.policies = tuple(sorted(policies))


class _EngineError(Exception):
    """Cedar couldn't evaluate: whatever it answered besides, it is a denial."""

    def __init__(self, policies: tuple[str, ...] = ()) -> None:
        super().__init__("evaluation error")
        self.policies = policies


class Decider:
    """Answers with one policy set, for its whole life."""

    def __init__(self, policy_set: PolicySet, *, cache_entries: int = 32_768) -> None:
        self.policy_set: Final = policy_set
        self._decisions: Recent[tuple[object, ...], Decision] = Recent(cache_entries)
        self._pairs: Recent[tuple[int, int], Pair] = Recent(2048)
        self._slices: Recent[object, Slice] = Recent(512)
        self._subsets: Recent[tuple[str, ...], cedarpy.PolicySet] = Recent(256)

    def decide(self, principal: Principal, action: Action, resource: Resource, context: Context) -> Decision:
        """May it run? Deny unless policy permits every leaf; hold only where approval alone is missing.

        Trust: principal and resource are verified and don't change; facts are the analyser's and don't change.
        Repeated questions that policy can't tell apart cost about 2 us.
        """
        pair = self._pairs.get((id(principal), id(resource)))
        if pair is None or pair.principal is not principal or pair.resource is not resource:
            pair = self._enter(principal, resource)
        part = pair.slice
        if part is None:
            return pair.refusal or replies.undecidable(self.policy_set.hash)
        plan = part.plans.get((action.leaves, action.foreseen))
        if plan is None:
            plan = plan_leaves(part, action.leaves, action.foreseen)
        if not plan.cached:
            return self._decide(pair, part, plan, action, context)
        facts = action.facts
        try:
            key = (
                plan,
                tuple([facts.get(name) for name in plan.facts]) if plan.facts else None,
                _circumstances(plan, context, principal) if plan.reads else None,
            )
            decision = self._decisions.get(key)
        except TypeError:
            return replies.undecidable(self.policy_set.hash)
        if decision is None:
            decision = self._decide(pair, part, plan, action, context)
            self._decisions.put(key, decision)
        return decision

    def decide_approved(
        self,
        principal: Principal,
        action: Action,
        resource: Resource,
        context: Context,
        *,
        approved_by: Iterable[str],
    ) -> Allow | Deny:
        """Ask again after people approved; only Cedar's own allow releases, and a deny is final.

        ``approved_by`` are the groups whose approval it has; who the people are is the approval room's to know. The
        forbids that they lifted stay among the deciding policies, and their obligations persist. Never cached.
        """
        pair = self._enter(principal, resource)
        part = pair.slice
        if part is None:
            return pair.refusal or replies.undecidable(self.policy_set.hash)
        plan = plan_leaves(part, action.leaves, action.foreseen)
        groups = frozenset(approved_by)
        question = _Question(self, pair, part, plan, action, context)
        try:
            return question.release(groups)
        except _EngineError as error:
            return replies.undecidable(self.policy_set.hash, error.policies)

    def _decide(self, pair: Pair, part: Slice, plan: Plan, action: Action, context: Context) -> Decision:
        try:
            return _Question(self, pair, part, plan, action, context).answer()
        except _EngineError as error:
            return replies.undecidable(self.policy_set.hash, error.policies)

    def _enter(self, principal: Principal, resource: Resource) -> Pair:
        """The pair for these two objects, its slice shared with every equal pair."""
        pair: Pair
        if principal.resources is not None and resource.name not in principal.resources:
            pair = Pair(principal, resource, None, replies.other_resource(resource, self.policy_set.hash))
        else:
            value = pair_value(principal, resource)
            part = self._slices.get(value)
            if part is None:
                part = self._slice(principal, resource)
                if part is not None:
                    self._slices.put(value, part)
            pair = Pair(principal, resource, part, None)
        self._pairs.put((id(principal), id(resource)), pair)
        return pair

    def _slice(self, principal: Principal, resource: Resource) -> Slice | None:
        try:
            entities = encode_entities(principal, resource)
        except ValueError:
            return None
        rules = select_rules(self.policy_set, principal, resource)
        if len(self.policy_set.rules) <= _SLICE_ABOVE or 2 * len(rules) > len(self.policy_set.rules):
            return Slice(rules, self.policy_set.cedar, entities)
        ids = tuple(rule.id for rule in rules)
        cedar = self._subsets.get(ids)
        if cedar is None:
            cedar = assemble(rules)
            self._subsets.put(ids, cedar)
        return Slice(rules, cedar, entities)


class _Question:
    """One decision being made."""

    __slots__ = ("_action", "_context", "_decider", "_pair", "_part", "_plan", "_reason")

    def __init__(self, decider: Decider, pair: Pair, part: Slice, plan: Plan, action: Action, context: Context) -> None:
        self._decider = decider
        self._pair = pair
        self._part = part
        self._plan = plan
        self._action = action
        self._context = context
        self._reason = effective_reason(context, pair.principal)

    def answer(self) -> Decision:
        """Design section 6: each leaf without approvals, then all of them as if the groups had approved."""
        plan = self._plan
        if plan.unknown is not None:
            return replies.unknown_action(plan.unknown, self._hash)
        permits: set[str] = set()
        held: set[str] = set()
        for leaf in plan.leaves:
            answer = self._ask(leaf, frozenset())
            if answer.allowed:
                permits.update(answer.policies)
                continue
            refusal = self._refusal(leaf, answer)
            if refusal is not None:
                return refusal
            held.update(answer.policies)
        groups = self._groups(held)
        if held:
            for leaf in plan.leaves:
                answer = self._ask(leaf, groups)
                if not answer.allowed:
                    return self._deny(leaf, answer)
                permits.update(answer.policies)
        refusal = self._refuse_foreseen()
        if refusal is not None:
            return refusal
        deciding = permits | held
        obligations = strictest(self._rules[name].duties for name in deciding)
        if obligations.require_reason and not self._reason:
            return self._deny_without_reason(deciding)
        if not held:
            return Allow(tuple(sorted(permits)), self._hash, obligations)
        return Hold(
            tuple(sorted(held)),
            self._hash,
            tuple(sorted(groups)),
            min(self._rules[name].duties.expires_seconds for name in held),
            obligations,
        )

    def release(self, approved_by: frozenset[str]) -> Allow | Deny:
        """The same leaves with the approvals that there are."""
        plan = self._plan
        if plan.unknown is not None:
            return replies.unknown_action(plan.unknown, self._hash)
        permits: set[str] = set()
        held: set[str] = set()
        for leaf in plan.leaves:
            before = self._ask(leaf, frozenset())
            if not before.allowed:
                refusal = self._refusal(leaf, before)
                if refusal is not None:
                    return refusal
                held.update(before.policies)
            answer = self._ask(leaf, approved_by)
            if not answer.allowed:
                return self._deny(leaf, answer)
            permits.update(answer.policies)
        missing = self._groups(held) - approved_by
        if missing:
            return replies.approval_missing(sorted(missing), sorted(held), self._hash)
        refusal = self._refuse_foreseen()
        if refusal is not None:
            return refusal
        deciding = permits | held
        obligations = strictest(self._rules[name].duties for name in deciding)
        if obligations.require_reason and not self._reason:
            return self._deny_without_reason(deciding)
        return Allow(tuple(sorted(deciding)), self._hash, obligations, tuple(sorted(approved_by)))

    @property
    def _hash(self) -> str:
        return self._decider.policy_set.hash

    @property
    def _rules(self) -> Mapping[str, Rule]:
        return self._decider.policy_set.rules

    def _refuse_foreseen(self) -> Deny | None:
        """A leaf that is only prepared for is denied where it always would be; a hold or a reason can come later."""
        for leaf in self._plan.foreseen:
            answer = self._ask(leaf, frozenset())
            if answer.allowed:
                continue
            refusal = self._refusal(leaf, answer)
            if refusal is not None:
                return refusal
            answer = self._ask(leaf, self._groups(answer.policies))
            if not answer.allowed:
                return self._deny(leaf, answer)
        return None

    def _refusal(self, leaf: str, answer: _Answer) -> Deny | None:
        """The denial that no approval can lift, or None."""
        hard = tuple(name for name in answer.policies if not self._rules[name].duties.approvers)
        if hard or not answer.policies:
            return self._deny(leaf, _Answer(allowed=False, policies=hard))
        return None

    def _deny(self, leaf: str, answer: _Answer) -> Deny:
        if not answer.policies:
            return replies.no_permit(leaf, self._pair.principal, self._pair.resource, self._hash)
        rules = [self._rules[name] for name in answer.policies]
        return replies.forbidden(leaf, self._pair.resource, rules, self._hash)

    def _deny_without_reason(self, deciding: Iterable[str]) -> Deny:
        names = sorted(name for name in deciding if self._rules[name].duties.require_reason)
        return replies.reason_required(names, self._hash)

    def _groups(self, policies: Iterable[str]) -> frozenset[str]:
        return frozenset(group for name in policies for group in self._rules[name].duties.approvers)

    def _ask(self, leaf: str, approved_by: frozenset[str]) -> _Answer:
        """One question to Cedar. Raises _EngineError for anything but a clean yes or no."""
        facts: Mapping[str, FactValue] = CONNECT_FACTS if leaf == CONNECT else self._action.facts
        principal = self._pair.principal
        try:
            request = {
                "principal": {"type": ENTITY_TYPES[principal.kind], "id": principal.id},
                "action": {"type": "Action", "id": leaf},
                "resource": {"type": "Resource", "id": self._pair.resource.name},
                "context": encode_context(
                    mentions=self._plan.mentions,
                    protocol=leaf_protocol(leaf),
                    facts=facts,
                    context=self._context,
                    model=principal.model,
                    reason=self._reason,
                    approved_by=approved_by,
                ),
            }
            result = cedarpy.is_authorized(request, self._part.cedar, self._part.entities)
        except Exception as error:
            raise _EngineError from error
        names = tuple(result.diagnostics.reasons)
        clean = not result.diagnostics.errors and result.decision is not cedarpy.Decision.NoDecision
        if not clean or any(name not in self._rules for name in names):
            raise _EngineError(tuple(sorted(name for name in names if name in self._rules)))
        return _Answer(allowed=result.decision is cedarpy.Decision.Allow, policies=names)


def effective_reason(context: Context, principal: Principal) -> str:
    """The client's reason, else the token's; white space is none."""
    return (context.reason or "").strip() or (principal.reason or "").strip()


def _circumstances(plan: Plan, context: Context, principal: Principal) -> tuple[object, ...]:
    now = context.now
    hour = (now.hour, now.isoweekday()) if plan.hourly else None
    return (effective_reason(context, principal), context.source, context.database, context.tls, hour)
