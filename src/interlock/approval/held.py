"""The nouns of a hold: what is stored of it, what people say about it, and how it ends."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from interlock.core.action import FactValue
from interlock.core.principal import Actor, Model, Principal, PrincipalKind


class HoldState(StrEnum):
    """Where a hold is; only ``waiting`` and ``released`` have a stored copy."""

    WAITING = "waiting"
    RELEASED = "released"
    """Every needed group has approved; the action hasn't run yet."""
    CONSUMED = "consumed"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"

    @property
    def is_open(self) -> bool:
        """True while the hold can still lead to a run."""
        return self in (HoldState.WAITING, HoldState.RELEASED)


class VerdictKind(StrEnum):
    """What an approver says."""

    APPROVE = "approve"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Requester:
    """Who asked: what separation of duties needs, and what the approver is shown."""

    id: str
    subject: str
    issuer: str
    kind: PrincipalKind
    person: str | None
    actors: tuple[Actor, ...]
    model: Model | None

    @staticmethod
    def of(principal: Principal) -> "Requester":
        """The stored form of a principal: no claims, no token."""
        return Requester(
            id=principal.id,
            subject=principal.subject,
            issuer=principal.issuer,
            kind=principal.kind,
            person=principal.person,
            actors=principal.actors,
            model=principal.model,
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """One person's decision."""

    kind: VerdictKind
    person: str
    """Canonical id of the person."""
    approver: str
    """``issuer|subject`` of the token used."""
    groups: tuple[str, ...]
    """Needed groups that the person is in; counts for one of them."""
    comment: str
    at: datetime


@dataclass(frozen=True, slots=True)
class HeldAction:
    """One hold, without its sealed copy; changed only by compare-and-swap on ``version``."""

    id: str
    version: int
    state: HoldState
    session_id: str
    action_id: str
    digest: str
    payload_bytes: int
    kind: str
    leaves: tuple[str, ...]
    resource: str
    database: str
    requester: Requester
    groups: tuple[str, ...]
    """Each of these must approve."""
    policies: tuple[str, ...]
    policy_hash: str
    created_at: datetime
    expires_at: datetime
    verdicts: tuple[Verdict, ...] = ()
    ended_at: datetime | None = None
    end_code: str = ""


@dataclass(frozen=True, slots=True)
class HoldView:
    """What the approver reads: complete, with everything invisible or misleading made visible."""

    hold: HeldAction
    text: str
    text_characters: int
    """Length of the text before escaping."""
    marks: int
    """How many characters were made visible; 0 for plain text."""
    facts: dict[str, FactValue]
    reason: str


@dataclass(frozen=True, slots=True)
class Released:
    """People have approved; policy must still be asked again, and the copy consumed."""

    approval_id: str
    groups: tuple[str, ...]
    approvers: tuple[str, ...]
    """Canonical ids of the people."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The hold ended without a run: ``hold_denied``, ``hold_expired``, ``withdrawn``, ``hold_consumed``, ..."""

    approval_id: str
    code: str
    reason: str
    """What the client may read."""
    approvers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """A verdict that doesn't count, and why; a value, because people err every day."""

    code: str
    reason: str
