import json
from pathlib import Path

import pytest

from tests.cli.running import interlock, make_folder
from tests.control.house import living_house


def test_person_lists_shows_and_approves_what_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_folder(tmp_path / "g")
    monkeypatch.setenv("INTERLOCK_TOKEN", "bob-token")
    with living_house(tmp_path, tmp_path / "g/var/control.sock"):
        listed = interlock("approvals", "list", "-c", config)
        assert "https://idp/|bot" in listed.out
        shown = interlock("approvals", "show", "a1", "-c", config)
        assert "  | DELETE FROM t" in shown.out
        assert "destroy/postgres.delete" in shown.out
        approved = interlock("approvals", "approve", "a1", "-m", "fine", "-c", config)
        assert (approved.code, approved.out.partition(":")[0]) == (0, "approved")
        again = interlock("approvals", "deny", "a1", "-c", config)
        assert again.code == 1
        assert "already released" in again.err


def test_agent_s_token_approves_nothing_P9(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_folder(tmp_path / "g")
    monkeypatch.setenv("INTERLOCK_TOKEN", "bot-token")
    with living_house(tmp_path, tmp_path / "g/var/control.sock"):
        answer = interlock("approvals", "approve", "a1", "-c", config)
        assert (answer.code, answer.out) == (1, "")
        assert "only people approve" in answer.err
        monkeypatch.delenv("INTERLOCK_TOKEN")
        assert interlock("approvals", "approve", "a1", "-c", config).code == 1
        (row,) = json.loads(interlock("approvals", "list", "--json", "-c", config).out)
        assert row["state"] == "waiting"


def test_person_denies(tmp_path: Path) -> None:
    config = make_folder(tmp_path / "g")
    (tmp_path / "token").write_text("bob-token\n")
    with living_house(tmp_path, tmp_path / "g/var/control.sock"):
        answer = interlock("approvals", "deny", "a1", "--token-file", tmp_path / "token", "--json", "-c", config)
        assert json.loads(answer.out)["state"] == "denied"
        assert "no longer kept" in interlock("approvals", "show", "a1", "-c", config).out
        assert interlock("approvals", "list", "-c", config).out == "nothing waits for approval\n"


def test_no_gateway_runs(tmp_path: Path) -> None:
    answer = interlock("approvals", "list", "-c", make_folder(tmp_path))
    assert answer.code == 4
    assert "interlock serve" in answer.err
