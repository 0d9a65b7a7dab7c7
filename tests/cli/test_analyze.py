import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.cli.analyze import read_questions
from tests.cli.running import interlock


def analyse(*lines: object, options: tuple[str, ...] = ()) -> list[dict[str, object]]:
    data = b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)
    answer = interlock("analyze", "postgres", "--jsonl", *options, stdin=data)
    assert answer.code == 0, answer
    return [json.loads(line) for line in answer.out.splitlines()]


def test_policy_author_pipes_statements_and_gets_one_line_each_in_order() -> None:
    rows = analyse(
        {"id": 1, "text": "SELECT 1"},
        {"id": "b", "text": "DELETE FROM t"},
        {"id": 3, "text": "INSERT INTO t VALUES (1); DROP TABLE t"},
    )
    assert [row["id"] for row in rows] == [1, "b", 3]
    assert [row["effects"] for row in rows] == [["read"], ["destroy"], ["write", "destroy"]]
    assert set(rows[0]) == {"id", "effects", "kind", "facts", "error"}
    assert rows[1]["kind"] == "postgres.delete"
    assert all(row["error"] is None for row in rows)


def test_statement_that_cannot_be_parsed_is_unknown_with_the_parser_s_own_error_P2() -> None:
    (row,) = analyse({"id": 1, "text": "SELEC 1"})
    assert row["effects"] == ["unknown"]
    assert row["error"] == {"code": "42601", "message": 'syntax error at or near "SELEC"', "position": 1}


def test_lines_that_are_no_questions_are_answered_and_the_next_ones_too_P2() -> None:
    rows = analyse(
        b"garbage\n", b"\n", {"id": 7}, {"id": 8, "text": 5}, b'{"id":9,"text":"\xff"}\n', [1], {"text": "SELECT 1"}
    )
    assert [row["id"] for row in rows] == [None, 7, 8, None, None, None]
    assert [row["effects"] for row in rows] == [["unknown"]] * 5 + [["read"]]
    assert [row["error"] and row["error"]["code"] for row in rows] == ["bad_line"] * 5 + [None]  # type: ignore[index]


def test_statement_over_the_limit_is_unknown_P2() -> None:
    (row,) = analyse({"id": 1, "text": "SELECT '" + "x" * 200 + "'"}, options=("--max-bytes", "100"))
    assert (row["effects"], row["error"] and row["error"]["code"]) == (["unknown"], "limit")  # type: ignore[index]


def test_statement_without_jsonl_is_the_whole_input() -> None:
    answer = interlock("analyze", "postgres", stdin=b"DROP TABLE\n  t;\n")
    assert json.loads(answer.out)["effects"] == ["destroy"]


@given(st.binary(max_size=60))
def test_any_bytes_are_questions_or_errors_and_nothing_raises(data: bytes) -> None:
    lines = [line for line in data.split(b"\n") if line.strip()]
    assert len(list(read_questions(io.BytesIO(data), jsonl=True))) == len(lines)


@pytest.mark.parametrize("options", [("--max-bytes", "0"), ("--max-bytes", str(1 << 40)), ("--nonsense",)])
def test_misuse_is_usage_error(options: tuple[str, ...]) -> None:
    assert interlock("analyze", "postgres", *options).code == 2
