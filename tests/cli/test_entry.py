import re
from pathlib import Path
from typing import Any

import pytest
import typer

from interlock.cli.entry import CONFIG, NO, UNREACHABLE, build, exit_code
from interlock.control import ControlError, GatewayUnreachable
from interlock.core.errors import ConfigError, InterlockError, PolicyError, StorageError, UpstreamUnavailable
from tests.cli.running import interlock, make_folder


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("f", "k", "r"), CONFIG),
        (ControlError("config", "m"), CONFIG),
        (ControlError("approver_is_requester", "m"), NO),
        (GatewayUnreachable("x"), UNREACHABLE),
        (UpstreamUnavailable("x"), UNREACHABLE),
        (PolicyError("x"), NO),
        (StorageError("x"), NO),
        (InterlockError("x"), NO),
    ],
)
def test_each_error_has_its_documented_exit_code(error: InterlockError, code: int) -> None:
    assert exit_code(error) == code


def commands() -> dict[str, Any]:
    found: dict[str, Any] = {}

    def walk(command: Any, path: str) -> None:
        found[path] = command
        for name, inner in getattr(command, "commands", {}).items():
            walk(inner, f"{path} {name}".strip())

    walk(typer.main.get_command(build()), "")
    return found


def test_every_command_has_help_with_an_example() -> None:
    leaves = {name: command for name, command in commands().items() if not hasattr(command, "commands")}
    assert len(leaves) >= 20
    silent = [name for name, c in leaves.items() if not re.search(r"Example: .*interlock ", c.help or "")]
    assert silent == []


def test_every_command_that_prints_data_takes_config_and_json() -> None:
    without = {"init", "serve", "demo", "completion", "analyze postgres", "policy test"}
    for name, command in commands().items():
        if hasattr(command, "commands") or name in without:
            continue
        options = {option for parameter in command.params for option in parameter.opts}
        assert {"--config", "--json"} <= options, name


def test_every_command_is_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs/cli.md").read_text(encoding="utf-8")
    missing = [name for name in commands() if name and f"`interlock {name}" not in text]
    assert missing == []


def test_configuration_is_found_by_option_then_environment_and_else_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_folder(tmp_path)
    monkeypatch.setenv("INTERLOCK_CONFIG", str(config))
    assert interlock("resources", "list").code == 0
    answer = interlock("resources", "list", "--config", tmp_path / "none.toml")
    assert answer.code == 3
    assert "none.toml" in answer.err
    assert "interlock init" in answer.err


def test_bad_configuration_names_file_key_and_reason(tmp_path: Path) -> None:
    config = make_folder(tmp_path)
    config.write_text(config.read_text().replace("mode =", "mdoe ="))
    answer = interlock("resources", "list", "-c", config)
    assert answer.code == 3
    assert answer.err == f'interlock: {config}: gateway.mdoe: is not a known key; did you mean "mode"?\n'


def test_nobody_says_anything_and_gets_help() -> None:
    assert "interlock init" in interlock().out + interlock().err
    assert interlock("nonsense").code == 2
    assert interlock("--help").code == 0
