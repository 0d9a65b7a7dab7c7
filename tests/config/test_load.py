from pathlib import Path

import pytest

from interlock.config import Config, Mode, load, parse
from interlock.config.model import MIB
from interlock.core.errors import ConfigError
from interlock.core.resource import SecretReference

FILE = Path("/etc/interlock/interlock.toml")

DESIGN_EXAMPLE = """
[gateway]
mode = "production"
state = "sqlite:///var/state.db"
data_dir = "var"
policies = "policies"
workers = 0
durability = "balanced"

[limits]
statement_bytes = 2097152

[listeners.postgres]
address = "127.0.0.1:6432"
tls = { certificate = "file:tls/cert.pem", key = "file:tls/key.pem" }

[[issuers]]
issuer = "https://idp.example/"
audience = "interlock"
jwks = "https://idp.example/jwks"
groups = { claim = "groups", map = { "platform-dba" = "dba" } }

[[resources]]
name = "shop"
protocol = "postgres"
address = "db.internal:5432"
upstream = { user = "app", password = "env:SHOP_PASSWORD", tls = "verify-full" }
labels = { environment = "production", owner = "payments" }
allow = ["replication", "function_call"]
"""

RESOURCE = '[[resources]]\nname = "shop"\nprotocol = "postgres"\n'
ISSUER = '[[issuers]]\nissuer = "https://i/"\naudience = "a"\njwks = "https://i/jwks"\n'


def read(text: str) -> Config:
    return parse(text, file=FILE)


def refusal(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert caught.value.file == str(FILE)
    return caught.value


def test_operator_writes_the_design_s_example_and_every_value_arrives() -> None:
    config = read(DESIGN_EXAMPLE)
    assert config.gateway.mode is Mode.PRODUCTION
    assert config.gateway.state == "sqlite:////etc/interlock/var/state.db"
    assert config.gateway.state_path == Path("/etc/interlock/var/state.db")
    assert config.gateway.control_socket == Path("/etc/interlock/var/control.sock")
    assert config.limits.statement_bytes == 2 * MIB
    listener = config.find_listener("postgres")
    assert listener is not None
    assert listener.tls is not None
    assert listener.tls.key == Path("/etc/interlock/tls/key.pem")
    assert config.issuers[0].groups is not None
    assert config.issuers[0].groups.map == {"platform-dba": "dba"}
    shop = config.find_resource("shop")
    assert shop is not None
    assert shop.resource.allow == {"replication", "function_call"}
    assert shop.resource.address == "db.internal:5432"
    assert shop.upstreams[0].password == SecretReference("env", "SHOP_PASSWORD")
    assert shop.upstreams[0].tls == "verify-full"


def test_operator_leaves_everything_out_and_gets_safe_defaults() -> None:
    config = read("")
    assert config.gateway.mode is Mode.PRODUCTION
    assert config.limits.statement_bytes == MIB
    assert config.approvals.key == SecretReference("file", "/etc/interlock/keys/approvals.key")
    assert (config.listeners, config.issuers, config.resources) == ((), (), ())


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ('[gateway]\nmdoe = "production"', "gateway.mdoe", 'did you mean "mode"'),
        ("[gatway]", "gatway", 'did you mean "gateway"'),
        ('[gateway]\nmode = "prod"', "gateway.mode", '"production", "development"'),
        ("[gateway]\nmode = 3", "gateway.mode", "must be text, not a whole number"),
        ('[gateway]\nworkers = "two"', "gateway.workers", "must be a whole number, not text"),
        ("[gateway]\nworkers = true", "gateway.workers", "must be a whole number, not true or false"),
        ("[gateway]\nworkers = -1", "gateway.workers", "too small"),
        ('[gateway]\nstate = "postgresql://x/y"', "gateway.state", "sqlite:///PATH"),
        ('gateway = "x"', "gateway", "must be a table, not text"),
        ("[limits]\nstatement_bytes = 67108865", "limits.statement_bytes", "too large"),
        ("[limits]\nconnections = 0", "limits.connections", "too small"),
        ('[listeners.oracle]\naddress = "x:1"', "listeners.oracle", "known: postgres"),
        ('[listeners.postgres]\naddress = "x:1"', "listeners.postgres.tls", "is missing; add tls"),
        ('[listeners.postgres]\naddress = "6432"\ntls = {}', "listeners.postgres.address", "host:port"),
        ('[listeners.postgres]\naddress = "x:99999"\ntls = {}', "listeners.postgres.address", "port number"),
        ('[listeners.postgres]\naddress = "unix:/r:1"\ntls = {}', "listeners.postgres.address", "for upstreams"),
        ('[listeners.postgres]\naddress = "x:1"\ntls = { key = "k" }', "listeners.postgres.tls.certificate", "missing"),
        (ISSUER.replace("https://i/jwks", "http://i/jwks"), "issuers[1].jwks", "must be https://"),
        (ISSUER + 'algorithms = ["HS256"]', "issuers[1].algorithms", "'HS256' isn't one of"),
        (ISSUER + 'algorithms = ["none"]', "issuers[1].algorithms", "'none' isn't one of"),
        (ISSUER + "skew_seconds = 61", "issuers[1].skew_seconds", "too large"),
        (ISSUER + 'kind = "robot"', "issuers[1].kind", "'robot' isn't one of"),
        (ISSUER + 'groups = { claim = "g", maps = {} }', "issuers[1].groups.maps", 'did you mean "map"'),
        (ISSUER + ISSUER, "issuers[2]", "listed twice"),
        (ISSUER.replace('https://i/"', 'interlock:development"', 1), "issuers", "development issuer"),
        (RESOURCE + 'address = "db:1"', "resources[1].upstream", "is missing"),
        (RESOURCE + 'address = "db:1"\nupstream = { user = "u" }\nallow = ["copy"]', "resources[1].allow", "'copy'"),
        (RESOURCE + 'address = "db:0"\nupstream = { user = "u" }', "resources[1].address", "port 0"),
        (RESOURCE.replace("shop", "Sh/op") + 'address = "db:1"', "resources[1].name", "must be 1 to 63"),
        ('[resources]\nname = "x"', "resources", "written [[resources]]"),
        ("x = ", "", "isn't valid TOML"),
    ],
)
def test_operator_writes_a_bad_value_and_is_told_file_key_and_remedy(text: str, key: str, words: str) -> None:
    error = refusal(text)
    assert error.key == key
    assert words in error.reason


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "10.0.0.1", "gateway.example", "localhost.example", "2130706433"])
def test_operator_asks_for_plaintext_on_a_network_address_T27(host: str) -> None:
    text = f'[gateway]\nmode = "development"\n[listeners.postgres]\naddress = "{host}:1"\nplaintext = "loopback"'
    assert refusal(text).key == "listeners.postgres.plaintext"


