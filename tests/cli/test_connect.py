import json
import os
from pathlib import Path
from typing import Any

import pytest

from interlock.cli.connect import connection_settings
from interlock.config import ListenerConfig, ListenerTls, parse_address
from tests.cli.running import interlock, make_folder
from tests.control.house import living_house


class Started(Exception):
    def __init__(self, program: str, arguments: list[str], environment: dict[str, str]) -> None:
        super().__init__(program)
        self.arguments = arguments
        self.environment = environment


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Any:
    def execute(program: str, arguments: list[str], environment: dict[str, str]) -> None:
        raise Started(program, arguments, environment)

    monkeypatch.setattr(os, "execve", execute)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.delenv("INTERLOCK_TOKEN", raising=False)

    def run(*arguments: str | Path) -> Started:
        with pytest.raises(Started) as caught:
            interlock("connect", *arguments)
        return caught.value

    return run


def test_psql_starts_with_everything_filled_in_and_the_token_out_of_its_arguments_T24(
    tmp_path: Path, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTERLOCK_TOKEN", "CANARY-token")
    monkeypatch.setenv("PGHOSTADDR", "203.0.113.1")
    monkeypatch.setenv("PGSERVICE", "elsewhere")
    started = start("shop", "-c", make_folder(tmp_path), "-d", "orders", "--", "-c", "SELECT 1")
    assert started.arguments == ["psql", "-c", "SELECT 1"]
    environment = started.environment
    assert environment["PGPASSWORD"] == "CANARY-token"
    assert (environment["PGUSER"], environment["PGDATABASE"]) == ("shop", "orders")
    assert (environment["PGHOST"], environment["PGPORT"]) == ("localhost", "6432")
    assert environment["PGSSLMODE"] == "verify-full"
    assert environment["PGSSLROOTCERT"] == str(tmp_path / "tls/ca.pem")
    assert not {"PGHOSTADDR", "PGSERVICE", "INTERLOCK_TOKEN"} & set(environment)


def test_person_without_a_token_gets_a_development_one_bound_to_the_resource(tmp_path: Path, start: Any) -> None:
    started = start("shop", "--group", "readers", "-c", make_folder(tmp_path))
    assert started.environment["PGPASSWORD"].count(".") == 2


def test_running_gateway_gives_a_handle_for_the_token(
    tmp_path: Path, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTERLOCK_TOKEN", "bob-token")
    config = make_folder(tmp_path / "g")
    with living_house(tmp_path, tmp_path / "g/var/control.sock"):
        assert start("shop", "-c", config).environment["PGPASSWORD"].startswith("ilk_")
        monkeypatch.setenv("INTERLOCK_TOKEN", "stolen")
        answer = interlock("connect", "shop", "-c", config)
    assert answer.code == 1
    assert "token isn't accepted" in answer.err


def test_production_mode_makes_no_token_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INTERLOCK_TOKEN", raising=False)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    options = ("--resource", "shop", "--address", "d:1", "--user", "a", "--password", "env:X", "--mode", "production")
    answer = interlock("connect", "shop", "-c", make_folder(tmp_path, *options))
    assert answer.code == 1
    assert "INTERLOCK_TOKEN" in answer.err


def test_line_to_connect_by_hand_is_printed_without_any_token_T24(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTERLOCK_TOKEN", "CANARY")
    config = make_folder(tmp_path / "a folder")
    answer = interlock("connect", "shop", "--print", "-c", config)
    assert "sslmode=verify-full" in answer.out
    assert f"sslrootcert='{tmp_path / 'a folder/tls/ca.pem'}'" in answer.out
    said = json.loads(interlock("connect", "shop", "--json", "-c", config).out)
    assert said["PGUSER"] == "shop"
    assert "CANARY" not in answer.out + json.dumps(said)


def test_resource_or_client_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_folder(tmp_path)
    assert interlock("connect", "shoop", "-c", config).code == 2
    monkeypatch.setattr("shutil.which", lambda name: None)
    answer = interlock("connect", "shop", "-c", config)
    assert answer.code == 1
    assert "--print" in answer.err


@pytest.mark.parametrize(
    ("address", "host"), [("0.0.0.0:1", "localhost"), ("[::]:1", "localhost"), ("gw.example:1", "gw.example")]
)
def test_client_is_sent_where_the_certificate_fits(address: str, host: str) -> None:
    listener = ListenerConfig("postgres", parse_address(address), ListenerTls(Path("c"), Path("k")))
    settings = connection_settings(listener, "shop", "shop")
    assert (settings["PGHOST"], settings["PGSSLROOTCERT"]) == (host, "system")


def test_plaintext_listener_is_said_to_be_one() -> None:
    settings = connection_settings(ListenerConfig("postgres", parse_address("127.0.0.1:1"), None), "shop", "shop")
    assert (settings["PGSSLMODE"], settings["PGHOST"]) == ("disable", "127.0.0.1")
