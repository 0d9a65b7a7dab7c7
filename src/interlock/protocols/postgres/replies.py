"""The gateway's own replies in PostgreSQL's words: denials, notices and the statement that always fails.

Trust: every text here is the gateway's own or a ``Deny.reason``, which is made for clients.
"""

from typing import Final

from interlock.core.commands import Held
from interlock.core.decision import Deny
from interlock.wire.postgres.frontend import Parse, Query
from interlock.wire.postgres.replies import error_response, notice_response

FAILING_TEXT: Final = b"interlock refused this statement"
"""No SQL at all, in any version: it makes the upstream fail exactly where the client sees the denial."""

FAILING_PARSE: Final = Parse(b"interlock_refused", FAILING_TEXT).encode()
"""Named, so that it leaves the unnamed statement alone; a failing Parse creates nothing."""

FAILING_QUERY: Final = Query(FAILING_TEXT).encode()

FLUSH: Final = b"H\x00\x00\x00\x04"

_SQLSTATES: Final = {
    "policy_denied": "42501",
    "policy_error": "42501",
    "reason_required": "42501",
    "read_only": "25006",
    "hold_denied": "42501",
    "hold_expired": "42501",
    "withdrawn": "57014",
    "audit_unavailable": "58030",
    "storage": "58030",
    "too_large": "54000",
    "overloaded": "53400",
    "encoding": "0A000",
    "unsupported": "0A000",
    "row_limit": "54000",
}


def sqlstate_of(deny: Deny) -> str:
    """The SQLSTATE for a denial's public code; 42501 (insufficient_privilege) unless another says it better."""
    return _SQLSTATES.get(deny.code, "42501")


def denial(deny: Deny) -> bytes:
    """An ErrorResponse for a denied statement: the session goes on."""
    if deny.code == "withdrawn":
        return error_response("ERROR", "57014", "canceling statement due to user request")
    detail = f"Interlock decision: {deny.code}"
    if deny.policies:
        detail += f"; policies: {', '.join(deny.policies)}"
    if deny.approval_id:
        detail += f"; approval: {deny.approval_id}"
    return error_response("ERROR", sqlstate_of(deny), deny.reason, detail=detail)


def fatal(sqlstate: str, message: str, hint: str = "") -> bytes:
    """An ErrorResponse after which the connection ends."""
    return error_response("FATAL", sqlstate, message, hint=hint)


def error(sqlstate: str, message: str, *, position: int = 0) -> bytes:
    """An ErrorResponse of the gateway's own that isn't a policy's denial."""
    return error_response("ERROR", sqlstate, message, position=position)


def held_notice(held: Held, waited_seconds: int) -> bytes:
    """A NoticeResponse telling the client what it waits for and how the wait ends."""
    left = max(0, held.expires_seconds - waited_seconds)
    waited = f"waited {waited_seconds} s, " if waited_seconds else ""
    return notice_response(
        "NOTICE",
        "01000",
        f"Interlock holds this statement until {' and '.join(held.groups)} approves it ({waited}expires in {left} s)",
        hint=f"Approval {held.approval_id}: an approver runs `interlock approvals show {held.approval_id}`. "
        "Cancel the statement to withdraw the request.",
    )
