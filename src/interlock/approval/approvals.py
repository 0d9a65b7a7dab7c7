"""The life of a hold: made by the gate, decided by people, consumed once by the gate, destroyed at its end.

Every change is a compare-and-swap on the stored version, so several processes may decide, withdraw and consume at
once and exactly one wins. Time and randomness are arguments.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

import msgspec

from interlock.approval.duties import canonical_person, covered_groups, find_objection
from interlock.approval.held import (
    HeldAction,
    HoldState,
    HoldView,
    Refused,
    Rejected,
    Released,
    Requester,
    Verdict,
    VerdictKind,
)
from interlock.approval.sealing import NONCE_BYTES, Sealer
from interlock.approval.showing import show, show_line, with_parameters
from interlock.approval.store import ApprovalStore
from interlock.core.action import Action, FactValue
from interlock.core.decision import Hold
from interlock.core.errors import LimitExceeded
from interlock.core.principal import Principal
from interlock.core.session import Session

MAX_COMMENT: Final = 2000
_OPEN: Final = (HoldState.WAITING, HoldState.RELEASED)
_SWEEP: Final = 1000

_REASONS: Final = {
    "hold_denied": "the approver refused it",
    "hold_expired": "nobody approved it in time; run it again to ask again",
    "hold_consumed": "its approval has already been used; run it again to ask again",
    "hold_waiting": "its approval isn't complete",
    "hold_missing": "its approval doesn't exist",
    "withdrawn": "the request was withdrawn",
}


@dataclass(frozen=True, slots=True)
class HoldLimits:
    """Approvers can't be flooded, nor the database."""

    per_session: int = 10
    per_principal: int = 50
    payload_bytes: int = 16 * 1024 * 1024
    default_expires_seconds: int = 1800
    max_expires_seconds: int = 86400


class _View(msgspec.Struct, frozen=True):
    text: str
    characters: int
    marks: int
    facts: dict[str, bool | int | str | tuple[str, ...]]
    reason: str


