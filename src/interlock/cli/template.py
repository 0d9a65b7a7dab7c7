"""The text of the ``interlock.toml`` that ``interlock init`` writes: everything there is to set, explained."""

import json
from dataclasses import dataclass

from interlock.config.model import ApprovalsConfig, LimitsConfig, RecorderConfig, RecordingsConfig, TokensConfig

_LIMITS = LimitsConfig()
_RECORDER = RecorderConfig()
_RECORDINGS = RecordingsConfig()
_APPROVALS = ApprovalsConfig()
_TOKENS = TokensConfig()


@dataclass(frozen=True, slots=True)
class FirstResource:
    """The resource that the new file registers; None of these: an example in comments."""

    name: str
    address: str
    user: str
    password: str
    environment: str = "development"


def config_text(*, mode: str, address: str, resource: FirstResource | None) -> str:
    """The whole file, commented."""
    return _HEAD.format(mode=_text(mode), address=_text(address)) + _resource(resource) + _TAIL


def _resource(resource: FirstResource | None) -> str:
    if resource is None:
        return _EXAMPLE_RESOURCE
    tls = ', tls = "verify-full"' if not resource.address.startswith("unix:") else ""
    return _RESOURCE.format(
        name=_text(resource.name),
        address=_text(resource.address),
        user=_text(resource.user),
        password=_text(resource.password),
        tls=tls,
        environment=_text(resource.environment),
    )


def _text(value: str) -> str:
    """A TOML basic string: JSON's escapes are TOML's, but DEL must be escaped too."""
    return json.dumps(value, ensure_ascii=True).replace("\x7f", "\\u007f")


_HEAD = """\
# Interlock's configuration. Paths are relative to this file. Secrets are never written here, only references to them:
#   "env:NAME"   "file:PATH"   "command:PROGRAM ARGUMENTS"   {{ command = ["program", "argument"] }}
# Unknown keys are errors. `interlock doctor` checks everything; after a change of resources, issuers, certificates or
# policies `interlock reload` (or SIGHUP) puts it in force, all or nothing. What isn't set has the default shown.

[gateway]
# "development" also takes the tokens that `interlock token issue` makes, for trying out. Use "production" for real.
mode = {mode}
state = "sqlite:///var/state.db"
data_dir = "var"            # log, recordings, control socket
policies = "policies"       # a folder of .cedar files
workers = 0                 # 0 = one a core
durability = "balanced"     # or "strict": every intent on disk before its effect, reads too

[listeners.postgres]
address = {address}
# `ca` is what `interlock connect` tells clients to trust; leave it out for a certificate that everybody trusts.
tls = {{ certificate = "file:tls/cert.pem", key = "file:tls/key.pem", ca = "file:tls/ca.pem" }}

# Whose tokens are believed, and which of the gateway's own groups they give. Groups come from here and nowhere else.
# [[issuers]]
# issuer = "https://idp.example/"
# audience = "interlock"
# jwks = "https://idp.example/jwks"            # or "file:jwks.json"
# kind = "human"                               # or by a claim: {{ claim = "typ", map = {{ bot = "agent" }} }}
# groups = {{ claim = "groups", map = {{ "platform-dba" = "dba", "everybody" = "readers" }} }}
# person_claim = "email"                       # who the person is, for separation of duties

"""

_RESOURCE = """\
# What the gateway gives access to. Clients name it as the user; `interlock connect` fills that in.
[[resources]]
name = {name}
protocol = "postgres"
address = {address}
upstream = {{ user = {user}, password = {password}{tls} }}
labels = {{ environment = {environment} }}

"""

_EXAMPLE_RESOURCE = """\
# What the gateway gives access to. Clients name it as the user; `interlock connect` fills that in.
# [[resources]]
# name = "shop"
# protocol = "postgres"
# address = "db.internal:5432"                 # or "unix:/var/run/postgresql:5432"
# upstream = { user = "app", password = "env:SHOP_PASSWORD", tls = "verify-full" }   # ca = "file:db-ca.pem"
# labels = { environment = "production", owner = "payments" }
# allow = []                                   # "replication", "function_call": refused unless listed
# Several logins, the first whose groups fit is used:
# upstream = [{ user = "owner", password = "env:OWNER", groups = ["dba"] }, { user = "app", password = "env:APP" }]

"""

_TAIL = f"""\
[limits]
# connections = {_LIMITS.connections}                # a worker
# connections_per_principal = {_LIMITS.connections_per_principal}
# handshakes = {_LIMITS.handshakes}                  # not yet authenticated, a worker
# handshake_seconds = {_LIMITS.handshake_seconds}
# dial_seconds = {_LIMITS.dial_seconds}
# idle_seconds = {_LIMITS.idle_seconds}              # 0 = never
# session_seconds = {_LIMITS.session_seconds}
# write_seconds = {_LIMITS.write_seconds}
# startup_bytes = {_LIMITS.startup_bytes}
# statement_bytes = {_LIMITS.statement_bytes}         # longer statements are refused; at most 64 MiB
# message_bytes = {_LIMITS.message_bytes}
# inline_parse_bytes = {_LIMITS.inline_parse_bytes}         # longer ones are parsed off the event loop
# parse_concurrency = {_LIMITS.parse_concurrency}
# parse_bytes = {_LIMITS.parse_bytes}
# statements = {_LIMITS.statements}                # prepared statements and portals a session
# pipeline = {_LIMITS.pipeline}
# buffer_bytes = {_LIMITS.buffer_bytes}
# holds_per_session = {_LIMITS.holds_per_session}
# holds_per_principal = {_LIMITS.holds_per_principal}
# held_bytes = {_LIMITS.held_bytes}
# notice_seconds = {_LIMITS.notice_seconds}              # how often the client of a held statement is told so

[recorder]
# user = "interlock-recorder"    # a system user of its own, so that a worker can't touch the log (start as root)
# segment_bytes = {_RECORDER.segment_bytes}
# segment_seconds = {_RECORDER.segment_seconds}
# recording_bytes = {_RECORDER.recording_bytes}
# recording_seconds = {_RECORDER.recording_seconds}
# reserve_bytes = {_RECORDER.reserve_bytes}       # kept back to record that the disk is full

[recordings]
# keep_days = {_RECORDINGS.keep_days}              # entries of the log stay; only payloads are pruned
# keep_bytes = {_RECORDINGS.keep_bytes}               # 0 = by age only

[approvals]
# key = "file:keys/approvals.key"     # encrypts the stored copy of held actions
# expires_seconds = {_APPROVALS.expires_seconds}
# max_expires_seconds = {_APPROVALS.max_expires_seconds}
# require_claims = {{ amr = "mfa" }}    # what an approver's token must say; list the claim in the issuer's `claims`

[tokens]
# development_key = "file:keys/development.pem"    # signs development tokens; ignored in production
# development_seconds = {_TOKENS.development_seconds}
# handle_seconds = {_TOKENS.handle_seconds}
"""
