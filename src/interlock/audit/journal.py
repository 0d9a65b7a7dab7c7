"""From the core's nouns to sealed entries: what a worker writes, before it is sent.

A ``Journal`` belongs to one worker, a ``SessionJournal`` to one session of it. The session's constant parts (who, on
what, by whom written) are encoded once. Every method returns ``Sealed``: the leaf's bytes and the payload that it
commits to. Entries must be given to the recorder's client in the order in which they were made, because each names
the one before it; one that can't be recorded is named in a later ``gap`` entry, so the chain still resolves.
"""

import struct
from binascii import hexlify
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import count
from typing import Final

import msgspec

from interlock.audit.entry import (
    MAX_ENTRY_BYTES,
    NOTHING,
    VERSION,
    Entry,
    canonical,
    decode,
    encode_whole,
    fit,
    fit_object,
)
from interlock.audit.payload import SALT_BYTES, PayloadKind, route
from interlock.audit.template import intent_template, outcome_template
from interlock.core.action import Action
from interlock.core.decision import Allow, Deny, Hold
from interlock.core.outcome import Outcome
from interlock.core.session import Session

Sealed = tuple[bytes, bytes | None]
"""A leaf's bytes, and the payload (route and content, see ``payload.py``) that goes with it."""

_RANDOM_POOL: Final = 256 * SALT_BYTES
_WHO_BYTES: Final = 640
_ON_BYTES: Final = 176
_BY_BYTES: Final = 96
_ID_BYTES: Final = 96
_LENGTH: Final = struct.Struct(">I")
_NO_DIGEST: Final = bytes(32)
_NO_DETAILS: Final = bytes(4)
_MAX_TEMPLATES: Final = 64
_MAX_OPEN: Final = 4096
_SHORT_TAG: Final = 64
_encode_text: Final = msgspec.json.Encoder().encode


class Journal:
    """Makes the entries of one worker process."""

    def __init__(
        self,
        *,
        instance: str,
        worker: str,
        now_us: Callable[[], int],
        mono_us: Callable[[], int],
        random: Callable[[int], bytes],
    ) -> None:
        self._by = fit_object({"instance": instance, "worker": worker}, _BY_BYTES)
        self.now_us: Final = now_us
        self.mono_us: Final = mono_us
        self.salt: Final = _salts(random).__next__
        """16 random bytes, never given out twice."""
        self.next_seq: Final = count(1).__next__
        """The number of the worker's next entry."""

    def session(self, session: Session) -> "SessionJournal":
        """The journal of a session that is about to open."""
        return SessionJournal(self, session)

    def admin(
        self, what: str, *, person: str = "", code: str = "", detail: Mapping[str, str | int] | None = None
    ) -> Sealed:
        """Somebody or something changed the gateway: ``change``, ``kill``, ``reload``, ``revoke``, ``prune``, ..."""
        return self._alone(
            Entry(type="admin", decision=what, code=code, approvers=(person,) if person else (), detail=_dict(detail))
        )

    def approval(
        self,
        event: str,
        *,
        approval_id: str,
        action_id: str,
        session_id: str,
        groups: Sequence[str] = (),
        approvers: Sequence[str] = (),
        reason: str = "",
        code: str = "",
    ) -> Sealed:
        """An approval changed state, seen from outside the session (a person decided): not chained to it.

        ``event`` is ``requested``, ``approved``, ``denied``, ``expired``, ``withdrawn`` or ``consumed``.
        """
        return self._alone(
            Entry(
                type="approval",
                decision=event,
                approval=_id(approval_id),
                action=_id(action_id),
                session=_id(session_id),
                groups=tuple(groups),
                approvers=tuple(approvers),
                reason=reason,
                code=code,
            )
        )

    def heartbeat(self, detail: Mapping[str, str | int] | None = None) -> Sealed:
        """The writer is alive, so that silence can be told from absence."""
        return self._alone(Entry(type="heartbeat", detail=_dict(detail)))

    def gap(self, code: str, *, lost: Sequence[str] = (), count: int = 0) -> Sealed:
        """Entries couldn't be recorded, so what they stood for didn't happen; ``lost`` are their digests."""
        return self._alone(Entry(type="gap", code=code, lost=tuple(lost), detail={"count": count}))

    def recorder_start(self, detail: Mapping[str, str | int]) -> Sealed:
        """The recorder runs: durability, own uid or not, what was recovered."""
        return self._alone(Entry(type="recorder_start", detail=_dict(detail)))

    def recorder_stop(self, code: str) -> Sealed:
        """The recorder ends in good order."""
        return self._alone(Entry(type="recorder_stop", code=code))

    @property
    def by(self) -> msgspec.Raw:
        """The encoded ``by`` of every entry."""
        return self._by

    def _alone(self, entry: Entry) -> Sealed:
        """Seal an entry outside any session's chain; what is cut goes to a payload of its own."""
        entry = msgspec.structs.replace(
            entry, v=VERSION, by=self._by, seq=self.next_seq(), at=self.now_us(), mono=self.mono_us()
        )
        data = encode_whole(entry)
        if data is not None:
            return data, None
        details = fit(entry)[1]
        content = self.salt() + _LENGTH.pack(len(details)) + details
        entry = msgspec.structs.replace(
            entry, payload=sha256(content).hexdigest(), payload_bytes=len(content) - SALT_BYTES
        )
        return fit(entry)[0], route(entry.session, entry.action, PayloadKind.DETAILS) + content


