"""Separation of duties, purely: who may decide about a hold, and when enough people have (P9, T21).

A person is one canonical id, however many tokens and accounts they have. Names are compared without case and in
compatibility form, and a subject counts whichever issuer named it: excluding one namesake too many is the safe side.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime

from interlock.approval.held import HeldAction, Rejected, Requester, Verdict, VerdictKind
from interlock.core.principal import Principal, PrincipalKind


def canonical_person(principal: Principal) -> str:
    """The canonical id of the person behind a principal: what its issuer says, else the principal itself."""
    return _folded(principal.person or principal.id)


def find_objection(
    hold: HeldAction,
    approver: Principal,
    *,
    now: datetime,
    allow_development: bool,
    required_claims: Mapping[str, str],
) -> Rejected | None:
    """Why this principal may not decide about this hold, or None. Trust: ``approver`` was verified by ``identity``."""
    return _objection_to_token(
        approver, now=now, allow_development=allow_development, required_claims=required_claims
    ) or _objection_to_person(hold, approver)


def _objection_to_token(
    approver: Principal, *, now: datetime, allow_development: bool, required_claims: Mapping[str, str]
) -> Rejected | None:
    if approver.kind is not PrincipalKind.HUMAN:
        return Rejected("approver_not_human", f"only people approve; this token is of kind {approver.kind.value}")
    if approver.actors:
        return Rejected("approver_delegated", "this token is used by somebody on a person's behalf; use your own")
    if approver.model is not None:
        return Rejected("approver_not_human", "this token names a model; only people approve")
    if approver.expires_at <= now:
        return Rejected("approver_expired", "your token has expired; get a new one")
    if approver.development and not allow_development:
        return Rejected("approver_development", "development tokens don't approve in production mode")
    for claim, word in required_claims.items():
        if word not in approver.claims.get(claim, "").replace(",", " ").split():
            return Rejected("approver_claim", f"approving needs a token whose claim {claim} has {word}; log in again")
    return None


def _objection_to_person(hold: HeldAction, approver: Principal) -> Rejected | None:
    if approver.resources is not None and hold.resource not in approver.resources:
        return Rejected("approver_resource", f"your token isn't for resource {hold.resource}")
    names = _names(approver.id, approver.subject, approver.person)
    if names & _names_of(hold.requester):
        return Rejected(
            "approver_is_requester", "you asked for this, or it was asked on your behalf; ask somebody else"
        )
    if not approver.groups.intersection(hold.groups):
        return Rejected("approver_not_in_group", f"this needs somebody of {', '.join(hold.groups)}")
    person = canonical_person(approver)
    if any(verdict.person == person for verdict in hold.verdicts):
        return Rejected("approver_again", "you have already decided about this; one person counts once")
    return None


def covered_groups(groups: Iterable[str], verdicts: Iterable[Verdict]) -> dict[str, str]:
    """Which group is approved by which person: as many groups as possible, each person for one group only."""
    groups = tuple(groups)
    approvals = {v.person: v.groups for v in verdicts if v.kind is VerdictKind.APPROVE}
    taken: dict[str, str] = {}

    def place(person: str, seen: set[str]) -> bool:
        for group in approvals[person]:
            if group not in groups or group in seen:
                continue
            seen.add(group)
            if group not in taken or place(taken[group], seen):
                taken[group] = person
                return True
        return False

    for person in approvals:
        place(person, set())
    return taken


def _names_of(requester: Requester) -> set[str]:
    names = _names(requester.id, requester.subject, requester.person)
    for actor in requester.actors:
        names |= _names(f"{actor.issuer}|{actor.subject}", actor.subject, None)
    return names


def _names(identity: str, subject: str, person: str | None) -> set[str]:
    return {_folded(name) for name in (identity, subject, person) if name}


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold().strip()
