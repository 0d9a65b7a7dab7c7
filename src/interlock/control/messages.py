"""Requests and replies of the control socket.

Layout: one JSON object a line, UTF-8. A request has ``op`` and that operation's fields, unknown ones are refused. A
reply is ``{"data": ..., "more": bool}`` (``more``: another reply follows) or ``{"error": {"code", "message"}}``.
"""

from typing import Any, Final, NoReturn

import msgspec

from interlock.core.errors import InterlockError
from interlock.core.secret import Secret

VERSION: Final = 1
MAX_REQUEST_BYTES: Final = 64 * 1024
MAX_REPLY_BYTES: Final = 64 * 1024 * 1024
"""A held statement of 16 MiB, escaped for display, still fits."""


class ControlRefused(InterlockError):
    """The operation's answer is no; code and text are for the operator."""

    code = "refused"

    def __init__(self, reply_code: str, message: str) -> None:
        super().__init__(message)
        self.reply_code: Final = reply_code
        self.message: Final = message


def refuse(reply_code: str, message: str, cause: BaseException | None = None) -> NoReturn:
    """Say no.

    Raises:
        ControlRefused: always.
    """
    raise ControlRefused(reply_code, message) from cause


class _Request(msgspec.Struct, frozen=True, tag_field="op", forbid_unknown_fields=True):
    """One operation."""


class Ping(_Request, frozen=True, tag="ping"):
    """Is anybody there?"""


class Status(_Request, frozen=True, tag="status"):
    """How the gateway is."""


class Reload(_Request, frozen=True, tag="reload"):
    """Read configuration and policies again, all or nothing."""


class ListSessions(_Request, frozen=True, tag="sessions.list"):
    """Open sessions, or with ``ended`` also those that were."""

    ended: bool = False
    limit: int = 200


class ShowSession(_Request, frozen=True, tag="sessions.show"):
    """One session."""

    id: str


class KillSession(_Request, frozen=True, tag="sessions.kill"):
    """End a session now."""

    id: str
    reason: str = ""


class ListApprovals(_Request, frozen=True, tag="approvals.list"):
    """Open holds, or with ``ended`` also those that were."""

    ended: bool = False
    limit: int = 200


class ShowApproval(_Request, frozen=True, tag="approvals.show"):
    """One hold, with the whole text of what would run."""

    id: str


class Decide(_Request, frozen=True, tag="approvals.decide"):
    """Approve or deny, with the approver's own token."""

    id: str
    verdict: str
    token: str
    comment: str = ""

    def __repr__(self) -> str:
        return f"Decide({self.id!r})"

    @property
    def credential(self) -> Secret:
        """The token, from here on a secret."""
        return Secret(self.token)


class Revoke(_Request, frozen=True, tag="revoke"):
    """From now on this token, principal or person doesn't connect, and its sessions end."""

    kind: str
    value: str
    seconds: int = 30 * 86400
    reason: str = ""


class IssueHandle(_Request, frozen=True, tag="handles.issue"):
    """Exchange a token for an opaque handle that is bound to one resource."""

    resource: str
    token: str
    uses: int = 1
    seconds: int = 300

    def __repr__(self) -> str:
        return f"IssueHandle({self.resource!r})"

    @property
    def credential(self) -> Secret:
        """The token, from here on a secret."""
        return Secret(self.token)


class TailLog(_Request, frozen=True, tag="log.tail"):
    """The last entries of the log, and with ``follow`` those to come."""

    lines: int = 20
    follow: bool = False


Request = (
    Ping
    | Status
    | Reload
    | ListSessions
    | ShowSession
    | KillSession
    | ListApprovals
    | ShowApproval
    | Decide
    | Revoke
    | IssueHandle
    | TailLog
)

_DECODER: Final[msgspec.json.Decoder[Request]] = msgspec.json.Decoder(Request)


def decode_request(line: bytes) -> Request:
    """Decode one request line.

    Trust: from a local process of the same user, or root; it may still be garbage.

    Raises:
        ControlRefused: it isn't a request; the text repeats no value, since one may be a token.
    """
    try:
        return _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = str(error) if isinstance(error, msgspec.ValidationError) else "not JSON"
        refuse("bad_request", f"this isn't a request: {reason}")


def encode_request(request: Request) -> bytes:
    """Encode one request line."""
    return msgspec.json.encode(request) + b"\n"


def encode_data(data: object, *, more: bool = False) -> bytes:
    """Encode one reply line with data."""
    return msgspec.json.encode({"data": data, "more": more}) + b"\n"


def encode_error(code: str, message: str) -> bytes:
    """Encode the reply line that ends a request with an error."""
    return msgspec.json.encode({"error": {"code": code, "message": message}}) + b"\n"


def decode_reply(line: bytes) -> tuple[Any, bool]:
    """Decode one reply line: its data, and whether another follows.

    Raises:
        ControlRefused: the reply is an error, or no reply at all.
    """
    try:
        reply = msgspec.json.decode(line)
        if "error" in reply:
            raise ControlRefused(str(reply["error"]["code"]), str(reply["error"]["message"]))
        return reply["data"], bool(reply["more"])
    except (msgspec.DecodeError, KeyError, TypeError):
        refuse("bad_reply", "the gateway's reply can't be read; are both of the same version?")
