import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.approval.showing import show, show_line, with_parameters
from interlock.core.action import Action


@given(st.text(max_size=200))
def test_shown_text_holds_nothing_invisible_whatever_was_written_T19(text: str) -> None:
    shown, _ = show(text)
    assert not [
        c for c in shown if c not in "\n\t " and unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Zs", "Zl", "Zp"}
    ]
    assert "\n" not in show_line(text)


@given(st.text(max_size=50), st.text(max_size=50))
def test_two_texts_are_shown_alike_only_if_they_are_alike_T19(one: str, other: str) -> None:
    assert (show(one)[0] == show(other)[0]) == (one == other)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("SELECT 'привет мир', 'naïve – \u201cça\u201d'", "SELECT 'привет мир', 'naïve – \u201cça\u201d'"),
        ("DELETE FROM ord\u0435rs", "DELETE FROM ord‹U+0435 CYRILLIC SMALL LETTER IE›rs"),
        ("DROP \u0430\u0441", "DROP ‹U+0430 CYRILLIC SMALL LETTER A›‹U+0441 CYRILLIC SMALL LETTER ES›"),
        ("a\rb", "a‹U+000D›b"),
        ("a\u00a0b\u200bc", "a‹U+00A0 NO-BREAK SPACE›b‹U+200B ZERO WIDTH SPACE›c"),
        ("\uff24rop", "‹U+FF24 FULLWIDTH LATIN CAPITAL LETTER D›rop"),
        ("‹›", "‹U+2039 SINGLE LEFT-POINTING ANGLE QUOTATION MARK›‹U+203A SINGLE RIGHT-POINTING ANGLE QUOTATION MARK›"),
        ("a;" + " " * 500 + "b", "a; ‹500 spaces› b"),
        ("a;" + "\n" * 99 + "b", "a;\n‹99 line breaks›\nb"),
        ("x\u0301\u0301", "x‹U+0301 COMBINING ACUTE ACCENT›‹U+0301 COMBINING ACUTE ACCENT›"),
        ("a\ud800", "a‹U+D800›"),
    ],
)
def test_approver_sees_tricks_and_reads_honest_text_T19(text: str, shown: str) -> None:
    assert show(text)[0] == shown


def test_approver_reads_every_bound_parameter_below_the_text_T19() -> None:
    action = Action(
        "s.1", "postgres.delete", (), {}, "DELETE FROM t WHERE a = $1 AND b = $2 AND c = $3", b"", "",
        parameters=(b"x'\n--", None, b"\xff\x00"),
    )  # fmt: skip
    shown = with_parameters(action)
    assert shown.splitlines()[1:] == [
        "-- bound parameters:", '''-- $1 = "x'\\n--"''', "-- $2 = NULL", "-- $3 = bytes ff00",
    ]  # fmt: skip
