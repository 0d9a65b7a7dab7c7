"""What a reload replaces: built whole or not at all, and only what may change while the gateway runs."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from interlock.app.bus import Snapshot
from interlock.app.rules import MAX_POLICY_BYTES, build_rules, read_policies, read_snapshot, verify_reloadable
from interlock.core.errors import ConfigError, PolicyError
from interlock.core.principal import Principal, PrincipalKind
from tests.servers.authority import Authority

PERMIT = '@id("all")\npermit (principal, action, resource);\n'
TEXT = """
[gateway]
mode = "development"
workers = 1
[listeners.postgres]
address = "127.0.0.1:6432"
tls = { certificate = "file:tls/gateway.pem", key = "file:tls/gateway.key" }
[[issuers]]
issuer = "https://idp/"
audience = "interlock"
jwks = "file:jwks.json"
[[resources]]
name = "shop"
protocol = "postgres"
address = "localhost:5432"
upstream = { user = "app", password = "env:X" }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration that can be used, with everything it names."""
    pair = Authority(tmp_path / "made").issue("gateway")
    (tmp_path / "tls").mkdir()
    for source, name in ((pair.certificate, "gateway.pem"), (pair.key, "gateway.key")):
        (tmp_path / "tls" / name).write_bytes(source.read_bytes())
        (tmp_path / "tls" / name).chmod(0o600)
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": []}))
    (tmp_path / "policies" / "deeper").mkdir(parents=True)
    (tmp_path / "policies" / "deeper" / "a.cedar").write_text(PERMIT)
    (tmp_path / "policies" / "notes.txt").write_text("no policy")
    write_key(tmp_path, ed25519.Ed25519PrivateKey.generate())
    path = tmp_path / "interlock.toml"
    path.write_text(TEXT)
    return path


def write_key(folder: Path, key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> None:
    (folder / "keys").mkdir(exist_ok=True, mode=0o700)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "keys" / "development.pem").write_bytes(pem)
    (folder / "keys" / "development.pem").chmod(0o600)


def test_worker_builds_from_the_snapshots_text_what_the_supervisor_read(file: Path) -> None:
    snapshot, rules = read_snapshot(file, 7)
    assert snapshot.policies == {"deeper/a.cedar": PERMIT}
    file.write_text("nonsense = [")
    (file.parent / "policies" / "deeper" / "a.cedar").write_text("nonsense")
    again = build_rules(snapshot)
    assert again.generation == rules.generation == 7
    assert again.policy_set.hash == rules.policy_set.hash
    assert list(again.contexts) == ["postgres"]
    assert list(again.resources) == ["shop"]
    assert {verifier.issuer for verifier in again.verifiers} == {"https://idp/", "interlock:development"}
    ada = Principal("ada", "i", PrincipalKind.HUMAN, datetime.now(UTC) + timedelta(hours=1), "t")  # noqa: TID251 - a token that lives now
    assert again.find_upstream_user(again.resources["shop"], ada) == "app"
    assert again.find_upstream_user(replace(again.resources["shop"], name="gone"), ada) == ""


def test_production_believes_no_development_token_T25(file: Path) -> None:
    file.write_text(TEXT.replace('"development"', '"production"'))
    _, rules = read_snapshot(file, 1)
    assert [verifier.issuer for verifier in rules.verifiers] == ["https://idp/"]


def _break_policy(folder: Path) -> None:
    (folder / "policies" / "deeper" / "a.cedar").write_text("permit (principal, action, resource) when { context.no };")


def _binary_policy(folder: Path) -> None:
    (folder / "policies" / "b.cedar").write_bytes(b"\xff\xfe")


def _huge_policies(folder: Path) -> None:
    with (folder / "policies" / "huge.cedar").open("wb") as huge:
        huge.truncate(MAX_POLICY_BYTES + 1)


def _break_certificate(folder: Path) -> None:
    (folder / "tls" / "gateway.pem").write_text("no certificate")


def _wrong_kind_of_key(folder: Path) -> None:
    write_key(folder, ec.generate_private_key(ec.SECP256R1()))


def _no_key(folder: Path) -> None:
    (folder / "keys" / "development.pem").write_text("no key")


@pytest.mark.parametrize(
    ("spoil", "error", "says"),
    [
        (_break_policy, PolicyError, "a.cedar"),
        (_binary_policy, PolicyError, "isn't UTF-8"),
        (_huge_policies, PolicyError, "bytes of policies"),
        (_break_certificate, ConfigError, "tls"),
        (_wrong_kind_of_key, ConfigError, "must be an Ed25519 key"),
        (_no_key, ConfigError, "isn't a private key"),
    ],
)
def test_whatever_cannot_be_used_stops_the_whole_generation(
    file: Path, spoil: Callable[[Path], None], error: type[Exception], says: str
) -> None:
    spoil(file.parent)
    with pytest.raises(error, match=says):
        read_snapshot(file, 2)


def test_folder_of_policies_that_is_empty_permits_nothing_and_can_be_read(tmp_path: Path) -> None:
    assert read_policies(tmp_path) == {}


def test_reload_changes_resources_and_refuses_what_needs_a_restart(file: Path) -> None:
    def changed(old: str, new: str) -> Snapshot:
        assert old in TEXT
        return Snapshot(2, str(file), TEXT.replace(old, new), {"a.cedar": PERMIT})

    running = read_snapshot(file, 1)[1].config
    fine = build_rules(changed("localhost:5432", "elsewhere:5432")).config
    assert verify_reloadable(running, fine) is fine
    for old, new, section in (
        ("workers = 1", "workers = 2", "gateway"),
        ("127.0.0.1:6432", "0.0.0.0:6432", "listeners"),
        ("[[issuers]]", "[limits]\nconnections = 7\n[[issuers]]", "limits"),
        ("[[issuers]]", "[approvals]\nexpires_seconds = 60\n[[issuers]]", "approvals"),
    ):
        with pytest.raises(ConfigError, match="needs a restart") as caught:
            verify_reloadable(running, build_rules(changed(old, new)).config)
        assert section in str(caught.value)
