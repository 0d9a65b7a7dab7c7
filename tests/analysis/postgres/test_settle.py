"""Settling: functions, catalogue, prepared statements and cursors."""

from dataclasses import dataclass, field

import pytest

from interlock.analysis.postgres.analyser import Analyser
from interlock.analysis.postgres.functions import UNKNOWN, Judgement, judge_shipped
from interlock.analysis.postgres.settle import Catalogue, settle, with_parameter_types
from interlock.analysis.postgres.statement import Analysis, Name, Settled, Statement
from interlock.policy.leaves import POSTGRES_FACTS, POSTGRES_KINDS

ANALYSER = Analyser()


@dataclass
class Upstream:
    """A catalogue with a harmless function ``mine``, a view that runs ``purge`` and an event trigger if asked."""

    event_trigger_code: tuple[str, ...] = ()
    asked: list[tuple[Name, str]] = field(default_factory=list)

    def judge(self, name: Name, kind: str, argument_count: int, dirty: bool) -> Judgement:
        self.asked.append((name, kind))
        if dirty:
            return UNKNOWN
        if kind == "column":
            return UNKNOWN if name == ("purge",) else Judgement("harmless")
        return Judgement("harmless") if name == ("mine",) else judge_shipped(name, kind)

    def relation_code(self, relation: Name, for_write: bool, dirty: bool) -> tuple[str, ...]:
        return ("purge",) if relation == ("trap",) or (for_write and relation == ("audited",)) else ()


def analysis(text: str) -> Analysis:
    found = ANALYSER.analyse(text)
    assert isinstance(found, Analysis)
    return found


def answer(
    text: str,
    catalogue: Catalogue | None = None,
    *,
    dirty: bool = False,
    prepared: dict[str, Statement] | None = None,
    cursors: dict[str, Statement] | None = None,
) -> Settled:
    return ANALYSER.settle(analysis(text), catalogue, dirty=dirty, prepared=prepared or {}, cursors=cursors or {})


def inner(text: str) -> Statement:
    return analysis(text).statements[0]


def test_function_that_the_catalogue_knows_is_no_code_and_others_are_T4() -> None:
    assert answer("select mine()", Upstream()).leaves == ("read/postgres.select",)
    assert answer("select mine()").leaves == ("execute/postgres.select", "read/postgres.select")
    found = answer("select other()", Upstream())
    assert found.facts["unresolved_functions"] == ("other",)
    assert found.facts["lifts_read_only"] is True


def test_relation_that_runs_code_is_execute_T4() -> None:
    assert "execute/postgres.select" in answer("select * from trap", Upstream()).leaves
    assert "execute/postgres.insert" in answer("insert into audited values (1)", Upstream()).leaves
    assert answer("select * from audited", Upstream()).leaves == ("read/postgres.select",)


def test_column_that_could_be_a_function_is_execute_T4() -> None:
    assert answer("select t.purge from t", Upstream()).leaves == ("execute/postgres.select", "read/postgres.select")
    assert answer("select (t).purge from t", Upstream()).leaves == ("execute/postgres.select", "read/postgres.select")
    assert answer("select t.id from t", Upstream()).leaves == ("read/postgres.select",)


def test_nothing_is_harmless_that_uncommitted_ddl_may_have_changed_T4() -> None:
    assert "execute/postgres.select" in answer("select lower('x')", Upstream(), dirty=True).leaves
    batch = answer("create view v as select 1; select lower('x')", Upstream())
    assert "execute/postgres.select" in batch.leaves
    assert answer("select lower('x'); create view v as select 1", Upstream()).leaves == (
        "read/postgres.select",
        "schema/postgres.create_view",
    )


def test_event_trigger_makes_ddl_execute_T4() -> None:
    assert answer("create table t (a int)", Upstream()).leaves == ("schema/postgres.create_table",)
    found = answer("create table t (a int)", Upstream(event_trigger_code=("s.watch",)))
    assert found.leaves == ("execute/postgres.create_table", "schema/postgres.create_table")


