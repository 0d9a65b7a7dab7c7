"""Authorize: the one way from a question to a Permit.

At each durable step a comment says what is true if we crash there.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, final

from interlock.approval import Approvals, Refused, Released
from interlock.audit.client import RecorderClient
from interlock.audit.journal import Journal, Sealed
from interlock.core.action import Action
from interlock.core.commands import Ask, Authenticate, Held
from interlock.core.decision import Allow, Decision, Deny, Hold
from interlock.core.errors import AuditUnavailable, AuthenticationError, LimitExceeded, StorageError
from interlock.core.outcome import Outcome
from interlock.core.permit import GATE_MINT, Permit, SessionPermit  # noqa: TID251 - the one place that mints
from interlock.core.principal import Principal
from interlock.core.resource import Resource
from interlock.core.session import Session
from interlock.gate.live import Live, Unsent
from interlock.gate.services import Authenticator, GateLimits, SessionRegistry
from interlock.policy import Context, Decider
from interlock.policy.leaves import CONNECT, CONNECT_FACTS

_SOFT: Final = ("read/", "session/")
"""Effects whose intents need not be on disk before they run (``balanced``)."""

_UNAVAILABLE: Final = Deny(
    "audit_unavailable", "nothing can be recorded now, so nothing may run: try again; operators see `interlock doctor`"
)
_NO_STATE: Final = Deny(
    "storage", "the gateway's state can't be read or written now, so this may not run: operators see `interlock doctor`"
)
_ENDED: Final = Deny("session_ended", "the session has ended")


@final
class Gate:
    """The pipeline of one process; its sessions are this process's own."""

    def __init__(
        self,
        *,
        authenticator: Authenticator,
        decider: Decider,
        approvals: Approvals,
        recorder: RecorderClient,
        journal: Journal,
        registry: SessionRegistry,
        resources: Mapping[str, Resource],
        limits: GateLimits,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
        upstream_user: Callable[[Resource, Principal], str],
    ) -> None:
        self._authenticator = authenticator
        self._decider = decider
        self._approvals = approvals
        self._recorder = recorder
        self._journal = journal
        self._registry = registry
        self._resources = resources
        self._limits = limits
        self._now = now
        self._new_id = new_id
        self._upstream_user = upstream_user
        self._live: dict[str, Live] = {}
        self._hard: dict[tuple[str, ...], bool] = {}

    def reload(self, *, decider: Decider, resources: Mapping[str, Resource], limits: GateLimits) -> None:
        """Put a new policy set, resources and limits in force, all or nothing; open sessions keep their resource."""
        self._decider = decider
        self._resources = resources
        self._limits = limits
        self._hard.clear()

    # --- sessions -----------------------------------------------------------------------------------------------

    async def open_session(
        self, request: Authenticate, *, protocol: str, client_address: str, tls: bool
    ) -> tuple[Session, SessionPermit] | Deny:
        """Authenticate, ask policy about connecting, and record the session's start."""
        now = self._now()
        # A compiled coroutine never waits inside a handler: what it handles would stay in the thread (transport/life).
        refused: AuthenticationError | None = None
        try:
            principal = await self._authenticator.authenticate(request.credential, request.resource, now)
        except AuthenticationError as error:
            refused = error
        except StorageError:
            return _NO_STATE
        if refused is not None:
            return await self._refuse_stranger(request, client_address, refused)
        resource = self._resources.get(request.resource)
        if resource is None or resource.protocol != protocol:
            why = f'there is no resource "{request.resource[:64]}" of this protocol: see `interlock resources list`'
            return await self._refuse_connect(request, principal, client_address, Deny("no_resource", why))
        session = self._make_session(request, principal, resource, client_address, now)
        if session.expires_at <= now:
            return await self._refuse_connect(
                request, principal, client_address, Deny("authentication", "the token has expired")
            )
        journal = self._journal.session(session)
        live = Live(session, journal, tls=tls)
        action = Action(session.id, CONNECT.partition("/")[2], (CONNECT,), CONNECT_FACTS, "connect", b"", _EMPTY_DIGEST)
        decision = self._decide(live, action, None)
        if isinstance(decision, Hold):
            decision = Deny(
                "policy_denied",
                "policy asks for an approval to connect, which this protocol can't wait for",
                decision.policies,
                decision.policy_hash,
            )
        try:
            if isinstance(decision, Allow) and await self._has_too_many(principal):
                decision = Deny(
                    "too_many_sessions", "this principal has too many sessions open: close some and try again"
                )
            if isinstance(decision, Deny):
                return await self._refuse_connect(request, principal, client_address, decision)
            session = replace(session, read_only=decision.obligations.read_only)
            live = Live(session, self._journal.session(session), tls=tls)
            # If we crash before this is recorded, no session existed; after it, the log has a start without an end.
            await self._record(
                live.journal.start(
                    tls=tls,
                    policies=decision.policies,
                    policy_hash=decision.policy_hash,
                    parameters=dict(request.parameters),
                )
            )
            await self._registry.opened(session)
        except AuditUnavailable:
            return _UNAVAILABLE
        except StorageError:
            return _NO_STATE
        self._live[session.id] = live
        return session, SessionPermit(mint=GATE_MINT, session_id=session.id)

    def _make_session(
        self, request: Authenticate, principal: Principal, resource: Resource, client_address: str, now: datetime
    ) -> Session:
        return Session(
            id=self._new_id(),
            principal=principal,
            resource=resource,
            database=request.database,
            client_address=client_address,
            started_at=now,
            expires_at=min(principal.expires_at, now + timedelta(seconds=self._limits.session_seconds)),
            reason=principal.reason,
            upstream_user=self._upstream_user(resource, principal),
        )

    async def _has_too_many(self, principal: Principal) -> bool:
        return await self._registry.count_open(principal.id) >= self._limits.connections_per_principal

    async def _refuse_stranger(self, request: Authenticate, client_address: str, error: AuthenticationError) -> Deny:
        """Record that somebody tried; what exactly was wrong is for the log, not for them."""
        detail: dict[str, str | int] = {"client_address": client_address, "resource": request.resource[:128]}
        await self._note(self._journal.admin("authentication_failed", code=error.reason[:200], detail=detail))
        return Deny("authentication", "it is not valid here, has expired, or was used or revoked")

    async def _refuse_connect(
        self, request: Authenticate, principal: Principal, client_address: str, deny: Deny
    ) -> Deny:
        """Record that a known principal was not let in."""
        detail: dict[str, str | int] = {
            "client_address": client_address,
            "resource": request.resource[:128],
            "policies": ",".join(deny.policies)[:256],
        }
        await self._note(self._journal.admin("session_refused", person=principal.id, code=deny.code, detail=detail))
        return deny

    async def _note(self, sealed: Sealed) -> None:
        """Record a refusal; if that can't be done the refusal stands, and a later gap entry names what is missing."""
        if self._recorder.record(*sealed) is None:
            with contextlib.suppress(AuditUnavailable):
                await self._recorder.record_durable(*sealed)

    async def close_session(self, session: Session, code: str) -> None:
        """Record the end of a session; whatever it still waits for is withdrawn."""
        live = self._live.pop(session.id, None)
        if live is None:
            return
        live.ended = True
        for gone in live.waiting.values():
            gone.set()
        for unsent in live.unsent.values():
            self._recorder.drop(unsent.sealed[0])
        live.unsent.clear()
        self._recorder.post(*live.journal.end(code))
        with contextlib.suppress(StorageError):
            await self._registry.closed(session.id, code)

    def waits_for_people(self, session: Session) -> bool:
        """True while a hold of the session is open: it isn't ended by time before that is settled (P4)."""
        live = self._live.get(session.id)
        return live is not None and bool(live.waiting)

    # --- actions ------------------------------------------------------------------------------------------------

    def authorize_now(self, session: Session, ask: Ask) -> Permit | Deny | None:
        """Answer in the same step where policy decides at once and the recorder has room; None: ask ``authorize``."""
        live = self._live.get(session.id)
        if live is None:
            return _ENDED
        action = ask.action
        decision = ask.refusal or self._decide(live, action, ask.reason)
        if isinstance(decision, Allow):
            if self._needs_disk(action.leaves):
                return None
            sealed = live.journal.intent(action, decision, reason=ask.reason or session.reason)
            if self._recorder.record(sealed[0], sealed[1]) is None:
                live.unsent[action.id] = Unsent(decision, sealed)
                return None
            return self._permit(live, action, decision, None)
        return None

    async def authorize(self, session: Session, ask: Ask, on_held: Callable[[Held], None]) -> Permit | Deny:
        """Answer however long it takes: an fsync, people, a full recorder."""
        live = self._live.get(session.id)
        if live is None:
            return _ENDED
        action = ask.action
        reason = ask.reason or session.reason
        try:
            unsent = live.unsent.pop(action.id, None)
            if unsent is not None:
                await self._recorder.record_durable(*unsent.sealed)
                return self._permit(live, action, unsent.decision, None)
            decision = ask.refusal or self._decide(live, action, ask.reason)
            if isinstance(decision, Deny):
                await self._record(live.journal.decision(action, decision, reason=reason))
                return decision
            if isinstance(decision, Hold):
                return await self._hold(live, ask, decision, reason, on_held)
            # If we crash before this is on disk, nothing ran; after it, the entry stands without an outcome.
            await self._recorder.record_durable(*live.journal.intent(action, decision, reason=reason))
            return _ENDED if live.ended else self._permit(live, action, decision, None)
        except AuditUnavailable:
            return _UNAVAILABLE
        except StorageError:
            return _NO_STATE

    def withdraw(self, action_id: str) -> None:
        """The client no longer wants an action that people are asked about."""
        live = self._live.get(action_id.rpartition(".")[0])
        if live is not None:
            gone = live.waiting.get(action_id)
            if gone is not None:
                gone.set()
            else:
                live.withdrawn = action_id  # the question may not have reached ``authorize`` yet

    def _decide(self, live: Live, action: Action, reason: str | None) -> Decision:
        """Policy's answer, and the one rule that no policy lifts: a read-only session stays so."""
        session = live.session
        if session.read_only and action.leaves != (CONNECT,):
            refusal = _read_only_refusal(action)
            if refusal is not None:
                return refusal
        context = Context(self._now(), live.host, reason or session.reason, session.database, live.totals(), live.tls)
        return self._decider.decide(session.principal, action, session.resource, context)

    def _needs_disk(self, leaves: tuple[str, ...]) -> bool:
        hard = self._hard.get(leaves)
        if hard is None:
            hard = self._limits.strict or not all(leaf.startswith(_SOFT) for leaf in leaves)
            if len(self._hard) < 4096:
                self._hard[leaves] = hard
        return hard

    def _permit(self, live: Live, action: Action, decision: Allow, stored: bytes | None) -> Permit:
        """Mint; every caller has just recorded the intent."""
        live.statements += 1
        if decision.obligations.record == "request":
            live.requests_only.add(action.id)
        return Permit(mint=GATE_MINT, action_id=action.id, obligations=decision.obligations, stored=stored)

    async def _record(self, sealed: Sealed) -> None:
        """Record on disk.

        Raises:
            AuditUnavailable: it can't be.
        """
        await self._recorder.record_durable(*sealed)

    # --- holds --------------------------------------------------------------------------------------------------

    async def _hold(
        self, live: Live, ask: Ask, hold: Hold, reason: str | None, on_held: Callable[[Held], None]
    ) -> Permit | Deny:
        """Ask people, and if they agree ask policy again."""
        action, session = ask.action, live.session
        approval_id = self._new_id()
        gone = asyncio.Event()
        live.waiting[action.id] = gone
        if live.withdrawn == action.id:
            gone.set()
        try:
            # If we crash after this, the log has a hold that nobody could answer: it is swept as withdrawn at start.
            await self._record(live.journal.decision(action, hold, reason=reason, approval_id=approval_id))
            full = ""
            try:
                held = await self._approvals.hold(
                    session, action, hold, approval_id=approval_id, now=self._now(), reason=reason
                )
            except LimitExceeded as error:
                full = f"this can't be held: {error}"
            if full:
                return await self._deny_held(
                    live, action, Deny("too_many_holds", full, hold.policies, hold.policy_hash)
                )
            seconds = int((held.expires_at - held.created_at).total_seconds())
            on_held(Held(action.id, approval_id, hold.groups, seconds))
            verdict = await self._verdict(approval_id, gone)
            if isinstance(verdict, Refused) or live.ended:
                code, why = (verdict.code, verdict.reason) if isinstance(verdict, Refused) else ("withdrawn", "")
                return await self._deny_held(
                    live, action, Deny(code, why, hold.policies, hold.policy_hash, approval_id)
                )
            return await self._release(live, ask, verdict, reason)
        finally:
            live.waiting.pop(action.id, None)
            # Whatever happened above, an open hold doesn't outlive its question (a released one was consumed).
            with contextlib.suppress(StorageError):
                await self._approvals.withdraw(approval_id, now=self._now())

    async def _verdict(self, approval_id: str, gone: asyncio.Event) -> Released | Refused:
        """Wait for people, or for the client to withdraw."""
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(self._approvals.wait(approval_id), name=f"hold {approval_id}")
            leaving = group.create_task(gone.wait(), name=f"withdrawal of {approval_id}")
            await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
            leaving.cancel()
            if not waiting.done():
                await self._approvals.withdraw(approval_id, now=self._now())
                self._approvals.notify(approval_id)
        return waiting.result()

    async def _release(self, live: Live, ask: Ask, verdict: Released, reason: str | None) -> Permit | Deny:
        """People agreed: policy is asked again, the stored copy is taken once, and that copy is what runs."""
        action, session = ask.action, live.session
        context = Context(
            self._now(), live.host, ask.reason or session.reason, session.database, live.totals(), live.tls
        )
        decision = self._decider.decide_approved(
            session.principal, action, session.resource, context, approved_by=verdict.groups
        )
        if isinstance(decision, Deny):
            return await self._deny_held(live, action, replace(decision, approval_id=verdict.approval_id))
        # If we crash after this, the approval is used up and nothing ran: the requester asks again.
        stored = await self._approvals.consume(
            verdict.approval_id, session=session, digest=action.digest, now=self._now()
        )
        if isinstance(stored, Refused):
            return await self._deny_held(
                live,
                action,
                Deny(stored.code, stored.reason, decision.policies, decision.policy_hash, verdict.approval_id),
            )
        self._recorder.post(
            *live.journal.approval(
                "consumed",
                approval_id=verdict.approval_id,
                action_id=action.id,
                groups=verdict.groups,
                approvers=verdict.approvers,
            )
        )
        await self._record(
            live.journal.intent(
                action, decision, reason=reason, approval_id=verdict.approval_id, approvers=verdict.approvers
            )
        )
        return _ENDED if live.ended else self._permit(live, action, decision, stored)

    async def _deny_held(self, live: Live, action: Action, deny: Deny) -> Deny:
        """A held action ends without running: that is a decision too."""
        await self._record(live.journal.decision(action, deny, approval_id=deny.approval_id))
        return deny

    # --- responses and outcomes -----------------------------------------------------------------------------------

    def record(self, session: Session, action_id: str, data: bytes) -> bool:
        """Record response bytes before they are released; False: await ``room`` and call again with the same object."""
        live = self._live.get(session.id)
        if live is None or action_id in live.requests_only:
            return True
        return self._recorder.response(live.journal.response_route(action_id), data)

    async def room(self) -> None:
        """Wait until the recorder takes bytes again.

        Raises:
            AuditUnavailable: it doesn't: nothing more may be released.
        """
        await self._recorder.room()

    def done(self, session: Session, action_id: str, outcome: Outcome, data: bytes = b"") -> bool:
        """Record an action's outcome and the last bytes of its response; False as for ``record``."""
        live = self._live.get(session.id)
        if live is None:
            return True
        kept = data and action_id not in live.requests_only
        if kept and not self._recorder.response(live.journal.response_route(action_id), data):
            return False
        live.requests_only.discard(action_id)
        live.rows += outcome.rows
        live.bytes_count += outcome.bytes_count
        sealed = live.journal.outcome(action_id, outcome)
        if self._recorder.record(sealed[0], sealed[1]) is None:
            self._recorder.post(*sealed)
        return True


_EMPTY_DIGEST: Final = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""SHA-256 of nothing: connecting has no bytes of its own."""


def _read_only_refusal(action: Action) -> Deny | None:
    """Refuse what a read-only session may not do, whatever policy says of it otherwise."""
    if action.facts.get("lifts_read_only", True):
        return Deny("read_only", "this session is read-only by policy, and nothing in it may change that")
    for leaf in (*action.leaves, *action.foreseen):
        if not leaf.startswith(_SOFT):
            return Deny("read_only", f"this session is read-only by policy: {leaf} is refused")
    return None
