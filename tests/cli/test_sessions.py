import json
from pathlib import Path

from tests.cli.running import interlock, make_folder
from tests.control.house import living_house


def test_operator_lists_shows_and_kills_a_session(tmp_path: Path) -> None:
    config = make_folder(tmp_path / "g")
    with living_house(tmp_path, tmp_path / "g/var/control.sock") as house:
        assert "https://idp/|bot" in interlock("sessions", "list", "-c", config).out
        assert json.loads(interlock("sessions", "show", "s1", "--json", "-c", config).out)["resource"] == "shop"
        assert "client_address" in interlock("sessions", "show", "s1", "-c", config).out
        killed = interlock("sessions", "kill", "s1", "--reason", "lost", "-c", config)
        assert killed.code == 0
        assert house.gateway.events[-1] == "killed s1"
        missing = interlock("sessions", "kill", "s9", "-c", config)
        assert missing.code == 1
        assert "sessions list" in missing.err
