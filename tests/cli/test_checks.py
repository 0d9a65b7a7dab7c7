import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from interlock.cli import material
from interlock.cli.checks import FAIL, OK, WARN, Finding, examine
from tests.cli.running import make_folder
from tests.control.house import living_house
from tests.servers.debian import DebianPostgres

PRODUCTION = ("--mode", "production")


def findings(config: Path) -> dict[str, Finding]:
    return {finding.subject: finding for finding in examine(config)}


def bare_folder(path: Path, *options: str) -> Path:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return make_folder(path, "--listen", f"127.0.0.1:{port}", *options)


def test_fresh_folder_has_nothing_wrong_and_says_what_to_think_of(tmp_path: Path) -> None:
    found = findings(bare_folder(tmp_path))
    assert [f for f in found.values() if f.status == FAIL] == []
    warned = {f.subject for f in found.values() if f.status == WARN}
    assert warned <= {"mode", "recorder", "gateway", "resources", "disk"}
    assert {"mode", "recorder", "gateway", "resources"} <= warned
    assert all(f.mend for f in found.values() if f.status != OK)


def test_each_thing_that_is_broken_is_found_and_its_remedy_named(tmp_path: Path) -> None:
    config = bare_folder(
        tmp_path, "--resource", "shop", "--address", "127.0.0.1:1", "--user", "a", "--password", "env:N"
    )
    (tmp_path / "tls/key.pem").write_bytes(material.make_tls_key())
    (tmp_path / "policies/bad.cedar").write_text("permit (nonsense);")
    (tmp_path / "var").chmod(0o777)
    found = findings(config)
    broken = {subject for subject, finding in found.items() if finding.status == FAIL}
    assert broken == {"listener postgres", "policies", "data_dir", "resource shop as a"}
    assert all(found[subject].mend for subject in broken)


def test_approval_key_that_others_can_read_or_that_is_none_fails(tmp_path: Path) -> None:
    config = bare_folder(tmp_path)
    key = tmp_path / "keys/approvals.key"
    key.chmod(0o640)
    assert any(f.status == FAIL and "chmod 600" in f.mend for f in examine(config))
    key.chmod(0o600)
    key.write_bytes(b"short")
    assert findings(config)["approval key"].status == FAIL
    key.unlink()
    assert "interlock init" in findings(config)["approval key"].mend


def test_state_is_no_database_or_others_can_read_it(tmp_path: Path) -> None:
    config = bare_folder(tmp_path)
    (tmp_path / "var/state.db").write_bytes(b"not a database" * 100)
    reasons = [f.message for f in examine(config) if f.subject == "state" and f.status == FAIL]
    assert len(reasons) == 2


@pytest.mark.parametrize(("days", "status"), [(-1, FAIL), (10, WARN), (200, OK)])
def test_certificate_is_judged_by_the_days_it_has_left(tmp_path: Path, days: int, status: str) -> None:
    config = bare_folder(tmp_path)
    now = datetime.now(UTC) + timedelta(days=days - material.SERVER_DAYS)  # noqa: TID251 - as the command reads it
    ca, ca_key, key = (tmp_path / "tls" / name for name in ("ca.pem", "ca-key.pem", "key.pem"))
    pem = material.make_server_certificate(ca.read_bytes(), ca_key.read_bytes(), key.read_bytes(), names=[], now=now)
    (tmp_path / "tls/cert.pem").write_bytes(pem)
    assert findings(config)["listener postgres"].status == status


def test_port_is_taken_by_another_program(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = findings(make_folder(tmp_path, "--listen", f"127.0.0.1:{port}"))
        assert found[f"port 127.0.0.1:{port}"].status == FAIL


def test_running_gateway_is_asked_and_its_ports_are_its_own(tmp_path: Path) -> None:
    config = bare_folder(tmp_path / "g")
    with living_house(tmp_path, tmp_path / "g/var/control.sock"):
        found = findings(config)
    assert found["gateway"].message == "runs; version 0"
    assert not [subject for subject in found if subject.startswith("port")]


def test_production_without_an_issuer_lets_nobody_in(tmp_path: Path) -> None:
    found = findings(bare_folder(tmp_path, *PRODUCTION))
    assert found["mode"].status == OK
    assert found["issuers"].status == FAIL


def test_issuer_s_key_file_is_missing(tmp_path: Path) -> None:
    config = bare_folder(tmp_path, *PRODUCTION)
    with config.open("a") as file:
        file.write('[[issuers]]\nissuer = "https://i/"\naudience = "a"\njwks = "file:none.json"\n')
    assert findings(config)["issuer https://i/"].status == FAIL


def test_recorder_s_user_does_not_exist(tmp_path: Path) -> None:
    config = bare_folder(tmp_path)
    config.write_text(config.read_text().replace("[recorder]", '[recorder]\nuser = "nobody-of-that-name"'))
    found = findings(config)["recorder"]
    assert found.status == FAIL
    assert "useradd" in found.mend


def test_configuration_is_unusable_and_nothing_else_is_looked_at(tmp_path: Path) -> None:
    (finding,) = examine(tmp_path / "none.toml")
    assert (finding.subject, finding.status) == ("configuration", FAIL)


@pytest.mark.integration
def test_doctor_logs_in_to_a_real_upstream_and_tells_a_wrong_password_ca_and_port_apart(
    tmp_path: Path, postgres: DebianPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", postgres.passwords["app"])
    address = f"{postgres.host}:{postgres.port}"
    config = bare_folder(
        tmp_path, "--resource", "shop", "--address", address, "--user", "app", "--password", "env:SHOP_PASSWORD"
    )
    subject = "resource shop as app"
    assert "TLS" in findings(config)[subject].message
    text = config.read_text()
    config.write_text(text.replace('tls = "verify-full"', f'tls = "verify-full", ca = "{postgres.ca}"'))
    good = findings(config)[subject]
    assert good.status == OK, good
    assert "PostgreSQL" in good.message
    monkeypatch.setenv("SHOP_PASSWORD", "CANARY-wrong")
    wrong = findings(config)[subject]
    assert wrong.status == FAIL
    assert "refuses the login" in wrong.message
    assert "CANARY" not in wrong.message + wrong.mend
    config.write_text(text.replace(address, "127.0.0.1:1"))
    assert "can't be used" in findings(config)[subject].message
