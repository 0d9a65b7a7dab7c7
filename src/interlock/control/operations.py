"""What each request does. Order of a change: check, record, do, tell."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any, Final, final

import msgspec

from interlock.approval import HeldAction, Rejected, VerdictKind
from interlock.approval.showing import show_line
from interlock.control.interfaces import (
    Admin,
    Changes,
    Handles,
    Holds,
    LogReader,
    PersonAuthenticator,
    Revocations,
    SessionsView,
)
from interlock.control.messages import (
    VERSION,
    Decide,
    IssueHandle,
    KillSession,
    ListApprovals,
    ListSessions,
    Ping,
    Reload,
    Request,
    Revoke,
    ShowApproval,
    ShowSession,
    Status,
    TailLog,
    refuse,
)
from interlock.core.errors import AuthenticationError, ConfigError, PolicyError
from interlock.core.principal import Principal
from interlock.core.secret import Secret

MAX_TEXT: Final = 2000
MAX_ROWS: Final = 10_000
MAX_REVOCATION_SECONDS: Final = 10 * 366 * 86400
REVOCABLE: Final = ("token", "principal", "person")


@final
class Operations:
    """Answers requests; ``by`` is the local user who asks, as the kernel says."""

    def __init__(
        self,
        *,
        admin: Admin,
        sessions: SessionsView,
        holds: Holds,
        authenticator: PersonAuthenticator,
        revocations: Revocations,
        handles: Handles,
        log: LogReader,
        changes: Changes,
        now: Callable[[], datetime],
    ) -> None:
        self._admin = admin
        self._sessions = sessions
        self._holds = holds
        self._authenticator = authenticator
        self._revocations = revocations
        self._handles = handles
        self._log = log
        self._changes = changes
        self._now = now

    async def answer(self, request: Request, by: str) -> AsyncIterator[tuple[object, bool]]:
        """The replies: data, and whether another follows.

        Raises:
            ControlRefused: the answer is no.
            AuditUnavailable: it can't be recorded, so it wasn't done.
            StorageError: the state can't be read or written.
        """
        if isinstance(request, TailLog):
            async for entry in self._log.tail(lines=_within(request.lines, MAX_ROWS), follow=request.follow):
                yield msgspec.Raw(entry), True
            yield None, False
        else:
            yield await self._answer_one(request, by), False

    async def _answer_one(self, request: Request, by: str) -> object:
        match request:
            case Ping():
                return {"version": VERSION}
            case Status():
                return dict(await self._admin.status())
            case Reload():
                return await self._reload(by)
            case ListSessions():
                return await self._sessions.find_all(ended=request.ended, limit=_within(request.limit, MAX_ROWS))
            case ShowSession():
                return await self._find_session(request.id)
            case KillSession():
                return await self._kill(request, by)
            case ListApprovals():
                holds = await self._holds.find_all(ended=request.ended, limit=_within(request.limit, MAX_ROWS))
                return [describe(hold) for hold in holds]
            case ShowApproval():
                return await self._show_approval(request.id)
            case Decide():
                return await self._decide(request)
            case Revoke():
                return await self._revoke(request, by)
            case IssueHandle():
                return await self._issue_handle(request, by)
            case _:
                return refuse("bad_request", "this gateway doesn't know that operation")

    async def _reload(self, by: str) -> object:
        await self._changes.admin("reload", person=by, code="", detail={})
        try:
            return dict(await self._admin.reload())
        except (ConfigError, PolicyError) as error:
            await self._changes.admin("reload_failed", person=by, code=error.code, detail={})
            return refuse(error.code, f"{error}; what was in force stays in force", error)

    async def _find_session(self, session_id: str) -> Any:
        session = await self._sessions.find(session_id)
        if session is None:
            refuse("no_session", f"there is no session {show_line(session_id)}; see `interlock sessions list`")
        return session

    async def _kill(self, request: KillSession, by: str) -> object:
        session = await self._find_session(request.id)
        if session.ended_at is not None:
            refuse("session_ended", f"session {request.id} has already ended ({session.end_code})")
        detail: dict[str, str | int] = {"session": request.id, "reason": show_line(request.reason[:MAX_TEXT])}
        await self._changes.admin("kill", person=by, code="", detail=detail)
        message = "an operator ended this session"
        if not await self._admin.kill(request.id, code="killed", message=message):
            refuse("session_ended", f"no worker has session {request.id} any more")
        return {"killed": request.id}

    async def _show_approval(self, approval_id: str) -> object:
        hold = await self._find_hold(approval_id)
        view = await self._holds.view(approval_id)
        if view is None:
            return {**describe(hold), "text": None}
        return {
            **describe(view.hold),
            "text": view.text,
            "text_characters": view.text_characters,
            "marks": view.marks,
            "facts": view.facts,
            "reason": view.reason,
        }

    async def _find_hold(self, approval_id: str) -> HeldAction:
        hold = await self._holds.find(approval_id)
        if hold is None:
            message = f"there is no approval {show_line(approval_id)}; see `interlock approvals list`"
            refuse("no_approval", message)
        return hold

    async def _decide(self, request: Decide) -> object:
        """Record the verdict, then count it; a verdict that doesn't count is recorded as such."""
        if request.verdict not in set(VerdictKind):
            refuse("bad_request", "a verdict is approve or deny")
        kind = VerdictKind(request.verdict)
        now = self._now()
        approver = await self._authenticate(request.credential, now)
        hold = await self._find_hold(request.id)
        comment = show_line(request.comment[:MAX_TEXT])
        objection = await self._holds.find_objection(hold.id, approver, kind, now=now)
        if objection is None:
            # If we crash after this, the log says that the person decided, and the hold still waits or expires.
            event = "approved" if kind is VerdictKind.APPROVE else "denied"
            await self._changes.approval(event, hold=hold, approver=approver, comment=comment, code="")
            result = await self._holds.decide(hold.id, approver, kind, comment=request.comment, now=now)
            if isinstance(result, HeldAction):
                await self._admin.notify_approval(hold.id)
                return describe(result)
            objection = result
        await self._reject(hold, approver, objection)
        return refuse(objection.code, objection.reason)

    async def _reject(self, hold: HeldAction, approver: Principal, objection: Rejected) -> None:
        await self._changes.approval("rejected", hold=hold, approver=approver, comment="", code=objection.code)

    async def _revoke(self, request: Revoke, by: str) -> object:
        if request.kind not in REVOCABLE or not request.value:
            refuse("bad_request", f"revoke one of {', '.join(REVOCABLE)}, and say which")
        if not 0 < request.seconds <= MAX_REVOCATION_SECONDS:
            refuse("bad_request", "a revocation lasts from 1 second to 10 years")
        now = self._now()
        reason = show_line(request.reason[:MAX_TEXT])
        detail: dict[str, str | int] = {
            "kind": request.kind, "value": request.value[:MAX_TEXT], "seconds": request.seconds, "reason": reason
        }  # fmt: skip
        await self._changes.admin("revoke", person=by, code="", detail=detail)
        until = now + timedelta(seconds=request.seconds)
        await self._revocations.revoke(request.kind, request.value, at=now, until=until, by=by, reason=reason)
        return {"until": until, "sessions_ended": await self._admin.revoked(request.kind, request.value)}

    async def _issue_handle(self, request: IssueHandle, by: str) -> object:
        now = self._now()
        principal = await self._authenticate(request.credential, now)
        detail: dict[str, str | int] = {
            "resource": request.resource[:MAX_TEXT], "principal": principal.id, "token": principal.token_id
        }  # fmt: skip
        await self._changes.admin("handle", person=by, code="", detail=detail)
        try:
            handle, expires_at = await self._handles.issue(
                principal, resource=request.resource, seconds=request.seconds, uses=_within(request.uses, 1000), now=now
            )
        except AuthenticationError as error:
            refuse("authentication", error.reason, error)
        return {"handle": handle.reveal(), "expires_at": expires_at}

    async def _authenticate(self, credential: Secret, now: datetime) -> Principal:
        try:
            return await self._authenticator.authenticate_person(credential, now)
        except AuthenticationError as error:
            message = f"the token isn't accepted: {error.reason}; get a new one and try again"
            return refuse("authentication", message, error)


def describe(hold: HeldAction) -> dict[str, Any]:
    """A hold as replies show it: everything of it that isn't sealed, names made safe to print."""
    described: dict[str, Any] = msgspec.to_builtins(hold)
    return {name: _safe(value) for name, value in described.items() if name != "version"}


def _safe(value: Any) -> Any:
    if isinstance(value, str):
        return show_line(value)
    if isinstance(value, dict):
        return {name: _safe(member) for name, member in value.items()}
    return [_safe(member) for member in value] if isinstance(value, list | tuple) else value


def _within(number: int, most: int) -> int:
    return max(1, min(number, most))
