import pytest

from interlock.analysis.postgres.analyser import Analyser
from interlock.analysis.postgres.statement import Analysis, Statement

ANALYSER = Analyser()


def statements(text: str) -> tuple[Statement, ...]:
    analysis = ANALYSER.analyse(text)
    assert isinstance(analysis, Analysis), (text, analysis)
    return analysis.statements


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("set search_path = a, b", ("search_path", "a, b", False)),
        ("set local work_mem = 5", ("work_mem", "5", True)),
        ("set \"Client_Encoding\" to 'SJIS'", ("client_encoding", "SJIS", False)),
        ("reset search_path", ("search_path", None, False)),
        ("set search_path to default", ("search_path", None, False)),
        ("set search_path from current", ("search_path", None, False)),
        ("reset all", ("*", None, False)),
        ("discard all", ("*", None, False)),
        ("set role bob", ("role", "bob", False)),
        ("set session authorization default", ("session_authorization", None, False)),
        ("set transaction read write", ("transaction_read_only", "off", True)),
        ("set session characteristics as transaction read only", ("default_transaction_read_only", "on", False)),
        ("begin isolation level serializable", ("transaction_isolation", "serializable", True)),
        ("select set_config('a.b', 'c', true)", ("a.b", "c", True)),
        ("select set_config('a.b', 'c', 'f')", ("a.b", "c", False)),
        ("select set_config(x, 'c', false)", ("*", None, False)),
        ("select set_config('JIT', $1, false)", ("jit", None, False)),
        ("select set_config('jit', $1, $2)", ("*", None, False)),
        ("select set_config('search_path', $1, false)", ("*", None, False)),
        ("explain analyze select set_config('role', 'c', false)", ("role", "c", False)),
        ("set interlock.reason = 'it''s due'", ("interlock.reason", "it's due", False)),
    ],
)
def test_settings_are_told_with_their_value_T5_T10(text: str, expected: tuple[str, str | None, bool]) -> None:
    assert statements(text)[0].sets == (expected,)


def test_mediator_is_told_what_a_statement_does_to_the_session() -> None:
    assert statements("prepare s as select 1")[0].prepares[0] == "s"  # type: ignore[index]
    assert statements("execute s")[0].executes == "s"
    assert statements("deallocate all")[0].deallocates == ""
    assert statements("deallocate s")[0].deallocates == "s"
    assert statements("declare c cursor for select 1")[0].declares[0] == "c"  # type: ignore[index]
    assert statements("fetch 5 from c")[0].fetches == "c"
    assert statements("close all")[0].closes == ""
    assert statements("discard all")[0].deallocates == ""
    assert statements("copy t from stdin")[0].copy == "in"
    assert statements("copy t to stdout")[0].copy == "out"
    assert statements("copy t to '/x'")[0].copy == ""
    assert statements("begin")[0].transaction == "begin"
    assert statements("start transaction")[0].transaction == "begin"
    assert statements("end")[0].transaction == "commit"
    assert statements("abort and chain")[0].chains
    assert statements("alter role r set work_mem = 1")[0].keeps == ("work_mem",)


def test_what_a_prepared_statement_or_cursor_sets_is_not_set_yet() -> None:
    (prepared,) = statements("prepare s as select set_config('search_path', 'x', false)")
    assert prepared.sets == ()
    assert prepared.keeps == ("search_path",)
    assert prepared.prepares is not None
    assert prepared.prepares[1].sets == (("search_path", "x", False),)