class Approvals:
    """Holds and their approvals, over a store that several processes share."""

    def __init__(
        self,
        *,
        store: ApprovalStore,
        key: bytes,
        clock: Callable[[], datetime],
        random_bytes: Callable[[int], bytes],
        limits: HoldLimits = HoldLimits(),
        allow_development: bool = False,
        required_claims: Mapping[str, str] = MappingProxyType({}),
        poll_seconds: float = 2.0,
    ) -> None:
        self._store = store
        self._sealer = Sealer(key)
        self._clock = clock
        self._random_bytes = random_bytes
        self._limits = limits
        self._allow_development = allow_development
        self._required_claims = required_claims
        self._poll_seconds = poll_seconds
        self._changed: dict[str, asyncio.Event] = {}

    # --- the gate's side ----------------------------------------------------------------------------------------

    async def hold(
        self,
        session: Session,
        action: Action,
        hold: Hold,
        *,
        approval_id: str,
        now: datetime,
        reason: str | None = None,
    ) -> HeldAction:
        """Store the action, sealed, and what the approver will read.

        Raises:
            LimitExceeded: the action is too large, or the session or principal has too many open holds.
            StorageError: it can't be stored.
        """
        await self._verify_limits(session, action)
        seconds = min(hold.expires_seconds or self._limits.default_expires_seconds, self._limits.max_expires_seconds)
        readable = with_parameters(action)
        text, marks = show(readable)
        view = _View(
            text=text,
            characters=len(readable),
            marks=marks,
            facts={name: _plain(value) for name, value in action.facts.items()},
            reason=show_line(reason or session.reason or session.principal.reason or ""),
        )
        held = HeldAction(
            id=approval_id,
            version=1,
            state=HoldState.WAITING,
            session_id=session.id,
            action_id=action.id,
            digest=action.digest,
            payload_bytes=len(action.payload),
            kind=action.kind,
            leaves=action.leaves,
            resource=session.resource.name,
            database=session.database,
            requester=Requester.of(session.principal),
            groups=hold.groups,
            policies=hold.policies,
            policy_hash=hold.policy_hash,
            created_at=now,
            expires_at=now + timedelta(seconds=seconds),
        )
        await self._store.insert(
            held,
            payload=self._seal("payload", held, action.payload),
            view=self._seal("view", held, msgspec.json.encode(view)),
        )
        return held

    async def wait(self, approval_id: str) -> Released | Refused:
        """Wait until the hold is released or ends; ``notify`` wakes it, and so does a poll should that be lost."""
        changed = self._changed.setdefault(approval_id, asyncio.Event())
        try:
            while True:
                changed.clear()
                hold = await self._store.find(approval_id)
                if hold is None:
                    return _refused(approval_id, "hold_missing")
                left = (hold.expires_at - self._clock()).total_seconds()
                if hold.state.is_open and left <= 0:
                    await self._end(approval_id, HoldState.EXPIRED, "hold_expired", self._clock())
                    continue
                if hold.state is HoldState.RELEASED:
                    return _released(hold)
                if not hold.state.is_open:
                    return _refused_by(hold)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(left, self._poll_seconds)):
                        await changed.wait()
        finally:
            self._changed.pop(approval_id, None)

    def notify(self, approval_id: str) -> None:
        """The hold changed, perhaps in another process: whoever waits for it looks again."""
        changed = self._changed.get(approval_id)
        if changed is not None:
            changed.set()

    async def consume(self, approval_id: str, *, session: Session, digest: str, now: datetime) -> bytes | Refused:
        """Give the stored copy of a released action, exactly once, and destroy it.

        The copy opens only for the session, principal and digest that it was sealed for.

        Raises:
            SealBroken: the stored copy isn't what was stored for this session and action.
            StorageError: the use can't be made durable, so it doesn't happen.
        """
        hold = await self._store.find(approval_id)
        if hold is None or hold.session_id != session.id:
            return _refused(approval_id, "hold_missing")
        if hold.state is HoldState.WAITING:
            return _refused(approval_id, "hold_waiting")
        if hold.state is not HoldState.RELEASED:
            return _refused_by(hold)
        if hold.expires_at <= now:
            await self._end(approval_id, HoldState.EXPIRED, "hold_expired", now)
            return _refused(approval_id, "hold_expired")
        sealed = await self._store.take(_ended(hold, HoldState.CONSUMED, "hold_consumed", now))
        if sealed is None:
            return _refused(approval_id, "hold_consumed")
        binding = _binding("payload", approval_id, digest, session.id, session.principal.id)
        return self._sealer.open(sealed, binding=binding)

    async def withdraw(self, approval_id: str, *, now: datetime, code: str = "withdrawn") -> bool:
        """End an open hold without a run: the client cancelled, hung up, or policy changed its mind."""
        return await self._end(approval_id, HoldState.WITHDRAWN, code, now)

    # --- people's side ------------------------------------------------------------------------------------------

    async def find(self, approval_id: str) -> HeldAction | None:
        """The hold, or None."""
        return await self._store.find(approval_id)

    async def find_all(self, *, ended: bool = False, limit: int = 200) -> list[HeldAction]:
        """Open holds, or with ``ended`` all, the newest first."""
        return await self._store.find_all(tuple(HoldState) if ended else _OPEN, limit=limit)

    async def view(self, approval_id: str) -> HoldView | None:
        """What the approver reads, or None once the hold has ended.

        Raises:
            SealBroken: the stored view was tampered with.
        """
        hold = await self._store.find(approval_id)
        sealed = await self._store.find_view(approval_id)
        if hold is None or sealed is None:
            return None
        binding = _binding("view", hold.id, hold.digest, hold.session_id, hold.requester.id)
        view = msgspec.json.decode(self._sealer.open(sealed, binding=binding), type=_View)
        return HoldView(
            hold=hold,
            text=view.text,
            text_characters=view.characters,
            marks=view.marks,
            facts=dict(view.facts),
            reason=view.reason,
        )

    async def find_objection(
        self, approval_id: str, approver: Principal, kind: VerdictKind, *, now: datetime
    ) -> Rejected | None:
        """Why ``decide`` would reject this verdict now, or None: for recording it before it takes effect."""
        hold = await self._store.find(approval_id)
        result = self._judged(hold, approver, kind, "", now)
        return result if isinstance(result, Rejected) else None

    async def decide(
        self, approval_id: str, approver: Principal, kind: VerdictKind, *, comment: str, now: datetime
    ) -> HeldAction | Rejected:
        """Count one person's verdict: all groups must approve, one refusal ends it.

        Trust: ``approver`` was authenticated for this very call; reading the database makes nobody an approver.
        """
        while True:
            hold = await self._store.find(approval_id)
            result = self._judged(hold, approver, kind, comment, now)
            if isinstance(result, Rejected):
                return result
            if await self._store.replace(result):
                self.notify(approval_id)
                return result

    # --- upkeep -------------------------------------------------------------------------------------------------

    async def expire(self, now: datetime) -> list[HeldAction]:
        """End the open holds whose time is over; gives those that this call ended."""
        return await self._sweep(HoldState.EXPIRED, "hold_expired", now, lambda hold: hold.expires_at <= now)

    async def abandon(self, *, now: datetime, lives: Callable[[str], bool]) -> list[HeldAction]:
        """End the open holds of sessions that no longer live (a crash), so that no copy stays behind."""
        return await self._sweep(HoldState.WITHDRAWN, "session_ended", now, lambda hold: not lives(hold.session_id))

    async def _sweep(
        self, state: HoldState, code: str, now: datetime, concerns: Callable[[HeldAction], bool]
    ) -> list[HeldAction]:
        holds = await self._store.find_all(_OPEN, limit=_SWEEP)
        return [hold for hold in holds if concerns(hold) and await self._end(hold.id, state, code, now)]

    def _judged(
        self, hold: HeldAction | None, approver: Principal, kind: VerdictKind, comment: str, now: datetime
    ) -> HeldAction | Rejected:
        if hold is None:
            return Rejected("hold_missing", "there is no such approval; `interlock approvals list` shows what waits")
        if hold.state is not HoldState.WAITING:
            return Rejected("hold_ended", f"this is already {hold.state.value}")
        if hold.expires_at <= now:
            return Rejected("hold_expired", "this has expired; the requester must ask again")
        objection = find_objection(
            hold,
            approver,
            now=now,
            allow_development=self._allow_development,
            required_claims=self._required_claims,
        )
        if objection is not None:
            return objection
        verdict = Verdict(
            kind=kind,
            person=canonical_person(approver),
            approver=approver.id,
            groups=tuple(group for group in hold.groups if group in approver.groups),
            comment=show_line(comment[:MAX_COMMENT]),
            at=now,
        )
        return _with_verdict(hold, verdict)

    async def _verify_limits(self, session: Session, action: Action) -> None:
        limits = self._limits
        _verify_within("held_bytes", limits.payload_bytes, len(action.payload))
        of_session = await self._store.count_open(session_id=session.id)
        _verify_within("holds_per_session", limits.per_session, of_session + 1)
        of_principal = await self._store.count_open(principal_id=session.principal.id)
        _verify_within("holds_per_principal", limits.per_principal, of_principal + 1)

    async def _end(self, approval_id: str, state: HoldState, code: str, now: datetime) -> bool:
        while True:
            hold = await self._store.find(approval_id)
            if hold is None or not hold.state.is_open:
                return False
            if await self._store.replace(_ended(hold, state, code, now)):
                self.notify(approval_id)
                return True

    def _seal(self, purpose: str, held: HeldAction, data: bytes) -> bytes:
        binding = _binding(purpose, held.id, held.digest, held.session_id, held.requester.id)
        return self._sealer.seal(data, nonce=self._random_bytes(NONCE_BYTES), binding=binding)


