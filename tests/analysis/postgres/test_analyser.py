from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.analysis.postgres.analyser import LARGE_BYTES, MAX_CACHED_CHARACTERS, Analyser
from interlock.analysis.postgres.statement import Analysis, SyntaxRejected

ANALYSER = Analyser(entries=8)


def test_same_text_is_analysed_once_and_caches_stay_small() -> None:
    analyser = Analyser(entries=4)
    first = analyser.analyse("select f(a)")
    assert analyser.analyse("select f(a)") is first
    for number in range(20):
        analyser.analyse(f"select f{number}(a)")
        analyser.analyse(f"select {number} from t{number}x where a = {number}")
    assert len(analyser._texts) <= 4
    assert len(analyser._shapes) <= 4
    assert analyser.analyse("select f(a)") is not first


def test_large_text_is_said_to_be_large_and_not_kept() -> None:
    analyser = Analyser()
    text = "select 1 /*" + "x" * LARGE_BYTES + "*/"
    analysis = analyser.analyse(text)
    assert isinstance(analysis, Analysis)
    assert analysis.large
    assert len(text) > MAX_CACHED_CHARACTERS
    assert not analyser._texts
    small = analyser.analyse("select 1")
    assert isinstance(small, Analysis)
    assert not small.large


def test_nul_and_lone_surrogates_are_refused_before_the_grammar_sees_them_T5() -> None:
    for text in ("select 1\0; drop table x", "select '\ud800'"):
        rejected = ANALYSER.analyse(text)
        assert isinstance(rejected, SyntaxRejected)
        assert rejected.sqlstate == "22021"


def test_text_too_deep_is_unknown_and_may_do_anything_T30() -> None:
    analysis = ANALYSER.analyse("select " + "+".join(["1"] * 3000))
    assert isinstance(analysis, Analysis)
    (statement,) = analysis.statements
    assert statement.leaves == ("unknown/postgres.unparsed",)
    assert statement.lifts_read_only
    assert statement.changes_catalogue
    assert not statement.bounded


def test_body_of_a_function_is_read_for_the_catalogue_only_if_it_only_reads() -> None:
    found = ANALYSER.read_body("select f(a) from t where t.b = 1")
    assert found is not None
    calls, relations, columns = found
    assert ("f",) in {call.name for call in calls}
    assert relations == (("t",),)
    assert columns == ("a", "b")
    for source in (
        "delete from t",
        "select 1; set a.b = 1",
        "selec",
        "select * from t for update",
        "with a as (delete from t returning 1) select 1",
    ):
        assert ANALYSER.read_body(source) is None


@settings(max_examples=300)
@given(st.text(max_size=80) | st.text(alphabet="selct*from where()'\";$-/\\\n1=,drop tabl", max_size=80))
def test_any_text_is_answered(text: str) -> None:
    answer = ANALYSER.analyse(text)
    if isinstance(answer, Analysis):
        settled = ANALYSER.settle(answer, None, dirty=False, prepared={}, cursors={})
        assert settled.leaves
        assert all("/postgres." in leaf for leaf in settled.leaves)
    else:
        assert answer.message
