"""CONFIG: one TOML file becomes one frozen ``Config``, or a ``ConfigError`` that names file, key and how to mend it.

    interlock.toml -> toml.Table (typed reads, unknown keys refused) -> Config -> (composition root, CLI)

Every default is written in ``model.py`` with its source. Paths are relative to the file. A secret is never in the
file, only a reference to it (``env:``, ``file:``, ``command:``), resolved by ``secrets.py`` at the moment of use. The
room imports ``core`` only; it reads files and the environment but opens no connection.
"""

from interlock.config.address import Address, is_loopback, parse_address
from interlock.config.load import load, parse
from interlock.config.model import (
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
from interlock.config.secrets import resolve_bytes, resolve_secret

__all__ = [
    "Address",
    "ApprovalsConfig",
    "ClaimMap",
    "Config",
    "Durability",
    "GatewayConfig",
    "IssuerConfig",
    "LimitsConfig",
    "ListenerConfig",
    "ListenerTls",
    "Mode",
    "ModelClaims",
    "RecorderConfig",
    "RecordingsConfig",
    "ResourceConfig",
    "TokensConfig",
    "UpstreamConfig",
    "is_loopback",
    "load",
    "parse",
    "parse_address",
    "resolve_bytes",
    "resolve_secret",
]