class SessionJournal:
    """Makes the entries of one session, each naming the one before it."""

    def __init__(self, journal: Journal, session: Session) -> None:
        principal = session.principal
        self._by = journal.by
        self._now_us = journal.now_us
        self._mono_us = journal.mono_us
        self._salt = journal.salt
        self._next_seq = journal.next_seq
        self._id = _id(session.id)
        self._session = session
        self._seq = 0
        self._prev = b""
        self._who_whole: dict[str, object] = {
            "actors": [
                {"issuer": actor.issuer, "kind": str(actor.kind or ""), "subject": actor.subject}
                for actor in principal.actors
            ],
            "id": principal.id,
            "kind": str(principal.kind),
            "token": principal.token_id,
        }
        if principal.model is not None:
            model = principal.model
            self._who_whole["model"] = {
                "attested": model.attested,
                "name": model.name,
                "vendor": model.vendor,
                "version": model.version,
            }
        if principal.person is not None:
            self._who_whole["person"] = principal.person
        self._on_whole: dict[str, object] = {
            "database": session.database,
            "protocol": session.resource.protocol,
            "resource": session.resource.name,
        }
        self._who = fit_object(self._who_whole, _WHO_BYTES)
        self._on = fit_object(self._on_whole, _ON_BYTES)
        encoded = self._id.encode()
        self._route = b"%c%b" % (len(encoded), encoded)
        self._templates: dict[tuple[str, tuple[str, ...], tuple[str, ...], str | None], tuple[Allow, bytes]] = {}
        self._salts: dict[str, bytes] = {}
        self._outcome_template = outcome_template(session_id=self._id, by=self._by)

    def start(
        self,
        *,
        tls: bool,
        policies: Sequence[str] = (),
        policy_hash: str = "",
        parameters: Mapping[str, str] | None = None,
    ) -> Sealed:
        """The session opens; its payload holds the claims and what the client asked for, whole."""
        session, principal = self._session, self._session.principal
        details = canonical(
            {
                "claims": dict(principal.claims),
                "client_address": session.client_address,
                "groups": sorted(principal.groups),
                "labels": dict(session.resource.labels),
                "on": self._on_whole,
                "parameters": dict(parameters or {}),
                "who": self._who_whole,
            }
        )
        salt = self._salt()
        entry = Entry(
            type="session_start",
            reason=session.reason or "",
            groups=tuple(sorted(principal.groups)),
            policies=tuple(policies),
            policy_hash=policy_hash,
            detail={
                "client_address": session.client_address,
                "development": int(principal.development),
                "expires_at": round(session.expires_at.timestamp() * 1_000_000),
                "read_only": int(session.read_only),
                "tls": int(tls),
                "upstream_user": session.upstream_user,
            },
        )
        return self._sealed(entry, "", PayloadKind.DETAILS, salt, b"", details, b"")

    def end(self, code: str) -> Sealed:
        """The session ended; ``code`` is stable."""
        return self._sealed_bare(Entry(type="session_end", code=code))

    def intent(
        self,
        action: Action,
        decision: Allow,
        *,
        reason: str | None = None,
        approval_id: str = "",
        approvers: tuple[str, ...] = (),
    ) -> Sealed:
        """The action is allowed and is about to run; the payload is its exact bytes."""
        key = (action.kind, action.leaves, action.foreseen, reason)
        cached = self._templates.get(key)
        if cached is not None and cached[0] is decision and not approval_id:
            template = cached[1]
        else:
            template = intent_template(
                action,
                decision,
                session_id=self._id,
                by=self._by,
                who=self._who,
                on=self._on,
                reason=reason or "",
                approval_id=_id(approval_id),
                approvers=approvers,
            )
            if not approval_id:
                if len(self._templates) >= _MAX_TEMPLATES:
                    self._templates.clear()
                self._templates[key] = (decision, template)
        identifier = action.id
        salt = self._salt()
        if len(self._salts) < _MAX_OPEN:
            self._salts[identifier] = salt
        content = b"".join((salt, bytes.fromhex(action.digest), _NO_DETAILS, action.payload))
        self._seq += 1
        data = template % (
            _encode_text(identifier),
            self._now_us(),
            self._mono_us(),
            hexlify(sha256(content).digest()),
            len(content) - SALT_BYTES,
            self._prev,
            self._next_seq(),
            self._seq,
        )
        if len(data) > MAX_ENTRY_BYTES:
            return self._cut(decode(data), PayloadKind.REQUEST, salt, bytes.fromhex(action.digest), action.payload)
        self._prev = hexlify(sha256(data).digest())
        encoded = identifier.encode()
        return data, b"".join((b"%b%c%b\1" % (self._route, len(encoded), encoded), content))

    def decision(
        self, action: Action, decision: Deny | Hold, *, reason: str | None = None, approval_id: str = ""
    ) -> Sealed:
        """The action is held or denied; the payload is what was asked, so that the refusal can be understood."""
        hold = isinstance(decision, Hold)
        entry = Entry(
            type="decision",
            action=_id(action.id),
            approval=_id(approval_id or ("" if isinstance(decision, Hold) else decision.approval_id)),
            code="" if isinstance(decision, Hold) else decision.code,
            decision="hold" if hold else "deny",
            foreseen=action.foreseen,
            groups=decision.groups if isinstance(decision, Hold) else (),
            kind=action.kind,
            leaves=action.leaves,
            policies=decision.policies,
            policy_hash=decision.policy_hash,
            reason=reason or "",
        )
        return self._sealed(
            entry,
            action.id,
            PayloadKind.REQUEST,
            self._salt(),
            bytes.fromhex(action.digest),
            b"",
            action.payload,
        )

    def approval(
        self,
        event: str,
        *,
        approval_id: str,
        action_id: str,
        groups: Sequence[str] = (),
        approvers: Sequence[str] = (),
        reason: str = "",
        code: str = "",
    ) -> Sealed:
        """An approval of this session's action changed state, seen from inside: ``requested``, ``consumed``, ..."""
        entry = Entry(
            type="approval",
            decision=event,
            action=_id(action_id),
            approval=_id(approval_id),
            groups=tuple(groups),
            approvers=tuple(approvers),
            reason=reason,
            code=code,
        )
        return self._sealed_bare(entry)

    def outcome(self, action_id: str, outcome: Outcome) -> Sealed:
        """The action ended. What was delivered is committed to with the salt of the action's intent."""
        salt = self._salts.pop(action_id, None)
        tag = outcome.tag
        if (
            salt is None
            or not outcome.digest
            or outcome.status != "ok"
            or outcome.code
            or outcome.masked
            or outcome.truncated
            or outcome.data_digest
            or len(tag) > _SHORT_TAG
            or not tag.isascii()
        ):
            return self._outcome_in_full(action_id, outcome)
        self._seq += 1
        data = self._outcome_template % (
            _encode_text(action_id),
            self._now_us(),
            b'"bytes":%d,' % outcome.bytes_count if outcome.bytes_count else b"",
            self._mono_us(),
            hexlify(sha256(salt + bytes.fromhex(outcome.digest)).digest()),
            self._prev,
            b'"rows":%d,' % outcome.rows if outcome.rows else b"",
            self._next_seq(),
            self._seq,
            b'"tag":%b,' % _encode_text(tag) if tag else b"",
        )
        self._prev = hexlify(sha256(data).digest())
        return data, None

    def _outcome_in_full(self, action_id: str, outcome: Outcome) -> Sealed:
        """An outcome that isn't the plain good one; digests, where there are any, go into a payload of its own."""
        head = b"".join(bytes.fromhex(digest) or _NO_DIGEST for digest in (outcome.digest, outcome.data_digest))
        content = self._salt() + head + _NO_DETAILS if outcome.digest or outcome.data_digest else b""
        entry = self._chained(
            Entry(
                type="outcome",
                action=_id(action_id),
                bytes=outcome.bytes_count,
                code=outcome.code,
                data_bytes=outcome.data_bytes,
                masked=dict(sorted(outcome.masked.items())) if outcome.masked else None,
                payload=sha256(content).hexdigest() if content else "",
                payload_bytes=len(content) - SALT_BYTES if content else 0,
                rows=outcome.rows,
                status=str(outcome.status),
                tag=outcome.tag,
                truncated=outcome.truncated,
            )
        )
        data = encode_whole(entry)
        if data is None:
            return self._cut(entry, PayloadKind.OUTCOME, content[:SALT_BYTES] or self._salt(), head, b"")
        self._prev = hexlify(sha256(data).digest())
        return data, route(self._id, action_id, PayloadKind.OUTCOME) + content if content else None

    def response_route(self, action_id: str) -> bytes:
        """What precedes the response bytes of this action in the recording."""
        return route(self._id, action_id, PayloadKind.RESPONSE)

    def _sealed_bare(self, entry: Entry) -> Sealed:
        """Chain and encode an entry without a payload, unless something must be cut."""
        entry = self._chained(entry)
        data = encode_whole(entry)
        if data is None:
            return self._cut(entry, PayloadKind.DETAILS, self._salt(), b"", b"")
        self._prev = hexlify(sha256(data).digest())
        return data, None

    def _sealed(
        self, entry: Entry, action_id: str, kind: PayloadKind, salt: bytes, head: bytes, details: bytes, data: bytes
    ) -> Sealed:
        """Chain and encode an entry with a payload: salt, head, details with their length, data."""
        content = b"".join((salt, head, _LENGTH.pack(len(details)), details, data))
        entry = msgspec.structs.replace(
            self._chained(entry), payload=sha256(content).hexdigest(), payload_bytes=len(content) - SALT_BYTES
        )
        leaf = encode_whole(entry)
        if leaf is None:
            if details:
                leaf = fit(entry)[0]
            else:
                return self._cut(entry, kind, salt, head, data)
        self._prev = hexlify(sha256(leaf).digest())
        return leaf, route(self._id, action_id, kind) + content

    def _cut(self, entry: Entry, kind: PayloadKind, salt: bytes, head: bytes, data: bytes) -> Sealed:
        """Encode an entry that is too long: what is cut goes into the payload's details, whole."""
        details = fit(entry)[1]
        content = b"".join((salt, head, _LENGTH.pack(len(details)), details, data))
        entry = msgspec.structs.replace(
            entry, payload=sha256(content).hexdigest(), payload_bytes=len(content) - SALT_BYTES
        )
        leaf = fit(entry)[0]
        self._prev = hexlify(sha256(leaf).digest())
        return leaf, route(self._id, entry.action, kind) + content

    def _chained(self, entry: Entry) -> Entry:
        """The entry with the session's constant parts (an outcome's are in its intent), numbers and times."""
        self._seq += 1
        told = entry.type == "outcome"
        return msgspec.structs.replace(
            entry,
            v=VERSION,
            at=self._now_us(),
            by=self._by,
            mono=self._mono_us(),
            on=NOTHING if told else self._on,
            prev=self._prev.decode(),
            seq=self._next_seq(),
            session=self._id,
            session_seq=self._seq,
            who=NOTHING if told else self._who,
        )


def _salts(random: Callable[[int], bytes]) -> Iterator[bytes]:
    """Slices of pools of randomness."""
    while True:
        pool = random(_RANDOM_POOL)
        for at in range(0, _RANDOM_POOL, SALT_BYTES):
            yield pool[at : at + SALT_BYTES]


def _id(text: str) -> str:
    """An id that the gateway made itself.

    Raises:
        ValueError: longer than an entry has room for, which no input can cause.
    """
    if len(text.encode()) > _ID_BYTES:
        msg = f"an id of {len(text)} characters is over the limit of {_ID_BYTES}"
        raise ValueError(msg)
    return text


def _dict(detail: Mapping[str, str | int] | None) -> dict[str, str | int] | None:
    return dict(sorted(detail.items())) if detail else None
