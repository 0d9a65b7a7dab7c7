import cedarpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.policy.source import split_policies

POLICY = 'permit (principal, action, resource) when { context.x == "a;b\\"//c" };'


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("", []),
        ("// only; a comment", []),
        (" \n\n// c;\n", []),
        (POLICY, [1]),
        (POLICY + POLICY, [1, 1]),
        ("// first; \n" + POLICY + "\n // second;\n\n" + POLICY + "// end", [2, 5]),
        ('@note("//;")\n' + POLICY, [1]),
    ],
)
def test_pieces_have_the_lines_that_their_policies_start_on(source: str, lines: list[int]) -> None:
    pieces = split_policies(source)

    assert [piece.line for piece in pieces] == lines
    assert all(len(cedarpy.PolicySet.from_str(piece.text)) == 1 for piece in pieces)


def is_policy(text: str) -> bool:
    try:
        return len(cedarpy.PolicySet.from_str(text)) == 1
    except ValueError:
        return False


@pytest.mark.parametrize("rest", ["permit", '"open', ";", "permit (principal, action, resource)"])
def test_rest_without_an_end_is_a_piece_that_does_not_parse(rest: str) -> None:
    pieces = split_policies(POLICY + "\n" + rest)

    assert [piece.line for piece in pieces] == [1, 2]
    assert not is_policy(pieces[1].text)


@given(st.text(alphabet='permit;"\\/\n @', max_size=60))
def test_no_text_that_is_not_comment_or_space_is_lost(source: str) -> None:
    pieces = split_policies(source)

    assert source.startswith("".join(piece.text for piece in pieces))
    left = source[sum(len(piece.text) for piece in pieces) :]
    assert all(not line.strip() or line.lstrip().startswith("//") for line in left.split("\n"))
