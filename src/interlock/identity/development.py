"""The development issuer: tokens that ``interlock token issue`` makes, taken in development mode only.

They are ordinary signed tokens of an issuer of their own, with what they say in one claim, ``interlock``. In production
that issuer isn't registered, so its tokens are those of a stranger.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from interlock.core.errors import AuthenticationError
from interlock.core.principal import Actor, Model, Principal, PrincipalKind
from interlock.core.secret import Secret
from interlock.identity.claims import Expectations, is_text, refuse, verify_registered
from interlock.identity.keys import KeySet, VerificationKey
from interlock.identity.token import SignedToken, encode_base64url

DEVELOPMENT_ISSUER: Final = "interlock:development"
DEVELOPMENT_AUDIENCE: Final = "interlock"
_KID: Final = "development"
_NAMESPACE: Final = "interlock"


class _Said(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """The claim ``interlock``."""

    development: bool
    kind: PrincipalKind
    groups: tuple[str, ...] = ()
    model: tuple[str, str, str] | None = None
    resources: tuple[str, ...] | None = None
    reason: str | None = None
    person: str | None = None


@dataclass(frozen=True, slots=True)
class DevelopmentGrant:
    """What a development token is to say."""

    subject: str
    kind: PrincipalKind
    groups: Collection[str] = ()
    model: Model | None = None
    resources: Collection[str] | None = None
    reason: str | None = None
    person: str | None = None
    actors: tuple[Actor, ...] = ()
    """Outermost first."""


def issue_development_token(
    key: Ed25519PrivateKey,
    grant: DevelopmentGrant,
    *,
    lifetime: timedelta,
    now: datetime,
    token_id: str,
    issuer: str = DEVELOPMENT_ISSUER,
) -> Secret:
    """Sign a token that says what ``grant`` says.

    Raises:
        ValueError: a name that no token may carry (empty, too long, unprintable).
    """
    model = grant.model
    names = [grant.subject, token_id, *grant.groups, *(grant.resources or ()), *(a.subject for a in grant.actors)]
    names += [text for text in (grant.reason, grant.person) if text is not None]
    names += [] if model is None else [text for text in (model.vendor, model.name, model.version) if text]
    wrong = next((name for name in names if not is_text(name)), None)
    if wrong is not None:
        msg = f"{wrong[:80]!r} isn't short printable text"
        raise ValueError(msg)
    said = _Said(
        development=True,
        kind=grant.kind,
        groups=tuple(sorted(grant.groups)),
        model=None if model is None else (model.vendor, model.name, model.version),
        resources=None if grant.resources is None else tuple(sorted(grant.resources)),
        reason=grant.reason,
        person=grant.person,
    )
    issued = int(now.timestamp())
    claims: dict[str, Any] = {
        "iss": issuer,
        "sub": grant.subject,
        "aud": DEVELOPMENT_AUDIENCE,
        "iat": issued,
        "exp": issued + int(lifetime.total_seconds()),
        "jti": token_id,
        _NAMESPACE: msgspec.to_builtins(said),
    }
    act: dict[str, Any] | None = None
    for actor in reversed(grant.actors):
        act = {"sub": actor.subject, "iss": actor.issuer} | ({} if act is None else {"act": act})
    if act is not None:
        claims["act"] = act
    header = {"alg": "EdDSA", "kid": _KID, "typ": "at+jwt"}
    signed = f"{_encode_json(header)}.{_encode_json(claims)}"
    return Secret(f"{signed}.{encode_base64url(key.sign(signed.encode('ascii')))}")


class DevelopmentVerifier:
    """Verifies development tokens with the one key that signs them."""

    def __init__(
        self, key: Ed25519PublicKey, *, issuer: str = DEVELOPMENT_ISSUER, max_token_seconds: int = 3600
    ) -> None:
        self.issuer: Final = issuer
        self._keys = KeySet([VerificationKey(_KID, frozenset(("EdDSA",)), key)])
        self._expected = Expectations(
            issuer=issuer, audience=DEVELOPMENT_AUDIENCE, types=("at+jwt",), max_token_seconds=max_token_seconds
        )

    async def verify(self, token: SignedToken, now: datetime) -> Principal:
        """Check signature and claims; the principal is marked ``development`` and its model never attested.

        Raises:
            AuthenticationError: any of it isn't as ``issue_development_token`` makes it.
        """
        self._keys.verify_signature(token.envelope, ("EdDSA",))
        registered = verify_registered(token, self._expected, now)
        try:
            said = msgspec.convert(token.claims.get(_NAMESPACE), _Said)
        except msgspec.ValidationError as error:
            msg = "the development token's own claim isn't well formed"
            raise AuthenticationError(msg) from error
        if said.development is not True:
            refuse("isn't a development token")
        person = said.person
        if person is None and (said.kind is PrincipalKind.HUMAN or registered.actors):
            person = registered.subject
        return Principal(
            subject=registered.subject,
            issuer=self.issuer,
            kind=said.kind,
            expires_at=registered.expires_at,
            token_id=registered.token_id,
            groups=frozenset(said.groups),
            actors=registered.actors,
            model=None if said.model is None else Model(*said.model, attested=False),
            reason=said.reason,
            person=person,
            resources=None if said.resources is None else frozenset(said.resources),
            development=True,
        )


def _encode_json(value: dict[str, Any]) -> str:
    return encode_base64url(json.dumps(value, separators=(",", ":"), sort_keys=True).encode())
