import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.analysis.postgres import catalogue_rows
from interlock.analysis.postgres.catalogue_rows import Row, decode_rows
from interlock.core.errors import LimitExceeded, UpstreamProtocolError

COLUMNS = {"functions": 15, "operators": 5, "casts": 6, "types": 4, "relations": 6, "edges": 3, "shipped": 3,
           "event_triggers": 3}  # fmt: skip
EMPTY: dict[str, list[Row]] = {name: [] for name in COLUMNS}


def test_an_upstream_leaves_an_answer_out_or_adds_one() -> None:
    with pytest.raises(UpstreamProtocolError):
        decode_rows({name: [] for name in COLUMNS if name != "edges"})
    with pytest.raises(UpstreamProtocolError):
        decode_rows({**EMPTY, "more": []})


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("types", ("16500", "public", "t")),
        ("types", ("16500", "public", None, "0")),
        ("types", ("-1", "public", "t", "0")),
        ("types", ("4294967296", "public", "t", "0")),
        ("types", ("\u0661", "public", "t", "0")),
        ("edges", ("R1", "x", "F1")),
        ("edges", ("S1", "r", "F1")),
        ("edges", ("R1", "r", "Fx")),
        ("edges", ("", "r", "")),
        ("shipped", ("R1", "r", "S")),
        ("functions", ("1", "s", "n", "?", "v", "c", "false", "o", "false", "false", "0", "0", "false", "false", "")),
        ("functions", ("1", "s", "n", "f", "v", "c", "t", "o", "false", "false", "0", "0", "false", "false", "")),
    ],
)
def test_an_upstream_sends_a_row_of_another_shape(name: str, row: Row) -> None:
    with pytest.raises(UpstreamProtocolError):
        decode_rows({**EMPTY, name: [row]})


def test_an_upstream_sends_more_than_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    row = ("16500", "public", "t", "0")
    decode_rows({**EMPTY, "types": [row] * 3})
    with pytest.raises(LimitExceeded):
        decode_rows({**EMPTY, "types": [("16500", "x" * (catalogue_rows.MAX_FIELD + 1), "t", "0")]})
    monkeypatch.setattr(catalogue_rows, "MAX_ROWS", 2)
    with pytest.raises(LimitExceeded):
        decode_rows({**EMPTY, "types": [row] * 3})
    monkeypatch.setattr(catalogue_rows, "MAX_ROWS", 100)
    monkeypatch.setattr(catalogue_rows, "MAX_TEXT", 20)
    with pytest.raises(LimitExceeded):
        decode_rows({**EMPTY, "types": [row] * 3})


_FIELD = st.none() | st.text(max_size=6) | st.sampled_from(["0", "16500", "true", "false", "f", "r", "R1", "F1", "Nx"])


@given(st.fixed_dictionaries({
    name: st.lists(st.lists(_FIELD, min_size=width, max_size=width), max_size=2) for name, width in COLUMNS.items()
}))  # fmt: skip
def test_an_upstream_sends_anything(rows: dict[str, list[Row]]) -> None:
    try:
        typed, text = decode_rows(rows)
    except (UpstreamProtocolError, LimitExceeded):
        return
    assert len(typed.types) == len(rows["types"])
    assert set(text) == set(COLUMNS)