def _with_verdict(hold: HeldAction, verdict: Verdict) -> HeldAction | Rejected:
    verdicts = (*hold.verdicts, verdict)
    changed = replace(hold, version=hold.version + 1, verdicts=verdicts)
    if verdict.kind is VerdictKind.DENY:
        return replace(changed, state=HoldState.DENIED, ended_at=verdict.at, end_code="hold_denied")
    before, after = covered_groups(hold.groups, hold.verdicts), covered_groups(hold.groups, verdicts)
    if len(after) == len(before):
        missing = ", ".join(group for group in hold.groups if group not in before)
        return Rejected("group_already_approved", f"your group has approved; somebody of {missing} must still")
    if len(after) == len(hold.groups):
        return replace(changed, state=HoldState.RELEASED)
    return changed


def _ended(hold: HeldAction, state: HoldState, code: str, now: datetime) -> HeldAction:
    return replace(hold, version=hold.version + 1, state=state, ended_at=now, end_code=code)


def _released(hold: HeldAction) -> Released:
    people = covered_groups(hold.groups, hold.verdicts)
    return Released(hold.id, groups=hold.groups, approvers=tuple(people[group] for group in hold.groups))


def _refused(approval_id: str, code: str, approvers: tuple[str, ...] = ()) -> Refused:
    return Refused(approval_id, code=code, reason=_REASONS.get(code, "the request has ended"), approvers=approvers)


def _refused_by(hold: HeldAction) -> Refused:
    denials = [verdict for verdict in hold.verdicts if verdict.kind is VerdictKind.DENY]
    refused = _refused(hold.id, hold.end_code, tuple(verdict.person for verdict in denials))
    comments = "; ".join(verdict.comment for verdict in denials if verdict.comment)
    return replace(refused, reason=f"{refused.reason}: {comments}") if comments else refused


def _binding(purpose: str, approval_id: str, digest: str, session_id: str, principal_id: str) -> tuple[str, ...]:
    return (f"interlock approval {purpose} v1", approval_id, digest, session_id, principal_id)


def _verify_within(name: str, limit: int, got: int) -> None:
    if got > limit:
        raise LimitExceeded(name, limit=limit, got=got)


def _plain(value: FactValue) -> bool | int | str | tuple[str, ...]:
    if isinstance(value, tuple):
        return tuple(show_line(item) for item in value)
    return show_line(value) if isinstance(value, str) else value
