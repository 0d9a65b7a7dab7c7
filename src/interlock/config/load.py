"""From the file's text to ``Config``: each section is read by one function, and what is left over is refused."""

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from interlock.config.address import Address, is_loopback, parse_address
from interlock.config.model import (
    MIB,
    ApprovalsConfig,
    ClaimMap,
    Config,
    Durability,
    GatewayConfig,
    IssuerConfig,
    LimitsConfig,
    ListenerConfig,
    ListenerTls,
    Mode,
    ModelClaims,
    RecorderConfig,
    RecordingsConfig,
    ResourceConfig,
    TokensConfig,
    UpstreamConfig,
)
from interlock.config.table import Table
from interlock.core.errors import ConfigError
from interlock.core.principal import PrincipalKind
from interlock.core.resource import Resource

T = TypeVar("T")

PROTOCOLS = ("postgres",)
DEFAULT_PORTS = {"postgres": 5432}
ALLOWABLE = ("replication", "function_call")
TLS_MODES = ("verify-full", "verify-ca", "disable")
ALGORITHMS = ("EdDSA", "ES256", "ES384", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512")
MAX_FILE_BYTES = 4 * MIB

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
_MAY_BE_ZERO = {"idle_seconds", "keep_bytes"}
_MOST = {"statement_bytes": 64 * MIB, "message_bytes": 1024 * MIB, "inline_parse_bytes": MIB, "keep_days": 36_500}


def load(file: Path) -> Config:
    """Read and check the configuration file.

    Raises:
        ConfigError: it can't be read or used.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        hint = "; write one with `interlock init`" if isinstance(error, FileNotFoundError) else ""
        raise ConfigError(str(file), "", f"can't be read: {error.strerror}{hint}") from error
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(str(file), "", "is over 4 MiB; this can't be a configuration")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(str(file), "", f"isn't UTF-8 at byte {error.start}; save it as UTF-8") from error
    return parse(text, file=file)


def parse(text: str, *, file: Path) -> Config:
    """Check the configuration's text; ``file`` gives its name in errors and the folder that paths start from.

    Raises:
        ConfigError: names file, key and how to mend it.
    """
    file = file.absolute()
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(file), "", f"isn't valid TOML: {error}") from error
    root = Table(values, file=file)
    gateway = _gateway(root.table("gateway"))
    config = Config(
        file=file,
        gateway=gateway,
        limits=_numbers(root.table("limits"), LimitsConfig()),
        recorder=_recorder(root.table("recorder")),
        recordings=_numbers(root.table("recordings"), RecordingsConfig()),
        approvals=_approvals(root.table("approvals")),
        tokens=_tokens(root.table("tokens")),
        listeners=_listeners(root.table("listeners"), gateway),
        issuers=tuple(_issuer(table) for table in root.tables("issuers")),
        resources=tuple(_resource(table) for table in root.tables("resources")),
    )
    root.finish()
    _verify_unique(root, "issuers", [issuer.issuer for issuer in config.issuers])
    _verify_unique(root, "resources", [resource.name for resource in config.resources])
    if any(issuer.issuer == config.tokens.development_issuer for issuer in config.issuers):
        root.fail("issuers", f"{config.tokens.development_issuer!r} is the development issuer; use another name")
    return config


def _gateway(table: Table) -> GatewayConfig:
    defaults = GatewayConfig()
    state = table.text("state", defaults.state)
    scheme, separator, path = state.partition(":///")
    if scheme != "sqlite" or not separator or not path:
        table.fail("state", "must be sqlite:///PATH; other databases can't hold the state yet")
    gateway = GatewayConfig(
        mode=Mode(table.choice("mode", [mode.value for mode in Mode], defaults.mode.value)),
        state=f"sqlite:///{table.resolve(path)}",
        data_dir=table.path("data_dir", defaults.data_dir),
        policies=table.path("policies", defaults.policies),
        workers=table.integer("workers", defaults.workers, most=256),
        durability=Durability(
            table.choice("durability", [word.value for word in Durability], defaults.durability.value)
        ),
        shutdown_seconds=table.integer("shutdown_seconds", defaults.shutdown_seconds, most=3600),
    )
    table.finish()
    return gateway


def _numbers(table: Table, defaults: T) -> T:
    """Read a section in which every field is a number."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(defaults):  # type: ignore[arg-type]  # T is one of our dataclasses
        name = field.name
        values[name] = _number(table, name, getattr(defaults, name))
    table.finish()
    return type(defaults)(**values)


def _number(table: Table, name: str, default: int) -> int:
    return table.integer(name, default, least=0 if name in _MAY_BE_ZERO else 1, most=_MOST.get(name, 1 << 50))


def _recorder(table: Table) -> RecorderConfig:
    defaults = RecorderConfig()
    recorder = RecorderConfig(
        user=table.optional_text("user"),
        segment_bytes=table.integer("segment_bytes", defaults.segment_bytes, least=MIB, most=1024 * MIB),
        segment_seconds=_number(table, "segment_seconds", defaults.segment_seconds),
        recording_bytes=table.integer("recording_bytes", defaults.recording_bytes, least=MIB, most=1024 * 1024 * MIB),
        recording_seconds=_number(table, "recording_seconds", defaults.recording_seconds),
        reserve_bytes=table.integer("reserve_bytes", defaults.reserve_bytes, least=MIB, most=1024 * 1024 * MIB),
    )
    table.finish()
    return recorder


def _approvals(table: Table) -> ApprovalsConfig:
    defaults = ApprovalsConfig()
    most = table.integer("max_expires_seconds", defaults.max_expires_seconds, least=1, most=30 * 86400)
    approvals = ApprovalsConfig(
        key=table.secret("key", defaults.key),
        expires_seconds=table.integer("expires_seconds", min(defaults.expires_seconds, most), least=1, most=most),
        max_expires_seconds=most,
        require_claims=table.text_map("require_claims"),
    )
    table.finish()
    return approvals


def _tokens(table: Table) -> TokensConfig:
    defaults = TokensConfig()
    tokens = TokensConfig(
        development_key=table.secret("development_key", defaults.development_key),
        development_issuer=table.text("development_issuer", defaults.development_issuer),
        development_seconds=table.integer("development_seconds", defaults.development_seconds, least=1, most=86400),
        handle_seconds=table.integer("handle_seconds", defaults.handle_seconds, least=1, most=86400),
    )
    table.finish()
    return tokens


def _listeners(table: Table, gateway: GatewayConfig) -> tuple[ListenerConfig, ...]:
    listeners: list[ListenerConfig] = []
    for protocol in table.names:
        if protocol not in PROTOCOLS:
            table.fail(protocol, f"is not a protocol that can be served; known: {', '.join(PROTOCOLS)}")
        listeners.append(_listener(table.table(protocol), protocol, gateway))
    table.finish()
    return tuple(listeners)


def _listener(table: Table, protocol: str, gateway: GatewayConfig) -> ListenerConfig:
    address = _address(table, "address", default_port=None)
    if address.directory:
        table.fail("address", "a listener needs host:port; local sockets are for upstreams")
    tls: ListenerTls | None = None
    if table.has("tls"):
        files = table.table("tls")
        tls = ListenerTls(
            certificate=files.path("certificate"),
            key=files.path("key"),
            ca=files.path("ca") if files.has("ca") else None,
        )
        files.finish()
    if table.has("plaintext"):
        _verify_plaintext(table, address, gateway, has_tls=tls is not None)
    elif tls is None:
        table.fail("tls", 'is missing; add tls = { certificate = "file:...", key = "file:..." }')
    table.finish()
    return ListenerConfig(protocol=protocol, address=address, tls=tls)


def _verify_plaintext(table: Table, address: Address, gateway: GatewayConfig, *, has_tls: bool) -> None:
    table.choice("plaintext", ["loopback"])
    if has_tls:
        table.fail("plaintext", "can't be together with tls; remove one of the two")
    if not is_loopback(address.host):
        table.fail("plaintext", f"needs a loopback address, not {address.host}; use tls, or 127.0.0.1 or [::1]")
    if gateway.mode is not Mode.DEVELOPMENT:
        table.fail("plaintext", 'needs mode = "development" in [gateway]; use tls in production')


def _address(table: Table, name: str, *, default_port: int | None) -> Address:
    try:
        return parse_address(table.text(name), default_port=default_port)
    except ValueError as error:
        table.fail(name, str(error))


def _claim_map(table: Table) -> ClaimMap:
    result = ClaimMap(claim=table.text("claim"), map=table.text_map("map"))
    table.finish()
    return result


def _issuer(table: Table) -> IssuerConfig:
    defaults = IssuerConfig(issuer="", audience="", jwks="")
    jwks = table.text("jwks")
    if jwks.startswith("file:"):
        jwks = f"file:{table.resolve(jwks[5:])}"
    elif not jwks.startswith("https://"):
        table.fail("jwks", "must be https://... or file:PATH")
    model_table = table.table("model")
    model_default = ModelClaims()
    model = ModelClaims(
        vendor=model_table.text("vendor", model_default.vendor),
        name=model_table.text("name", model_default.name),
        version=model_table.text("version", model_default.version),
        attested=model_table.boolean("attested", default=model_default.attested),
    )
    model_table.finish()
    issuer = IssuerConfig(
        issuer=table.text("issuer"),
        audience=table.text("audience"),
        jwks=jwks,
        algorithms=table.texts("algorithms", defaults.algorithms, choices=ALGORITHMS),
        groups=_claim_map(table.table("groups")) if table.has("groups") else None,
        kinds=_kinds(table),
        person_claim=table.optional_text("person_claim"),
        resources_claim=table.optional_text("resources_claim"),
        reason_claim=table.optional_text("reason_claim"),
        model=model,
        claims=table.texts("claims"),
        required_types=table.texts("required_types"),
        skew_seconds=table.integer("skew_seconds", defaults.skew_seconds, most=60),
        max_token_seconds=table.integer("max_token_seconds", defaults.max_token_seconds, least=60, most=30 * 86400),
    )
    if not issuer.algorithms:
        table.fail("algorithms", "is empty; list at least one, or remove the line")
    table.finish()
    return issuer


def _kinds(table: Table) -> ClaimMap:
    kinds = [kind.value for kind in PrincipalKind]
    if not isinstance(table.raw("kind"), dict):
        return ClaimMap("", {}, table.choice("kind", kinds, PrincipalKind.WORKLOAD.value))
    inner = table.table("kind")
    values = inner.text_map("map")
    for name, kind in values.items():
        if kind not in kinds:
            inner.fail(f"map.{name}", f"{kind!r} isn't one of {', '.join(kinds)}")
    default = inner.choice("default", kinds) if inner.has("default") else None
    result = ClaimMap(claim=inner.text("claim"), map=values, default=default)
    inner.finish()
    return result


def _resource(table: Table) -> ResourceConfig:
    name = table.text("name")
    if not _NAME.fullmatch(name):
        table.fail("name", "must be 1 to 63 of a-z, 0-9, '.', '_', '-', starting and ending with a letter or digit")
    protocol = table.choice("protocol", PROTOCOLS)
    address = _address(table, "address", default_port=DEFAULT_PORTS[protocol])
    if address.port == 0:
        table.fail("address", "port 0 can't be dialled; give the upstream's port")
    logins = table.tables("upstream", single=True)
    if not logins:
        table.fail("upstream", 'is missing; add upstream = { user = "...", password = "env:..." }')
    labels = table.text_map("labels")
    for label in labels:
        if not _NAME.fullmatch(label):
            table.fail(f"labels.{label}", "a label's name must be of a-z, 0-9, '.', '_', '-'")
    result = ResourceConfig(
        resource=Resource(
            name=name,
            protocol=protocol,
            address=str(address),
            labels=labels,
            allow=frozenset(table.texts("allow", choices=ALLOWABLE)),
        ),
        upstreams=tuple(_upstream(login, address) for login in logins),
    )
    for number, login in enumerate(result.upstreams[:-1], 1):
        if not login.groups:
            table.fail(f"upstream[{number}]", "is for everybody, so the ones after it are never used; put it last")
    table.finish()
    return result


def _upstream(table: Table, address: Address) -> UpstreamConfig:
    login = UpstreamConfig(
        user=table.text("user"),
        password=table.secret("password") if table.has("password") else None,
        tls=table.choice("tls", TLS_MODES, "disable" if address.directory else "verify-full"),
        ca=table.path("ca") if table.has("ca") else None,
        groups=frozenset(table.texts("groups")),
    )
    if login.tls == "disable" and not address.is_local:
        table.fail("tls", f'"disable" is for local sockets and loopback, not {address.host}; use "verify-full"')
    if login.tls != "disable" and address.directory:
        table.fail("tls", 'a local socket has no TLS; use "disable"')
    if table.has("groups") and not login.groups:
        table.fail("groups", "is empty; list groups, or remove the line for everybody")
    table.finish()
    return login


def _verify_unique(root: Table, key: str, names: list[str]) -> None:
    for number, name in enumerate(names, 1):
        if name in names[: number - 1]:
            root.fail(f"{key}[{number}]", f"{name!r} is listed twice; rename or remove one")