def test_execute_is_what_its_name_stands_for_T3() -> None:
    bad = {"s": inner("delete from t")}
    found = answer("execute s(1)", prepared=bad)
    assert found.leaves == ("destroy/postgres.delete", "session/postgres.execute")
    assert found.facts["bounded"] is False
    assert "unknown/postgres.execute" in answer("execute other", prepared=bad).leaves
    assert "destroy/postgres.delete" in answer("explain analyze execute s", prepared=bad).leaves
    assert "destroy/postgres.delete" not in answer("explain execute s", prepared=bad).leaves
    assert "unknown/postgres.execute" in answer("deallocate all; execute s", prepared=bad).leaves
    assert "unknown/postgres.execute" in answer("discard all; execute s", prepared=bad).leaves
    assert "destroy/postgres.delete" in answer("deallocate s; prepare s as delete from t; execute s").leaves


def test_execute_of_an_execute_ends() -> None:
    found = answer("execute s", prepared={"s": inner("execute s")})
    assert "unknown/postgres.execute" in found.leaves


def test_fetch_is_what_its_cursor_reads() -> None:
    cursors = {"c": inner("select * from trap")}
    assert "execute/postgres.fetch" in answer("fetch 1 from c", Upstream(), cursors=cursors).leaves
    known = answer("fetch 1 from c", cursors={"c": inner("select * from t")})
    assert known.leaves == ("read/postgres.fetch", "read/postgres.select")
    assert known.facts["reads"] == ("t",)
    declared = answer("declare c cursor for select * from t; fetch c")
    assert not any(leaf.startswith(("execute", "unknown")) for leaf in declared.leaves)
    assert "execute/postgres.fetch" in answer("close all; fetch c", cursors=cursors).leaves


def test_same_question_has_the_same_answer_object() -> None:
    upstream = Upstream()
    assert answer("select * from t where id = 1", upstream) is answer("select * from t where id = 2", upstream)
    one = answer("select * from t where a || 'x' = 'y'", upstream)
    assert answer("select * from t where a || 'xx' = 'z'", upstream) is one
    asked = len(upstream.asked)
    answer("select * from t where id = 3", upstream)
    assert len(upstream.asked) == asked


def test_answer_is_not_kept_over_a_new_catalogue_or_a_changed_session_P2() -> None:
    text = analysis("select mine()")
    clean = settle(text, Upstream(), dirty=False, prepared={}, cursors={})
    assert clean.leaves == ("read/postgres.select",)
    assert settle(text, None, dirty=False, prepared={}, cursors={}).leaves != clean.leaves
    assert settle(text, Upstream(), dirty=True, prepared={}, cursors={}).leaves != clean.leaves
    run = analysis("execute s")
    harmless = settle(run, None, dirty=False, prepared={"s": inner("select 1")}, cursors={})
    harmful = settle(run, None, dirty=False, prepared={"s": inner("drop table t")}, cursors={})
    assert harmless.leaves != harmful.leaves


@pytest.mark.parametrize("text", ["", "select 1", "delete from t", "do 'x'", "begin; commit", "call p()"])
def test_each_fact_is_always_there_with_its_type(text: str) -> None:
    facts = answer(text).facts
    empty = answer("").facts
    assert list(facts) == list(empty)
    assert [type(value) for value in facts.values()] == [type(value) for value in empty.values()]
    assert facts["bounded"] is (text != "delete from t")


def test_facts_and_leaves_are_those_of_the_policy_schema() -> None:
    assert set(answer("select 1").facts) == set(POSTGRES_FACTS)
    assert {"select", "delete", "unparsed", "batch", "empty"} <= set(POSTGRES_KINDS)


def test_a_parameters_type_runs_code_that_no_text_names_T4() -> None:
    plain = analysis("select $1")
    assert with_parameter_types(plain, (23, 25, 0)) is plain
    typed = with_parameter_types(plain, (23, 16600))
    found = ANALYSER.settle(typed, Upstream(), dirty=False, prepared={}, cursors={})
    assert found.leaves == ("execute/postgres.select", "read/postgres.select")
    assert found.facts["unresolved_functions"] == ("type 16600",)
    assert answer("select $1", Upstream()).leaves == ("read/postgres.select",)


def test_a_prepared_statements_parameter_type_runs_code_T4() -> None:
    found = answer("prepare x (trap) as select $1", Upstream())
    assert "execute/postgres.prepare" in found.leaves
    execute = answer("execute x (1)", Upstream(), prepared={"x": inner("prepare x (trap) as select $1").prepares[1]})  # type: ignore[index]
    assert "execute/postgres.execute" in execute.leaves
    assert "execute/postgres.prepare" not in answer("prepare x (int, text) as select $1", Upstream()).leaves
