"""What the configuration is, with every default and where it comes from.

Three kinds are kept apart: start-up settings (``gateway``, ``listeners``, ``recorder``: a change needs a restart),
reloadable ones (``resources``, ``issuers``, certificates, policies: SIGHUP, all or nothing), and live state, which is
in the state database and never here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from interlock.config.address import Address
from interlock.core.resource import Resource, SecretReference

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


class Mode(StrEnum):
    """``development`` allows development tokens and plaintext on loopback; nothing else differs."""

    PRODUCTION = "production"
    DEVELOPMENT = "development"


class Durability(StrEnum):
    """When an intent is fsynced (design section 7)."""

    BALANCED = "balanced"
    """Before the effect for everything but reads and session statements; those within 50 ms."""
    STRICT = "strict"
    """Before the effect, always."""


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """``[gateway]``: what the whole process is."""

    mode: Mode = Mode.PRODUCTION
    """The safe one unless asked otherwise."""
    state: str = "sqlite:///var/state.db"
    """Design section 11. Absolute once loaded."""
    data_dir: Path = Path("var")
    """Design section 11: log, recordings, control socket."""
    policies: Path = Path("policies")
    """Design section 11: a folder of ``.cedar`` files."""
    workers: int = 0
    """0 = one a core (design section 11)."""
    durability: Durability = Durability.BALANCED
    """Design section 7."""
    shutdown_seconds: int = 10
    """How long live sessions may finish their statement after SIGTERM; container runtimes kill after 10 to 30."""

    @property
    def control_socket(self) -> Path:
        """The local socket that the command line talks to."""
        return self.data_dir / "control.sock"

    @property
    def state_path(self) -> Path:
        """The SQLite file behind ``state``."""
        return Path(self.state.removeprefix("sqlite:///"))


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """``[limits]``: P10, limits everywhere. Counts are for a worker unless the name says otherwise."""

    connections: int = 2000
    """Open client connections a worker; under 100 KiB each (issue 2), so 200 MB."""
    connections_per_principal: int = 200
    """One principal can't use up the gateway; twice PostgreSQL's default max_connections."""
    handshakes: int = 200
    """Connections that haven't authenticated yet; more wait in the listen queue."""
    handshake_seconds: int = 15
    """From accept to authenticated; PostgreSQL's authentication_timeout is 60, PgBouncer's client_login_timeout too."""
    dial_seconds: int = 10
    """Connect, TLS and login to the upstream; libpq users commonly set connect_timeout=10."""
    idle_seconds: int = 28800
    """Ends a session without traffic; 8 h, as MySQL's wait_timeout. 0 = never."""
    session_seconds: int = 43200
    """The longest a session may be granted: 12 h, a working day."""
    write_seconds: int = 60
    """A peer that takes no bytes for so long is gone."""
    startup_bytes: int = 10_000
    """PostgreSQL's own MAX_STARTUP_PACKET_LENGTH."""
    statement_bytes: int = MIB
    """Longest statement that is parsed (issue 2: default 1 MiB, ceiling 64 MiB)."""
    message_bytes: int = 64 * MIB
    """Longest protocol message from a client; bind parameters and COPY data are within it."""
    inline_parse_bytes: int = 16 * KIB
    """Longer statements are parsed off the event loop (issue 2)."""
    parse_concurrency: int = 2
    """Large statements parsed at once, a worker."""
    parse_bytes: int = 64 * MIB
    """Text of large statements in parsers at once, a worker; the tree takes about 130 times the text (measured)."""
    statements: int = 10_000
    """Named statements and portals a session; PgBouncer's max_prepared_statements is in the hundreds."""
    pipeline: int = 10_000
    """Messages read ahead of an answer, a session, before the client is made to wait."""
    buffer_bytes: int = MIB
    """Read ahead a session and direction before back-pressure."""
    holds_per_session: int = 10
    """Held actions waiting at once for one session."""
    holds_per_principal: int = 50
    """Held actions waiting at once for one principal: approvers can't be flooded."""
    held_bytes: int = 16 * MIB
    """Largest action that can be held (it is stored encrypted until the hold ends)."""
    notice_seconds: int = 30
    """How often the client of a held statement is told that it still waits."""


@dataclass(frozen=True, slots=True)
class RecorderConfig:
    """``[recorder]``: the process that owns the log."""

    user: str | None = None
    """Run the recorder as this system user, so that a worker can't touch the log; None = same user, and it is said."""
    segment_bytes: int = 64 * MIB
    """A log segment is closed at this size."""
    segment_seconds: int = 86400
    """... or at this age."""
    recording_bytes: int = 256 * MIB
    """A file of recordings is closed at this size; they are pruned file by file."""
    recording_seconds: int = 3600
    """... or at this age."""
    reserve_bytes: int = 16 * MIB
    """Space kept back to record that the disk is full (design section 7)."""


@dataclass(frozen=True, slots=True)
class RecordingsConfig:
    """``[recordings]``: payloads of requests and responses. Entries of the log stay whatever is pruned here."""

    keep_days: int = 365
    """SOC 2 observation periods are up to 12 months."""
    keep_bytes: int = 0
    """Prune the oldest above this size; 0 = by age only."""


