"""What a reload replaces, built whole or not at all: configuration, policies, issuers, certificates."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from interlock.app.bus import Snapshot
from interlock.config import Config, Durability, Mode, load, parse, resolve_bytes
from interlock.config.model import ListenerConfig
from interlock.core.errors import ConfigError, InterlockError, PolicyError
from interlock.core.principal import Principal
from interlock.core.resource import Resource
from interlock.core.secret import Secret
from interlock.gate.services import GateLimits
from interlock.identity import Authenticator, DevelopmentVerifier, IssuerVerifier, JwksSource, TokenVerifier
from interlock.identity.authenticator import RevocationStore
from interlock.identity.handles import HandleStore
from interlock.policy import Decider, PolicySet
from interlock.transport.tls import make_server_context

MAX_POLICY_BYTES: Final = 16 * 1024 * 1024
_ALPN: Final = {"postgres": "postgresql"}


@dataclass(frozen=True, slots=True)
class Rules:
    """One generation of what is in force."""

    generation: int
    config: Config
    policy_set: PolicySet
    contexts: Mapping[str, ssl.SSLContext]
    """The client leg's TLS, by protocol; a protocol without one listens in plaintext on loopback."""
    verifiers: tuple[TokenVerifier, ...]

    @property
    def resources(self) -> dict[str, Resource]:
        """The registered upstreams, by name."""
        return {resource.name: resource.resource for resource in self.config.resources}

    @property
    def gate_limits(self) -> GateLimits:
        """The limits that the gate keeps."""
        limits = self.config.limits
        return GateLimits(
            session_seconds=limits.session_seconds,
            connections_per_principal=limits.connections_per_principal,
            strict=self.config.gateway.durability is Durability.STRICT,
        )

    def make_decider(self) -> Decider:
        """A decider with this generation's policies."""
        return Decider(self.policy_set)

    def find_upstream_user(self, resource: Resource, principal: Principal) -> str:
        """The user that the gateway is at the upstream for this principal; empty if there is no login for it."""
        found = self.config.find_resource(resource.name)
        login = found.upstream_for(principal.groups) if found is not None else None
        return login.user if login is not None else ""

    def make_authenticator(self, handles: HandleStore, revocations: RevocationStore) -> Authenticator:
        """An authenticator that believes this generation's issuers."""
        return Authenticator(verifiers=self.verifiers, handles=handles, revocations=revocations)


@final
class CurrentAuthenticator:
    """The authenticator in force; the gate and the control room hold this one while a reload replaces what is in it."""

    def __init__(self, build: Callable[[Rules], Authenticator], rules: Rules) -> None:
        self._build: Final = build
        self._authenticator = build(rules)

    def switch(self, rules: Rules) -> None:
        """Believe another generation's issuers from now on."""
        self._authenticator = self._build(rules)

    async def authenticate(self, credential: Secret, resource: str, now: datetime) -> Principal:
        """As ``Authenticator.authenticate``."""
        return await self._authenticator.authenticate(credential, resource, now)

    async def authenticate_person(self, credential: Secret, now: datetime) -> Principal:
        """As ``Authenticator.authenticate_person``."""
        return await self._authenticator.authenticate_person(credential, now)


def read_snapshot(file: Path, generation: int) -> tuple[Snapshot, Rules]:
    """Read configuration and policies from disk, and build everything from them to see that it can be.

    Raises:
        ConfigError: the configuration can't be used.
        PolicyError: the policies can't.
    """
    config = load(file)
    snapshot = Snapshot(
        generation, str(config.file), config.file.read_text("utf-8"), read_policies(config.gateway.policies)
    )
    return snapshot, build_rules(snapshot)


def build_rules(snapshot: Snapshot) -> Rules:
    """Build one generation of what is in force.

    Raises:
        ConfigError: configuration, certificates or keys can't be used.
        PolicyError: the policies can't.
    """
    config = parse(snapshot.config_text, file=Path(snapshot.config_file))
    contexts = {
        listener.protocol: make_server_context(
            listener.tls.certificate, listener.tls.key, alpn=_ALPN[listener.protocol]
        )
        for listener in config.listeners
        if listener.tls is not None
    }
    return Rules(
        generation=snapshot.generation,
        config=config,
        policy_set=PolicySet.from_sources(snapshot.policies),
        contexts=contexts,
        verifiers=_build_verifiers(config),
    )


def verify_reloadable(old: Config, new: Config) -> Config:
    """Return the new configuration if it changes only what can change while the gateway runs.

    Raises:
        ConfigError: names the section that needs a restart.
    """

    def addresses(listeners: tuple[ListenerConfig, ...]) -> list[tuple[str, str, bool]]:
        return [(listener.protocol, str(listener.address), listener.tls is not None) for listener in listeners]

    sections = {
        "gateway": old.gateway == new.gateway,
        "recorder": old.recorder == new.recorder,
        "recordings": old.recordings == new.recordings,
        "approvals": old.approvals == new.approvals,
        "limits": old.limits == new.limits,
        "listeners": addresses(old.listeners) == addresses(new.listeners),
    }
    for section, same in sections.items():
        if not same:
            raise ConfigError(str(new.file), section, "a change here needs a restart; nothing was changed")
    return new


def read_policies(folder: Path) -> dict[str, str]:
    """The policies' texts by file name, as relative to the folder.

    Raises:
        PolicyError: the folder can't be read, or holds too much.
    """
    try:
        files = sorted(path for path in folder.rglob("*.cedar") if path.is_file())
        if sum(path.stat().st_size for path in files) > MAX_POLICY_BYTES:
            msg = f"{folder}: over {MAX_POLICY_BYTES} bytes of policies"
            raise PolicyError(msg)
        return {str(path.relative_to(folder)): path.read_text("utf-8") for path in files}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "isn't UTF-8"
        msg = f"{folder}: policies can't be read: {reason}"
        raise PolicyError(msg) from error


def _build_verifiers(config: Config) -> tuple[TokenVerifier, ...]:
    verifiers: list[TokenVerifier] = [
        IssuerVerifier(issuer, JwksSource.from_reference(issuer.jwks)) for issuer in config.issuers
    ]
    if config.gateway.mode is Mode.DEVELOPMENT:
        verifiers.append(_development_verifier(config))
    return tuple(verifiers)


def _development_verifier(config: Config) -> DevelopmentVerifier:
    reference = config.tokens.development_key
    try:
        key = load_pem_private_key(resolve_bytes(reference), None)
    except (InterlockError, ValueError, TypeError) as error:
        reason = str(error) if isinstance(error, InterlockError) else "isn't a private key in PEM form"
        raise ConfigError(str(config.file), "tokens.development_key", reason) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(str(config.file), "tokens.development_key", "must be an Ed25519 key")
    return DevelopmentVerifier(
        key.public_key(),
        issuer=config.tokens.development_issuer,
        max_token_seconds=config.tokens.development_seconds,
    )
