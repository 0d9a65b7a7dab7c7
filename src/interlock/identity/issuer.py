"""A configured issuer's token -> ``Principal``, by what the configuration lets that issuer say."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from interlock.config.model import ClaimMap, IssuerConfig
from interlock.core.principal import Model, Principal, PrincipalKind
from interlock.identity.claims import (
    TOKEN_TYPES,
    Expectations,
    Registered,
    read_text,
    read_texts,
    refuse,
    verify_registered,
)
from interlock.identity.jwks import KeySource
from interlock.identity.token import SignedToken


class IssuerVerifier:
    """Verifies the tokens of one issuer with that issuer's keys and no others."""

    def __init__(self, config: IssuerConfig, keys: KeySource) -> None:
        self.issuer: Final = config.issuer
        self._config = config
        self._keys = keys
        self._expected = Expectations(
            issuer=config.issuer,
            audience=config.audience,
            types=tuple(t.lower().removeprefix("application/") for t in config.required_types) or TOKEN_TYPES,
            skew_seconds=config.skew_seconds,
            max_token_seconds=config.max_token_seconds,
        )

    async def verify(self, token: SignedToken, now: datetime) -> Principal:
        """Check signature, then claims, then map them.

        Raises:
            AuthenticationError: any of it isn't as it must be.
        """
        keys = await self._keys.keys_for(token.envelope.kid, now)
        keys.verify_signature(token.envelope, self._config.algorithms)
        registered = verify_registered(token, self._expected, now)
        return self._map(token.claims, registered)

    def _map(self, claims: Mapping[str, Any], registered: Registered) -> Principal:
        config = self._config
        kind = _decode_kind(claims, config.kinds)
        return Principal(
            subject=registered.subject,
            issuer=config.issuer,
            kind=kind,
            expires_at=registered.expires_at,
            token_id=registered.token_id,
            groups=_decode_groups(claims, config.groups),
            actors=registered.actors,
            model=self._decode_model(claims),
            reason=None if config.reason_claim is None else read_text(claims, config.reason_claim),
            person=self._decode_person(claims, registered, kind),
            resources=self._decode_resources(claims),
            claims={name: value for name in config.claims if (value := _read_scalar(claims, name)) is not None},
        )

    def _decode_person(self, claims: Mapping[str, Any], registered: Registered, kind: PrincipalKind) -> str | None:
        """Who is behind the actor.

        Where a claim says so, a person's token without it is refused: else the same person would go by two ids, and
        could approve what an agent asks for in that person's name (P9).
        """
        if self._config.person_claim is not None:
            person = read_text(claims, self._config.person_claim)
            if person is None and kind is PrincipalKind.HUMAN:
                refuse(f"lacks {self._config.person_claim}, which says who the person is")
            return person
        # RFC 8693: in a delegated token ``sub`` is the party that is acted for.
        return registered.subject if kind is PrincipalKind.HUMAN or registered.actors else None

    def _decode_resources(self, claims: Mapping[str, Any]) -> frozenset[str] | None:
        name = self._config.resources_claim
        if name is None:
            return None
        resources = read_texts(claims, name)
        if resources is None:
            refuse(f"lacks {name}, which says what it is good for")
        return frozenset(resources)

    def _decode_model(self, claims: Mapping[str, Any]) -> Model | None:
        names = self._config.model
        vendor, name, version = (read_text(claims, n) for n in (names.vendor, names.name, names.version))
        if vendor is None and name is None and version is None:
            return None
        return Model(vendor or "", name or "", version or "", attested=names.attested)


def _decode_kind(claims: Mapping[str, Any], kinds: ClaimMap) -> PrincipalKind:
    value = read_text(claims, kinds.claim) if kinds.claim else None
    word = kinds.default if value is None else kinds.map.get(value, kinds.default)
    if word is None or word not in set(PrincipalKind):
        refuse("doesn't say what kind of actor it speaks for")
    return PrincipalKind(word)


def _decode_groups(claims: Mapping[str, Any], groups: ClaimMap | None) -> frozenset[str]:
    """The gateway's own names for what the issuer says; a name that isn't in the mapping gives nothing."""
    if groups is None:
        return frozenset()
    given = read_texts(claims, groups.claim) or ()
    mapped = {groups.map[value] for value in given if value in groups.map}
    if groups.default is not None:
        mapped.add(groups.default)
    return frozenset(mapped)


def _read_scalar(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return read_text(claims, name)
