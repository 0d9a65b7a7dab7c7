import json
from pathlib import Path

from interlock.cli.log import summarise
from tests.cli.running import interlock, make_folder
from tests.control.house import living_house


def test_operator_tails_the_log_as_text_and_as_json(tmp_path: Path) -> None:
    config = make_folder(tmp_path / "g")
    with living_house(tmp_path, tmp_path / "g/var/control.sock"):
        rows = interlock("log", "tail", "-n", "3", "--json", "-c", config).out.splitlines()
        assert [json.loads(row)["seq"] for row in rows] == [0, 1, 2]
        text = interlock("log", "tail", "-n", "1", "-c", config).out
        assert "intent" in text
        assert "\x1b" not in text


def test_entry_on_one_line_says_when_what_who_on_what_and_by_whom() -> None:
    line = summarise(
        {
            "at": 1_700_000_000_123_456,
            "type": "intent",
            "decision": "allow",
            "who": {"id": "i|bot", "model": {"vendor": "acme", "name": "r", "version": "3"}},
            "on": {"resource": "shop", "database": "shop"},
            "kind": "postgres.delete",
            "leaves": ["destroy/postgres.delete"],
            "policies": ["p"],
            "approval": "a1",
            "approvers": ["bob"],
            "reason": "line\nbreak",
        }
    )
    assert line.startswith("2023-11-14 22:13:20.123Z  intent  allow  i|bot  model=acme/r/3  shop/shop  postgres.delete")
    assert "by=bob" in line
    assert "\n" not in line
