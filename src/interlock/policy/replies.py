"""Denials as the client reads them: what, which policy, what to do next; nothing internal."""

from collections.abc import Sequence
from typing import Final

from interlock.core.decision import Deny
from interlock.core.principal import Principal
from interlock.core.resource import Resource
from interlock.policy.policyset import Rule

_ASK: Final = "If you need it, ask the people who keep this gateway's policies."


def forbidden(leaf: str, resource: Resource, rules: Sequence[Rule], policy_hash: str) -> Deny:
    """One or more policies forbid it."""
    names = tuple(rule.id for rule in rules)
    advice = next((rule.duties.advice for rule in rules if rule.duties.advice), _ASK)
    return Deny("policy_denied", f'{_policies(names)} {leaf} on "{resource.name}". {advice}', names, policy_hash)


def no_permit(leaf: str, principal: Principal, resource: Resource, policy_hash: str) -> Deny:
    """Nothing forbids it, nothing permits it."""
    reason = f'no policy permits {leaf} on "{resource.name}" for this {principal.kind.value}. {_ASK}'
    return Deny("policy_denied", reason, (), policy_hash)


def reason_required(policies: Sequence[str], policy_hash: str) -> Deny:
    """It would be permitted or held, with a reason."""
    names = " and ".join(f'"{name}"' for name in policies)
    reason = (
        f"policy {names} asks for a reason. Give one with SET interlock.reason = '...' (a ticket, or a sentence), "
        "then run it again."
    )
    return Deny("reason_required", reason, tuple(policies), policy_hash)


def approval_missing(groups: Sequence[str], policies: Sequence[str], policy_hash: str) -> Deny:
    """The approvals that there are don't cover what policy now asks for."""
    reason = f"the approval doesn't cover what policy now asks for: {', '.join(groups)}. Run it again to ask anew."
    return Deny("policy_denied", reason, tuple(policies), policy_hash)


def unknown_action(leaf: str, policy_hash: str) -> Deny:
    """The schema can't place it."""
    return Deny(
        "policy_error",
        f"this gateway's policies can't decide on {leaf[:80]!r}, so it is denied. {_ASK}",
        (),
        policy_hash,
    )


def other_resource(resource: Resource, policy_hash: str) -> Deny:
    """The token is bound to other resources."""
    reason = f'the token isn\'t valid for "{resource.name}". Get a token for that resource.'
    return Deny("policy_denied", reason, (), policy_hash)


def undecidable(policy_hash: str, policies: tuple[str, ...] = ()) -> Deny:
    """The engine erred, or the question couldn't be put: fail closed."""
    reason = "this gateway's policies failed to evaluate, so it is denied. Tell the people who keep them."
    return Deny("policy_error", reason, policies, policy_hash)


def _policies(names: Sequence[str]) -> str:
    quoted = " and ".join(f'"{name}"' for name in names)
    return f"policy {quoted} forbids" if len(names) == 1 else f"policies {quoted} forbid"
