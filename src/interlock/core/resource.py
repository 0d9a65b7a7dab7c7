"""A registered upstream."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from interlock.core.secret import Secret


@dataclass(frozen=True, slots=True)
class SecretReference:
    """Where a credential is kept: ``env:NAME``, ``file:PATH`` or ``command:ARGV``; never the value itself."""

    kind: str
    target: str


@dataclass(frozen=True, slots=True)
class UpstreamLogin:
    """How the gateway logs in to an upstream; the password is resolved just before use."""

    user: str
    password: Secret | None = None
    tls: str = "verify-full"
    """``verify-full``, ``verify-ca`` or ``disable`` (local sockets and loopback only)."""
    ca: str | None = None
    """PEM file of the trusted authorities, or None for the system's."""
    groups: frozenset[str] = frozenset()
    """Principals in one of these groups use this login; empty = everybody."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A registered upstream: what a client names to be connected."""

    name: str
    protocol: str
    address: str
    """``host:port``, or ``unix:/directory:port`` for a local socket."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    allow: frozenset[str] = frozenset()
    """What is refused unless listed: ``replication``, ``function_call``."""
