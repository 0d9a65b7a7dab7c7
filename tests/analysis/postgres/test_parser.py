import threading

import pytest

from interlock.analysis.postgres.parser import SHALLOW_BYTES, Grammar
from interlock.analysis.postgres.statement import SyntaxRejected
from interlock.core.errors import LimitExceeded

GRAMMAR = Grammar()


def test_text_parses_to_its_statements_with_byte_offsets() -> None:
    parsed = GRAMMAR.parse("select '\u00e9'; select 2".encode())
    assert isinstance(parsed, list)
    assert [(raw.get("stmt_location", 0), raw.get("stmt_len", 0)) for raw in parsed] == [(0, 11), (13, 0)]
    assert "SelectStmt" in parsed[0]["stmt"]


def test_rejected_text_gives_the_servers_message_and_a_position_in_characters() -> None:
    rejected = GRAMMAR.parse("select '\u00e9' \u00e9 \u00e9".encode())
    assert rejected == SyntaxRejected('syntax error at or near "\u00e9"', "42601", 14)


@pytest.mark.parametrize(
    "text",
    [
        "select " + "+".join(["1"] * 4000),
        "select a" + " is null" * 3000,
        "select " + "+".join(["1"] * 70_000),
        "select 1 from a" + " join b on true" * 66_000,
    ],
    ids=["sum", "postfix", "sum_past_the_stack", "joins_past_the_stack"],
)
def test_tree_too_deep_to_read_is_a_limit_and_ends_no_process_T30(text: str) -> None:
    with pytest.raises(LimitExceeded):
        GRAMMAR.parse(text.encode())


def test_nested_parentheses_past_the_grammars_stack_are_a_syntax_error_T30() -> None:
    rejected = GRAMMAR.parse(("select " + "(" * 20_000 + "1" + ")" * 20_000).encode())
    assert isinstance(rejected, SyntaxRejected)


def test_long_flat_text_is_read_whole() -> None:
    text = "insert into t values " + ",".join(["(1, 'a;b', -2)"] * 6000) + "; drop table t"
    assert len(text) > SHALLOW_BYTES
    parsed = GRAMMAR.parse(text.encode())
    assert isinstance(parsed, list)
    assert len(parsed) == 2
    assert isinstance(GRAMMAR.parse(b"select 1 where a = 1" + b" or a = 2" * 8000), list)


def test_plpgsql_body_opens_to_expressions_kinds_and_dynamic_queries() -> None:
    opened = GRAMMAR.parse_plpgsql(b"do $$begin delete from t; x := g(1); open c for execute 'y'; end$$")
    assert opened is None
    opened = GRAMMAR.parse_plpgsql(
        b"create function f() returns void language plpgsql as "
        b"$$declare c refcursor; x int; begin delete from t; x := g(1); open c for execute 'y'; end$$"
    )
    assert opened is not None
    expressions, kinds, dynamic = opened
    assert ("delete from t", 0) in expressions
    assert ("x := g(1)", 3) in expressions
    assert "PLpgSQL_stmt_execsql" in kinds
    assert dynamic


def test_body_of_a_trigger_function_opens_although_the_librarys_json_is_broken() -> None:
    opened = GRAMMAR.parse_plpgsql(
        b"create function f() returns trigger language plpgsql as "
        b'$$begin new.a := \'"PLpgSQL_expr":{"query":"x"}\'; delete from t; return new; end$$'
    )
    assert opened is not None
    assert ("delete from t", 0) in opened[0]
    assert len(opened[0]) == 2


def test_parses_in_several_threads_at_once() -> None:
    results: list[object] = []

    def parse() -> None:
        results.extend(GRAMMAR.parse(b"select a from t where b = 1") for _ in range(50))

    threads = [threading.Thread(target=parse) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 200
    assert all(result == results[0] for result in results)