@dataclass(frozen=True, slots=True)
class ApprovalsConfig:
    """``[approvals]``: holds and who may release them."""

    key: SecretReference = field(default_factory=lambda: SecretReference("file", "keys/approvals.key"))
    """Key of the stored copy of held actions, 32 bytes (P7)."""
    expires_seconds: int = 1800
    """Where a policy has no ``@expires``; 30 min, as in the design's example."""
    max_expires_seconds: int = 86400
    """The longest hold a policy may ask for."""
    require_claims: Mapping[str, str] = field(default_factory=dict[str, str])
    """Claims that an approver's token must have, as in ``{ amr = "mfa" }`` (threat T21); the issuer must list them."""


@dataclass(frozen=True, slots=True)
class TokensConfig:
    """``[tokens]``: what the gateway itself issues."""

    development_key: SecretReference = field(default_factory=lambda: SecretReference("file", "keys/development.pem"))
    """Ed25519 private key (PEM) of development tokens; ignored in production mode."""
    development_issuer: str = "interlock:development"
    development_seconds: int = 3600
    """Longest life of a development token."""
    handle_seconds: int = 3600
    """Longest life of an opaque handle (``ilk_...``)."""


@dataclass(frozen=True, slots=True)
class ListenerTls:
    """Server certificate and key, PEM files; re-read on SIGHUP."""

    certificate: Path
    key: Path
    ca: Path | None = None
    """The authority that clients should trust, as ``interlock connect`` tells them; None = the system's."""


@dataclass(frozen=True, slots=True)
class ListenerConfig:
    """``[listeners.<protocol>]``; ``tls`` None only for plaintext on loopback in development mode."""

    protocol: str
    address: Address
    tls: ListenerTls | None


@dataclass(frozen=True, slots=True)
class ClaimMap:
    """Values of one claim -> the gateway's own names; a value that isn't listed gives nothing."""

    claim: str
    map: Mapping[str, str]
    default: str | None = None


@dataclass(frozen=True, slots=True)
class ModelClaims:
    """Names of the claims that name an agent's model; ``attested`` if this issuer vouches for them."""

    vendor: str = "model_vendor"
    name: str = "model_name"
    version: str = "model_version"
    attested: bool = False


@dataclass(frozen=True, slots=True)
class IssuerConfig:
    """One ``[[issuers]]``: whose tokens are believed, and what they may say."""

    issuer: str
    audience: str
    jwks: str
    """``https://...`` or ``file:/absolute/path``."""
    algorithms: tuple[str, ...] = ("EdDSA", "ES256", "ES384", "PS256", "RS256")
    """Asymmetric only (RFC 8725 section 3.1); narrow it to what the issuer uses."""
    groups: ClaimMap | None = None
    kinds: ClaimMap = field(default_factory=lambda: ClaimMap("", {}, "workload"))
    """What kind of actor its tokens speak for: one kind (``kind = "human"``) or by a claim's value."""
    person_claim: str | None = None
    """Claim with the canonical id of the person (P9); None: the subject of a human token."""
    resources_claim: str | None = None
    reason_claim: str | None = None
    model: ModelClaims = field(default_factory=ModelClaims)
    claims: tuple[str, ...] = ()
    """Further claims that policy and the log may see."""
    required_types: tuple[str, ...] = ()
    """Accepted ``typ`` headers, as in ``at+jwt`` (RFC 9068); empty = any but those of other token kinds."""
    skew_seconds: int = 30
    """Clock difference allowed; at most 60 (threat T25)."""
    max_token_seconds: int = 86400
    """A token with a longer life is refused: tokens are short-lived."""


@dataclass(frozen=True, slots=True)
class UpstreamConfig:
    """One way to log in to a resource."""

    user: str
    password: SecretReference | None = None
    tls: str = "verify-full"
    """``verify-full``, ``verify-ca``, or ``disable`` for local sockets and loopback."""
    ca: Path | None = None
    groups: frozenset[str] = frozenset()
    """Principals in one of these groups use it; empty = everybody. The first that fits is taken."""


@dataclass(frozen=True, slots=True)
class ResourceConfig:
    """One ``[[resources]]``: a registered upstream and how the gateway logs in to it."""

    resource: Resource
    upstreams: tuple[UpstreamConfig, ...]

    @property
    def name(self) -> str:
        """The name that clients and policies use."""
        return self.resource.name

    def upstream_for(self, groups: frozenset[str]) -> UpstreamConfig | None:
        """The first login that a principal of these groups may use, or None."""
        return next((u for u in self.upstreams if not u.groups or u.groups & groups), None)


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file, checked."""

    file: Path
    gateway: GatewayConfig
    limits: LimitsConfig
    recorder: RecorderConfig
    recordings: RecordingsConfig
    approvals: ApprovalsConfig
    tokens: TokensConfig
    listeners: tuple[ListenerConfig, ...]
    issuers: tuple[IssuerConfig, ...]
    resources: tuple[ResourceConfig, ...]

    def find_resource(self, name: str) -> ResourceConfig | None:
        """The resource of that exact name, or None."""
        return next((r for r in self.resources if r.name == name), None)

    def find_listener(self, protocol: str) -> ListenerConfig | None:
        """The listener of that protocol, or None."""
        return next((listener for listener in self.listeners if listener.protocol == protocol), None)
