import pytest

from interlock.analysis.postgres.analyser import Analyser
from interlock.analysis.postgres.bodies import MAX_BODY_DEPTH, split_assignment
from interlock.analysis.postgres.statement import Analysis, Statement

ANALYSER = Analyser()


def statement(text: str) -> Statement:
    analysis = ANALYSER.analyse(text)
    assert isinstance(analysis, Analysis), (text, analysis)
    return analysis.statements[0]


def body(text: str) -> Statement:
    return statement(f"do $do$declare x int; r record; begin {text} end$do$")


@pytest.mark.parametrize(
    ("code", "effects", "writes"),
    [
        ("delete from t;", ("destroy",), ("t",)),
        ("if true then update t set a = 1 where b = 2; end if;", ("read", "write"), ("t",)),
        ("for r in select * from u loop truncate v; end loop;", ("destroy", "read"), ("v",)),
        ("begin null; exception when others then drop table t; end;", ("destroy",), ()),
        ("case 1 when 1 then set role x; else null; end case;", ("admin", "read"), ()),
        ("while x < 3 loop insert into t values (1); end loop;", ("read", "write"), ("t",)),
        ("x := (select a from t); x = 3;", ("read",), ()),
        ("call p();", ("execute",), ()),
        ("perform 1; raise notice 'x %', 1; return;", ("read",), ()),
        ("null;", (), ()),
    ],
)
def test_facts_name_what_a_plpgsql_body_would_do_T4(
    code: str, effects: tuple[str, ...], writes: tuple[str, ...]
) -> None:
    found = body(code)
    assert found.leaves == ("execute/postgres.do",)
    assert found.body_effects == effects
    assert found.body_writes == writes


@pytest.mark.parametrize(
    "code",
    [
        "execute 'drop table t';",
        "for r in execute 'select 1' loop null; end loop;",
        "begin begin execute format('x %s', x) using 1; end; end;",
    ],
)
def test_dynamic_sql_in_a_body_is_told_T4(code: str) -> None:
    found = body(code)
    assert found.dynamic
    assert "execute" in found.body_effects


def test_functions_called_in_a_body_are_named() -> None:
    found = body("x := f(1); perform s.g(); if h() then null; end if; x := count(*) from t;")
    assert {call.name for call in found.calls if call.kind == "named"} == {("f",), ("s", "g"), ("h",), ("count",)}
    assert found.lifts_read_only


def test_body_that_cant_be_read_is_unknown_and_dynamic_P2() -> None:
    nested = "select 1"
    for level in range(MAX_BODY_DEPTH + 2):
        nested = f"create function f{level}() returns int language sql as $q{level}${nested}$q{level}$"
    for text in [
        "do 'garbage'",
        "do language plperl 'x'",
        nested,
        "create function f() returns int language c as 'a', 'b'",
    ]:
        found = statement(text)
        assert "unknown" in found.body_effects
        assert found.dynamic


@pytest.mark.parametrize(
    ("head", "code"),
    [
        ("function f(a int, out b s.t, inout c text)", "begin b := a + 1; b.x := c; delete from t; end"),
        ("function f(a int) returns setof t", "declare r record; begin delete from t; return next r; end"),
        ("function f() returns table (x int, y text)", "begin delete from t; x := 1; return next; end"),
        ("function f(int, variadic z int[]) returns int", "begin delete from t; return $1 + z[1]; end"),
        ("function f() returns trigger", "begin new.a := old.b; delete from t; return new; end"),
        ("function f() returns event_trigger", "begin delete from t; raise notice '%', tg_tag; end"),
        ('procedure p(inout "A" int)', 'begin "A" := 1; delete from t; commit; end'),
    ],
)
def test_body_that_uses_its_parameters_is_read_T4(head: str, code: str) -> None:
    found = statement(f"create {head} language plpgsql as $$ {code} $$")
    assert "destroy" in found.body_effects
    assert "unknown" not in found.body_effects
    assert found.body_writes == ("t",)


def test_body_can_hold_any_dollar_quote() -> None:
    found = statement("do $x$ begin perform '$b$ $bb$'; delete from t where a = '$bbb$'; end $x$")
    assert found.body_effects == ("read", "write")


def test_assignment_is_split_outside_brackets_and_quotes() -> None:
    assert split_assignment('a["x=" = 1] := 2') == ('a["x=" = 1] ', " 2")
    assert split_assignment('"a=b".c = d = e') == ('"a=b".c ', " d = e")
    assert split_assignment("a") == ("a", None)
