"""The registered claims: is this token for us, now, and of the right kind?

Spec: RFC 7519 section 4.1, RFC 9068 section 4, RFC 8725 sections 3.8 to 3.12.
"""

import hashlib
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

from interlock.core.errors import AuthenticationError
from interlock.core.principal import Actor
from interlock.identity.token import SignedToken

MAX_SKEW_SECONDS: Final = 60
MAX_TEXT: Final = 256
MAX_VALUES: Final = 1000
MAX_ACTORS: Final = 8
MAX_TIME: Final = 253_402_300_799
"""9999-12-31T23:59:59Z."""

TOKEN_TYPES: Final = frozenset(("", "jwt", "at+jwt"))
"""Whatever else ``typ`` says is another kind of token: a logout token, a DPoP proof, a security event."""
_OTHER_KINDS: Final = {
    "nonce": "an ID token",
    "at_hash": "an ID token",
    "c_hash": "an ID token",
    "s_hash": "an ID token",
    "events": "a security event",
}


@dataclass(frozen=True, slots=True)
class Expectations:
    """What a token has to say to be taken."""

    issuer: str
    audience: str
    types: Collection[str] = TOKEN_TYPES
    skew_seconds: int = 30
    max_token_seconds: int = 86_400


@dataclass(frozen=True, slots=True)
class Registered:
    """The registered claims of a token that is for us, now."""

    subject: str
    expires_at: datetime
    token_id: str
    actors: tuple[Actor, ...]


def verify_registered(token: SignedToken, expected: Expectations, now: datetime) -> Registered:
    """Check type, issuer, audience, times and subject of a token whose signature holds.

    Raises:
        AuthenticationError: one of them isn't exactly as expected.
    """
    claims = token.claims
    if token.envelope.type not in {kind.lower() for kind in expected.types}:
        refuse("is of another type")
    for name, kind in _OTHER_KINDS.items():
        if name in claims:
            refuse(f"is {kind} ({name})")
    if claims.get("iss") != expected.issuer:
        refuse("is of another issuer")
    audience = claims.get("aud")
    # A token for several audiences could be replayed here by any of them, so a list has one entry.
    if audience not in (expected.audience, [expected.audience]):
        refuse("is for another audience")
    return Registered(
        subject=_read_subject(claims),
        expires_at=_verify_times(claims, expected, now),
        token_id=read_text(claims, "jti") or "sha256:" + hashlib.sha256(token.envelope.signed).hexdigest(),
        actors=_decode_actors(claims),
    )


def read_text(claims: Mapping[str, Any], name: str) -> str | None:
    """A claim that is text: printable, in Unicode's composed form, of bounded length; None if absent.

    Raises:
        AuthenticationError: there, but not such text.
    """
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if not is_text(value):
        refuse(f"has a claim {name} that isn't short printable text")
    return str(value)


def read_texts(claims: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    """A claim that is one text or a list of them; None if absent.

    Raises:
        AuthenticationError: there, but something else.
    """
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or len(values) > MAX_VALUES or not all(is_text(v) for v in values):
        refuse(f"has a claim {name} that isn't a list of short printable texts")
    return tuple(values)


def is_text(value: object) -> bool:
    """Not empty, at most 256 characters, nothing invisible or turning, composed (NFC): one spelling of one name."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= MAX_TEXT
        and value.isprintable()
        and value == value.strip()
        and unicodedata.is_normalized("NFC", value)
    )


def refuse(problem: str) -> NoReturn:
    """Say no to a token that is well formed and not acceptable.

    Raises:
        AuthenticationError: always.
    """
    reason = f"the token {problem}"
    raise AuthenticationError(reason)


def _read_subject(claims: Mapping[str, Any]) -> str:
    subject = read_text(claims, "sub")
    if subject is None:
        refuse("lacks sub, or an actor of it does")
    return subject


def _verify_times(claims: Mapping[str, Any], expected: Expectations, now: datetime) -> datetime:
    skew = min(max(expected.skew_seconds, 0), MAX_SKEW_SECONDS)
    expires, issued = _read_time(claims, "exp"), _read_time(claims, "iat")
    if expires is None or issued is None:
        refuse("lacks exp or iat")
    starts = _read_time(claims, "nbf")
    seconds = now.timestamp()
    if seconds >= expires + skew:
        refuse("has expired")
    if issued > seconds + skew or (starts is not None and starts > seconds + skew):
        refuse("isn't valid yet")
    if not 0 < expires - issued <= expected.max_token_seconds:
        refuse("lives longer than is allowed")
    return datetime.fromtimestamp(expires, UTC)


def _read_time(claims: Mapping[str, Any], name: str) -> int | None:
    """Seconds since 1970 as a JSON integer; fractions, strings and booleans aren't times."""
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_TIME:
        refuse(f"has a claim {name} that isn't a time")
    return value


def _decode_actors(claims: Mapping[str, Any]) -> tuple[Actor, ...]:
    """The delegation chain (RFC 8693 section 4.1), outermost first."""
    actors: list[Actor] = []
    holder: Mapping[str, Any] = claims
    while "act" in holder:
        act = holder["act"]
        if not isinstance(act, dict) or len(actors) == MAX_ACTORS:
            refuse("has an act chain that isn't one, or is too long")
        issuer = read_text(act, "iss") or str(claims["iss"])
        actors.append(Actor(_read_subject(act), issuer))
        holder = act
    return tuple(actors)
