import json
from pathlib import Path

from tests.cli.running import interlock, make_folder
from tests.control.house import living_house


def test_operator_asks_reloads_and_revokes(tmp_path: Path) -> None:
    config = make_folder(tmp_path / "g")
    with living_house(tmp_path, tmp_path / "g/var/control.sock") as house:
        assert json.loads(interlock("status", "--json", "-c", config).out) == {"version": "0"}
        assert "reloaded" in interlock("reload", "-c", config).out
        revoked = interlock("revoke", "person", "alice", "--reason", "left", "-c", config)
        assert "2 sessions ended" in revoked.out
        assert interlock("revoke", "everybody", "x", "-c", config).code == 1
        house.gateway.policies_are_broken = True
        failed = interlock("reload", "-c", config)
        assert failed.code == 1
        assert "stays in force" in failed.err


def test_shell_gets_its_completion_script() -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "interlock" in interlock("completion", shell).out
    assert interlock("completion", "tcsh").code == 2
