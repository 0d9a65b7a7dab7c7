"""A principal as the state database keeps it with a handle."""

from datetime import datetime
from typing import Any

import msgspec

from interlock.core.errors import AuthenticationError
from interlock.core.principal import Actor, Model, Principal, PrincipalKind


class _Stored(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    subject: str
    issuer: str
    kind: PrincipalKind
    expires_at: datetime
    token_id: str
    groups: list[str]
    actors: list[tuple[str, str, str | None]]
    model: tuple[str, str, str, bool] | None
    reason: str | None
    person: str | None
    resources: list[str]
    development: bool
    claims: dict[str, str]


def encode_principal(principal: Principal, *, resource: str, expires_at: datetime) -> str:
    """JSON of a principal bound to one resource and to an end that isn't later than its own."""
    stored = _Stored(
        subject=principal.subject,
        issuer=principal.issuer,
        kind=principal.kind,
        expires_at=min(expires_at, principal.expires_at),
        token_id=principal.token_id,
        groups=sorted(principal.groups),
        actors=[(a.subject, a.issuer, a.kind) for a in principal.actors],
        model=_encode_model(principal.model),
        reason=principal.reason,
        person=principal.person,
        resources=[resource],
        development=principal.development,
        claims=dict(principal.claims),
    )
    return msgspec.json.encode(stored).decode()


def decode_principal(text: str) -> Principal:
    """The principal that was stored.

    Trust: the gateway's own state, which only it writes; still refused if it isn't exactly that form.

    Raises:
        AuthenticationError: not what ``encode_principal`` writes.
    """
    try:
        stored = msgspec.json.decode(text, type=_Stored)
    except (msgspec.DecodeError, UnicodeError) as error:
        msg = "the stored principal can't be read"
        raise AuthenticationError(msg) from error
    if stored.expires_at.tzinfo is None:
        msg = "the stored principal's end has no time zone"
        raise AuthenticationError(msg)
    return Principal(
        subject=stored.subject,
        issuer=stored.issuer,
        kind=stored.kind,
        expires_at=stored.expires_at,
        token_id=stored.token_id,
        groups=frozenset(stored.groups),
        actors=tuple(Actor(s, i, None if k is None else PrincipalKind(k)) for s, i, k in stored.actors),
        model=None if stored.model is None else Model(*stored.model),
        reason=stored.reason,
        person=stored.person,
        resources=frozenset(stored.resources),
        development=stored.development,
        claims=stored.claims,
    )


def _encode_model(model: Model | None) -> Any:
    return None if model is None else (model.vendor, model.name, model.version, model.attested)