def test_operator_asks_for_plaintext_on_loopback_in_each_mode_T27() -> None:
    text = '[gateway]\nmode = "{}"\n[listeners.postgres]\naddress = "[::1]:1"\nplaintext = "loopback"'
    listener = read(text.format("development")).listeners[0]
    assert listener.tls is None
    assert str(listener.address) == "[::1]:1"
    assert "development" in refusal(text.format("production")).reason


def test_operator_asks_for_plaintext_beside_tls_T27() -> None:
    text = '[listeners.postgres]\naddress = "127.0.0.1:1"\nplaintext = "loopback"\ntls = {certificate="c",key="k"}'
    assert "together with tls" in refusal(text).reason


@pytest.mark.parametrize("tls", ["disable", "prefer", "require"])
def test_operator_weakens_tls_to_a_remote_upstream_T27(tls: str) -> None:
    text = RESOURCE + f'address = "db:1"\nupstream = {{ user = "u", tls = "{tls}" }}'
    assert refusal(text).key == "resources[1].upstream.tls"


def test_operator_registers_a_local_socket_and_its_tls_is_off() -> None:
    config = read(RESOURCE + 'address = "unix:/run/postgresql:5433"\nupstream = { user = "u" }')
    assert config.resources[0].resource.address == "unix:/run/postgresql:5433"
    assert config.resources[0].upstreams[0].tls == "disable"


def test_operator_lists_logins_and_the_first_that_fits_the_groups_is_used() -> None:
    config = read(
        RESOURCE + 'address = "db"\nupstream = [{ user = "owner", groups = ["dba"] }, { user = "app", ca = "ca.pem" }]'
    )
    (resource,) = config.resources
    assert resource.resource.address == "db:5432"
    owner, app = resource.upstreams
    assert resource.upstream_for(frozenset({"dba", "x"})) is owner
    assert resource.upstream_for(frozenset({"x"})) is app
    assert app.ca == Path("/etc/interlock/ca.pem")


def test_operator_lists_a_login_for_everybody_before_others() -> None:
    text = RESOURCE + 'address = "db:1"\nupstream = [{ user = "a" }, { user = "b", groups = ["x"] }]'
    assert "put it last" in refusal(text).reason


def test_operator_lists_logins_for_groups_only_and_others_get_none() -> None:
    config = read(RESOURCE + 'address = "db:1"\nupstream = { user = "a", groups = ["x"] }')
    assert config.resources[0].upstream_for(frozenset()) is None


def test_operator_writes_a_password_itself_and_the_error_does_not_repeat_it_P5() -> None:
    error = refusal(RESOURCE + 'address = "db:1"\nupstream = { user = "u", password = "hunter2:x" }')
    assert error.key == "resources[1].upstream.password"
    assert "hunter2" not in str(error)


def test_operator_gives_a_command_as_text_or_list_and_both_are_kept_alike() -> None:
    text = RESOURCE + 'address = "db:1"\nupstream = { user = "u", password = %s }'
    written = read(text % "\"command:vault read 'a b'\"").resources[0].upstreams[0].password
    listed = read(text % '{ command = ["vault", "read", "a b"] }').resources[0].upstreams[0].password
    assert listed == SecretReference("command", "vault read 'a b'")
    assert written == listed


def test_operator_maps_kinds_by_a_claim() -> None:
    text = ISSUER + 'kind = { claim = "typ", map = { bot = "agent" }, default = "human" }'
    kinds = read(text).issuers[0].kinds
    assert (kinds.claim, dict(kinds.map), kinds.default) == ("typ", {"bot": "agent"}, "human")
    assert refusal(ISSUER + 'kind = { claim = "typ", map = { bot = "ai" } }').key == "issuers[1].kind.map.bot"


def test_operator_starts_without_a_file_and_is_told_to_init(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="interlock init"):
        load(tmp_path / "interlock.toml")


def test_operator_s_file_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_bytes(b"# caf\xe9\n")
    with pytest.raises(ConfigError, match="UTF-8 at byte 5"):
        load(tmp_path / "c.toml")


def test_operator_s_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[gateway]\npolicies = "rules"')
    assert load(tmp_path / "c.toml").gateway.policies == tmp_path / "rules"
