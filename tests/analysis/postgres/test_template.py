"""Statements that share a template have the facts that they would have alone."""

from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.analysis.postgres.analyser import Analyser
from interlock.analysis.postgres.statement import Analysis, SyntaxRejected
from interlock.analysis.postgres.template import shape_of

CACHED = Analyser()
DIRECT = Analyser(entries=1)

_INTEGERS = st.one_of(st.integers(-3, 12), st.integers(0, 10**10)).map(str)
_STRINGS = st.sampled_from(
    ["'a'", "''", "'%'", "'it''s'", "'on'", "'off'", "'5'", "'role'", "'--'", "'/*'", "'a' 'b'", "E'a'", "B'1'"]
)
_CONSTANTS = st.one_of(
    _INTEGERS, _STRINGS, st.sampled_from(["1.5", "1e5", "1e-5", "0x1F", "1_000", "007", "- 5", "-7", ".5", "5.", "$1"])
)
_TERMS = st.one_of(_CONSTANTS, st.sampled_from(["id", "t.id", "name", "id1", "nextval('s')"]))
_COMPARE = st.builds(
    "{} {} {}".format, _TERMS, st.sampled_from(["=", "<>", "<", ">=", "like", "+", "is not distinct from"]), _TERMS
)
_CONDITION = st.recursive(
    _COMPARE
    | st.builds("{} in ({}, {})".format, _TERMS, _TERMS, _TERMS)
    | st.builds("{} between {} and {}".format, _TERMS, _TERMS, _TERMS),
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner)
        | st.builds("not ({})".format, inner)
    ),
    max_leaves=3,
)
_STATEMENTS = st.one_of(
    st.builds("delete from t where {}".format, _CONDITION),
    st.builds("update t set a = {}, b = b + {} where {}".format, _TERMS, _TERMS, _CONDITION),
    st.builds(
        "select {}, {} from t where {} limit {} offset {}".format, _TERMS, _TERMS, _CONDITION, _CONSTANTS, _CONSTANTS
    ),
    st.builds("insert into t values ({}, {}), ({}, {})".format, _TERMS, _TERMS, _TERMS, _TERMS),
    st.builds("select set_config({}, {}, {} = 1)".format, _STRINGS, _STRINGS, _INTEGERS),
    st.builds("select set_config({}, {}, false)".format, _STRINGS, _STRINGS),
    st.builds("set statement_timeout = {}".format, _CONSTANTS),
    st.builds("set transaction_read_only = {}".format, _CONSTANTS),
    st.builds("select f({}) from t order by {}".format, _TERMS, _CONSTANTS),
    st.builds("explain (analyze {}) delete from t where {}".format, _CONSTANTS, _CONDITION),
    st.builds("create table t{} (a varchar({}) default {})".format, st.integers(0, 3), _INTEGERS, _TERMS),
    st.builds("comment on table t is {}".format, _STRINGS),
    st.builds("copy t from {}".format, _STRINGS),
    st.builds("do {}".format, _STRINGS),
)


def answer(analyser: Analyser, text: str, *, cached: bool) -> object:
    analysis = analyser.analyse(text) if cached else analyser.analyse_uncached(text)[0]
    if isinstance(analysis, SyntaxRejected):
        return analysis
    settled = analyser.settle(analysis, None, dirty=False, prepared={}, cursors={})
    return settled.kind, settled.leaves, dict(settled.facts), [statement.sets for statement in analysis.statements]


@settings(max_examples=1500)
@given(_STATEMENTS)
def test_cached_facts_are_the_facts_of_direct_analysis_P2(text: str) -> None:
    assert answer(CACHED, text, cached=True) == answer(DIRECT, text, cached=False)


@settings(max_examples=300)
@given(
    st.text(alphabet="select from t where id=1 5'\"$-/*\\;(),.e_", max_size=40),
    st.sampled_from(["", "select 1 where id = "]),
)
def test_odd_text_is_never_answered_by_another_texts_analysis_P2(odd: str, before: str) -> None:
    text = before + odd
    assert answer(CACHED, text, cached=True) == answer(DIRECT, text, cached=False)


def test_statements_that_differ_in_a_key_share_one_analysis_and_one_answer() -> None:
    analyser = Analyser()
    one = analyser.analyse("SELECT abalance FROM pgbench_accounts WHERE aid = 1;")
    assert analyser.analyse("SELECT abalance FROM pgbench_accounts WHERE aid = 987654321;") is one
    assert analyser.analyse("UPDATE t SET a = a + -5 WHERE id = 7") is analyser.analyse(
        "UPDATE t SET a = a + -6 WHERE id = 70"
    )
    assert analyser.analyse("select * from t where name = 'x'") is analyser.analyse("select * from t where name = 'yy'")
    insert = "INSERT INTO h (t, b) VALUES ({}, {}, CURRENT_TIMESTAMP)"
    assert analyser.analyse(insert.format(1, -4)) is analyser.analyse(insert.format(2, -17))


def test_constant_that_makes_a_condition_trivial_gets_an_analysis_of_its_own_T2() -> None:
    analyser = Analyser()
    narrow = analyser.analyse("delete from t where id=5")
    broad = analyser.analyse("delete from t where 5=5")
    assert isinstance(narrow, Analysis)
    assert isinstance(broad, Analysis)
    assert narrow.statements[0].bounded
    assert not broad.statements[0].bounded
    assert analyser.analyse("delete from t where 6=5") is not broad


def test_text_with_ambiguous_tokens_has_no_shape() -> None:
    for text in [
        "select 1 -- 5",
        "select /* 5 */ 1",
        'select "5" = 1',
        "select $1 = 5",
        "select E'\\'5'",
        "select 5 as \u00e9",
    ]:
        assert shape_of(text) is None
    assert shape_of("select a from t") is None
    assert shape_of("select 1.5, 1e5, a1, 1234567890, 0x1") is None
    assert shape_of("where a=5 and b='x'") == "where a=0 and b=''"
