import json
from pathlib import Path

import pytest

from tests.cli.running import interlock, make_folder

STATEMENTS = b"".join(
    json.dumps({"id": number, "text": text}).encode() + b"\n"
    for number, text in enumerate(["SELECT 1", "DELETE FROM t", "SET ROLE admin", "SELEC"])
)


def ask(folder: Path, principal: object, *options: str) -> list[dict[str, object]]:
    config = make_folder(folder)
    (folder / "who.json").write_text(json.dumps(principal))
    answer = interlock(
        "policy", "test", "--as", folder / "who.json", "--resource", "shop", "--jsonl", "-c", config, *options,
        stdin=STATEMENTS,
    )  # fmt: skip
    assert answer.code == 0, answer
    return [json.loads(line) for line in answer.out.splitlines()]


def test_author_tries_an_agent_and_sees_allow_hold_and_deny_with_policies_and_approvers(tmp_path: Path) -> None:
    rows = ask(tmp_path, {"subject": "bot", "kind": "agent", "groups": ["writers"]})
    assert [row["decision"] for row in rows] == ["allow", "hold", "deny", "deny"]
    assert rows[1]["approvers"] == ["dba"]
    assert rows[1]["policies"] == ["machines-need-dba"]
    assert rows[3]["error"] is not None
    assert {"id", "effects", "kind", "facts", "error", "decision", "policies", "approvers"} <= set(rows[0])


def test_author_tries_somebody_in_no_group_and_everything_is_denied(tmp_path: Path) -> None:
    rows = ask(tmp_path, {"subject": "stranger"})
    assert {row["decision"] for row in rows} == {"deny"}
    assert all(row["code"] and row["reason"] for row in rows)


def test_author_tries_another_policy_folder(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/all.cedar").write_text('@id("all") permit (principal, action, resource);')
    rows = ask(tmp_path, {"subject": "x"}, "--policies", str(tmp_path / "other"))
    assert {row["decision"] for row in rows} == {"allow"}


def test_author_checks_policies_good_and_bad(tmp_path: Path) -> None:
    config = make_folder(tmp_path)
    good = interlock("policy", "check", "-c", config, "--json")
    assert good.code == 0
    assert len(json.loads(good.out)["policies"]) > 3
    (tmp_path / "policies/bad.cedar").write_text('@id("x")\npermit (principal, action, resource)\nwhen { nonsense };')
    bad = interlock("policy", "check", "-c", config)
    assert bad.code == 1
    assert "bad.cedar:1" in bad.err


def test_empty_or_missing_policy_folder_is_an_error_that_says_so(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        answer = interlock("policy", "check", "--policies", folder)
        assert answer.code == 1
        assert str(folder) in answer.err


@pytest.mark.parametrize("text", ["", "[]", '{"subject": 1}', '{"subject": "x", "admin": true}', '{"kind": "human"}'])
def test_principal_file_is_wrong_and_the_error_names_it(tmp_path: Path, text: str) -> None:
    config = make_folder(tmp_path)
    (tmp_path / "who.json").write_text(text)
    answer = interlock("policy", "test", "--as", tmp_path / "who.json", "--resource", "shop", "-c", config)
    assert answer.code == 1
    assert "who.json" in answer.err


def test_resource_is_unknown_and_the_known_ones_are_named(tmp_path: Path) -> None:
    config = make_folder(tmp_path)
    (tmp_path / "who.json").write_text('{"subject": "x"}')
    answer = interlock("policy", "test", "--as", tmp_path / "who.json", "--resource", "shoop", "-c", config)
    assert answer.code == 2
    assert "shop" in answer.err
