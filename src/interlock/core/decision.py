"""What policy answers: allow, hold or deny, always with the policies that decided."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Obligations:
    """What an allowed action must obey; when several apply, the strictest wins."""

    max_rows: int | None = None
    max_bytes: int | None = None
    require_reason: bool = False
    read_only: bool = False
    record: str = "full"


NO_OBLIGATIONS = Obligations()


@dataclass(frozen=True, slots=True)
class Allow:
    """Policy permits the action."""

    policies: tuple[str, ...]
    policy_hash: str
    obligations: Obligations = NO_OBLIGATIONS
    approved_by: tuple[str, ...] = ()
    """Groups whose approval released it."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Policy would permit the action if somebody of each of these groups approved it."""

    policies: tuple[str, ...]
    policy_hash: str
    groups: tuple[str, ...]
    expires_seconds: int
    obligations: Obligations = NO_OBLIGATIONS


@dataclass(frozen=True, slots=True)
class Deny:
    """The answer is no; a value, not an exception: a normal day."""

    code: str
    """Stable public code: ``policy_denied``, ``reason_required``, ``hold_denied``, ``hold_expired``, ..."""
    reason: str
    """What the client may read: what happened, why, what to do next. No internal text."""
    policies: tuple[str, ...] = ()
    policy_hash: str = ""
    approval_id: str = ""


Decision = Allow | Hold | Deny
