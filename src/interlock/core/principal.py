"""Who acts: the verified identity of one connection."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class PrincipalKind(StrEnum):
    """What kind of actor holds the token."""

    HUMAN = "human"
    AGENT = "agent"
    WORKLOAD = "workload"


@dataclass(frozen=True, slots=True)
class Model:
    """The model an agent says it runs; ``attested`` only when an issuer trusted for that vouches for it."""

    vendor: str
    name: str
    version: str
    attested: bool = False


@dataclass(frozen=True, slots=True)
class Actor:
    """One member of the delegation chain (RFC 8693 section 4.1 ``act``), outermost first."""

    subject: str
    issuer: str
    kind: PrincipalKind | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified identity; only ``identity/`` makes one, from a credential it has checked."""

    subject: str
    issuer: str
    kind: PrincipalKind
    expires_at: datetime
    token_id: str
    """The token's ``jti``, or a digest of the token where it has none: what a revocation names."""
    groups: frozenset[str] = frozenset()
    """The gateway's own group names, given out only by the issuer's mapping."""
    actors: tuple[Actor, ...] = ()
    model: Model | None = None
    reason: str | None = None
    """Why the actor connects, where the token says so."""
    person: str | None = None
    """Canonical id of the human behind the actor, for separation of duties (P9)."""
    resources: frozenset[str] | None = None
    """Resources that the token is bound to, or None for all that policy allows."""
    development: bool = False
    """True for a token that ``interlock token issue`` made; refused in production mode."""
    claims: Mapping[str, str] = field(default_factory=dict[str, str])
    """Further claims that the issuer's configuration lets policy and the log see."""

    @property
    def id(self) -> str:
        """``issuer|subject``: unique over issuers."""
        return f"{self.issuer}|{self.subject}"
