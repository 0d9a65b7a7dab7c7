"""Statements to leaves and facts: the table, and what must hold however a statement is dressed."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.analysis.postgres.analyser import Analyser
from interlock.analysis.postgres.statement import Analysis, Settled

Row = tuple[str, str, dict[str, Any]]


def _rows() -> list[Row]:
    lines = Path(__file__).with_name("statements.jsonl").read_text(encoding="utf-8").splitlines()
    return [(row["text"], row["leaves"], row["facts"]) for row in map(json.loads, lines)]


ROWS = _rows()

ANALYSER = Analyser()


def settle(text: str) -> Settled:
    analysis = ANALYSER.analyse(text)
    assert isinstance(analysis, Analysis), (text, analysis)
    return ANALYSER.settle(analysis, None, dirty=False, prepared={}, cursors={})


def leaves(written: str) -> tuple[str, ...]:
    return tuple(sorted(leaf.replace("/", "/postgres.") for leaf in written.split()))


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_statement_has_exactly_these_leaves_and_facts_T2_T4_T6_T7_T10(row: Row) -> None:
    text, expected, facts = row
    settled = settle(text)
    assert settled.leaves == leaves(expected)
    for name, value in facts.items():
        assert settled.facts[name] == (tuple(value) if isinstance(value, list) else value), name


# --- dressing ---

_DESTRUCTIVE = ["delete from t", "update t set a = 1", "delete from t where 1=1", "delete from t where id = 5"]
_WRAPPERS = [
    "with w as ({} returning *) select * from w",
    "with w as ({} returning *) insert into l select * from w",
    "with v as (with w as ({} returning *) select * from w) select * from v",
    "explain analyze {}",
    "explain (analyze true, buffers) {}",
    "prepare s as {}",
    "select 1; {}; select 2",
    "copy ({} returning *) to stdout",
    "create rule r as on insert to q do also {}",
    "begin; {}; commit",
    "prepare s as {}; execute s",
]
_SPACE = st.sampled_from(
    [" ", "  ", "\t", "\n", " /* x; drop table y */ ", " /* /* where id = 5 */ */ ", " -- where id = 5\n"]
)


@given(st.sampled_from(_DESTRUCTIVE), st.sampled_from(_WRAPPERS))
def test_wrapped_statement_is_never_milder_T2_T3(inner: str, wrapper: str) -> None:
    plain, wrapped = settle(inner), settle(wrapper.format(inner))
    assert set(plain.leaves) <= set(wrapped.leaves)
    assert plain.facts["bounded"] == wrapped.facts["bounded"]
    assert set(plain.facts["writes"]) <= set(wrapped.facts["writes"])  # type: ignore[arg-type]


_PLAIN_ROWS = [row for row in ROWS if not set(row[0]) & set("'\"$-\\") and "/*" not in row[0] and row[0].strip(" ;")]


@settings(max_examples=150)
@given(st.sampled_from(_PLAIN_ROWS), st.data())
def test_comments_spaces_and_case_change_nothing_T5(row: Row, data: st.DataObject) -> None:
    words = row[0].split(" ")
    dressed = words[0]
    for word in words[1:]:
        dressed += data.draw(_SPACE) + data.draw(st.sampled_from([word, word.upper(), word.title()]))
    before, after = settle(row[0]), settle(dressed)
    assert (before.kind, before.leaves) == (after.kind, after.leaves)
    assert dict(before.facts) == dict(after.facts)


def test_comment_padding_past_any_buffer_hides_nothing_T2() -> None:
    settled = settle("select 1 /* " + "x" * 9_000_000 + " */; delete from t")
    assert "destroy/postgres.delete" in settled.leaves
    assert settled.facts["large"] is True


def test_unicode_and_homoglyph_names_stay_what_they_are_T5() -> None:
    assert settle('delete from U&"\\0074" where id = 1').facts["writes"] == ("t",)
    assert settle("delete from \u0442 where id = 1").facts["writes"] == ("\u0442",)
    assert settle('drop table "T"').facts["drops"] == ("table:T",)
    name = "x" + "\u00e9" * 40
    assert settle(f'drop table "{name}"').facts["drops"] == (f"table:{name[:32]}",)


def test_quoting_tricks_open_no_string_that_the_server_closes_T5() -> None:
    assert settle("select '\\'; drop table t; --'").leaves == leaves("destroy/drop_table read/select")
    assert settle("select E'\\'; drop table t; --'").leaves == leaves("read/select")
    assert settle("select $a$ $b$ $a$; drop table t --$b$").leaves == leaves("destroy/drop_table read/select")
    assert settle("select 'a'\n'b'; truncate t").leaves == leaves("destroy/truncate read/select")
