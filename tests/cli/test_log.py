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
    entry = {
        "index": 4,
        "v": 1,
        "at": 1_700_000_000_123_456,
        "type": "intent",
        "decision": "allow",
        "who": {"id": "i|bot", "model": {"vendor": "acme", "name": "r", "version": "3"}},
        "on": {"resource": "shop", "database": "shop"},
        "kind": "postgres.delete",
        "approvers": ["bob"],
        "reason": "line\nbreak \u202e",
    }
    line = summarise(entry)
    assert line.startswith("2023-11-14T22:13:20.123Z intent allow")
    for part in ("i|bot (acme r 3, claimed)", "on=shop", "kind=postgres.delete", "approvers=bob"):
        assert part in line
    assert not {"\n", "\u202e"} & set(line)


def test_entry_of_a_later_version_is_shown_as_it_is() -> None:
    assert summarise({"v": 9, "type": ["new"]}) == '{"v":9,"type":["new"]}'
