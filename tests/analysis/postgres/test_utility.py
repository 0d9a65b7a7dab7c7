import json
from pathlib import Path

from interlock.analysis.postgres.analyser import Analyser
from interlock.analysis.postgres.statement import Analysis, Statement
from interlock.policy.leaves import POSTGRES_KINDS

ANALYSER = Analyser()


def statements(text: str) -> tuple[Statement, ...]:
    analysis = ANALYSER.analyse(text)
    assert isinstance(analysis, Analysis), (text, analysis)
    return analysis.statements


def test_each_kind_and_leaf_is_one_that_policy_can_name() -> None:
    lines = Path(__file__).with_name("statements.jsonl").read_text(encoding="utf-8").splitlines()
    for line in lines:
        for statement in statements(json.loads(line)["text"]):
            assert statement.kind in POSTGRES_KINDS, statement.text
            assert {leaf.partition(".")[2] for leaf in statement.leaves} <= set(POSTGRES_KINDS), statement.text


def test_what_may_change_the_catalogue_says_so() -> None:
    for text in (
        "create table t (a int)",
        "do 'x'",
        "call p()",
        "drop view v",
        "grant a to b",
        "create function f() returns int language sql as 'select 1'",
    ):
        assert statements(text)[0].changes_catalogue, text
    for text in ("select 1", "delete from t", "set a.b = 1", "begin", "comment on table t is 'x'", "copy t from stdin"):
        assert not statements(text)[0].changes_catalogue, text


def test_text_of_a_statement_is_its_own_slice_in_bytes() -> None:
    first, second = statements("select '\u00e9\u00e9'; /* \u00e9 */ delete from t where a = '\u00e9' ")
    assert first.text == "select '\u00e9\u00e9'"
    assert second.text.endswith("delete from t where a = '\u00e9'")
    assert "select" not in second.text
