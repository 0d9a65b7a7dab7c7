"""Templates of the two entries that every statement has: canonical parts with holes where each differs.

Encoding an entry of thirty fields costs as much as everything else about it; all but eight of them are the same for
all statements of a session that one decision answered. A template yields the very bytes that ``entry.encode`` would,
which a test holds it to.
"""

from typing import Any

import msgspec

from interlock.audit.entry import VERSION, Entry, encode_unlimited
from interlock.core.action import Action
from interlock.core.decision import Allow


def intent_template(
    action: Action,
    decision: Allow,
    *,
    session_id: str,
    by: msgspec.Raw,
    who: msgspec.Raw,
    on: msgspec.Raw,
    reason: str,
    approval_id: str,
    approvers: tuple[str, ...],
) -> bytes:
    """An intent; holes: action id (JSON), at, mono, payload, its length, prev, seq, session seq."""
    return b"".join(
        (
            b'{"action":%b,',
            _members(approval=approval_id, approvers=approvers),
            b'"at":%d,',
            _members(
                by=by,
                decision="allow",
                foreseen=action.foreseen,
                groups=decision.approved_by,
                kind=action.kind,
                leaves=action.leaves,
            ),
            b'"mono":%d,',
            _members(on=on),
            b'"payload":"%b","payload_bytes":%d,',
            _members(policies=decision.policies, policy_hash=decision.policy_hash),
            b'"prev":"%b",',
            _members(reason=reason),
            b'"seq":%d,',
            _members(session=session_id),
            b'"session_seq":%d,',
            _members(type="intent", v=VERSION, who=who)[:-1],
            b"}",
        )
    )


def outcome_template(*, session_id: str, by: msgspec.Raw) -> bytes:
    """A good outcome; holes: action id, at, bytes, mono, payload, prev, rows, seq, session seq, tag."""
    return b"".join(
        (
            b'{"action":%b,"at":%d,',
            _members(by=by),
            b'%b"mono":%d,"payload":"%b","prev":"%b",%b"seq":%d,',
            _members(session=session_id),
            b'"session_seq":%d,"status":"ok",%b"type":"outcome","v":1}',
        )
    )


def _members(**fields: Any) -> bytes:
    """Members of an entry, each with a comma behind it, as literal text of a template."""
    members = encode_unlimited(Entry(**fields))[1:-1]
    return members.replace(b"%", b"%%") + b"," if members else b""
