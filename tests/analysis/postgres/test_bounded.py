import json
from pathlib import Path
from typing import Any

import pytest

from interlock.analysis.postgres.analyser import Analyser
from interlock.analysis.postgres.bounded import MAX_DEPTH
from interlock.analysis.postgres.statement import Analysis, Statement

ANALYSER = Analyser()
CONDITIONS: dict[str, list[Any]] = json.loads(Path(__file__).with_name("conditions.json").read_text(encoding="utf-8"))


def statement(text: str) -> Statement:
    analysis = ANALYSER.analyse(text)
    assert isinstance(analysis, Analysis), (text, analysis)
    return analysis.statements[0]


@pytest.mark.parametrize("condition", CONDITIONS["unbounded"])
@pytest.mark.parametrize("verb", ["delete from t where ", "update t set a = 1 where "])
def test_condition_that_leaves_out_nothing_is_no_bound_T2(verb: str, condition: str) -> None:
    found = statement(verb + condition)
    assert not found.bounded
    assert any(leaf.startswith("destroy/") for leaf in found.leaves)


@pytest.mark.parametrize("condition", CONDITIONS["bounded"])
def test_condition_on_a_column_is_a_bound(condition: str) -> None:
    found = statement("delete from t where " + condition)
    assert found.bounded
    assert not any(leaf.startswith("destroy/") for leaf in found.leaves)


@pytest.mark.parametrize("condition", CONDITIONS["unbounded"])
def test_condition_that_leaves_out_nothing_adds_nothing_to_a_bound(condition: str) -> None:
    assert statement(f"delete from t where ({condition}) and id2 = 7").bounded
    assert not statement(f"delete from t where ({condition}) or id2 = 7").bounded


def test_join_with_itself_or_with_others_alone_is_no_bound_T2() -> None:
    assert not statement("delete from t using t as o where t.id = o.id").bounded
    assert not statement("delete from t using u where u.x = 5").bounded
    assert not statement("update t as a set x = 1 from u where u.id = 3").bounded
    assert statement("update t as a set x = 1 from u where u.id = a.id").bounded
    assert statement("delete from t using t as o where t.id = o.parent").bounded


def test_condition_too_deep_to_follow_is_no_bound_T30() -> None:
    deep = "id = 1"
    for _ in range(MAX_DEPTH + 5):
        deep = f"not ({deep})"
    assert not statement("delete from t where " + deep).bounded
