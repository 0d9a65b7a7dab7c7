import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.analysis.postgres.analyser import Analyser
from interlock.analysis.postgres.jsonl import analyse_lines

ANALYSER = Analyser()


def answers(*lines: bytes) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in analyse_lines(lines, ANALYSER)]


def test_each_line_is_answered_in_order_with_effects_kind_and_facts() -> None:
    first, second = answers(b'{"id": 1, "text": "select * from t"}\n', b'{"id": "b", "text": "begin; delete from t"}\n')
    assert first["id"] == 1
    assert first["effects"] == ["read"]
    assert first["kind"] == "postgres.select"
    assert first["facts"]["reads"] == ["t"]  # type: ignore[index]
    assert first["error"] is None
    assert second["id"] == "b"
    assert second["effects"] == ["destroy", "session"]
    assert second["kind"] == "postgres.batch"


def test_syntax_error_has_the_servers_code_message_and_position() -> None:
    (answer,) = answers('{"id": 7, "text": "select \'\u00e9\' \u00e9 \u00e9"}'.encode())
    assert answer["effects"] == ["unknown"]
    assert answer["error"] == {"code": "42601", "message": 'syntax error at or near "\u00e9"', "position": 14}


def test_lines_that_are_no_request_are_errors_and_stop_nothing() -> None:
    found = answers(
        b"{", b"[1]", b'{"id": 3}', b'{"id": 4, "text": 5}', b"\xff", b"\n", b'{"id": 5, "text": "a\\u0000b"}'
    )
    assert [answer["id"] for answer in found] == [None, None, 3, 4, None, 5]
    assert all(answer["effects"] == ["unknown"] for answer in found)
    assert all(answer["error"] for answer in found)


@settings(max_examples=200)
@given(
    st.lists(
        st.binary(max_size=60)
        | st.text(max_size=60).map(
            lambda text: orjson.dumps({"id": 1, "text": text.encode("utf-8", "replace").decode()})
        )
    )
)
def test_any_lines_are_answered_one_for_one(lines: list[bytes]) -> None:
    assert len(answers(*lines)) == sum(1 for line in lines if line.strip())
