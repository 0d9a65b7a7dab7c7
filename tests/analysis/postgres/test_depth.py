import ctypes

import pytest

from interlock.analysis.postgres.depth import DEEP, nesting_bound
from interlock.analysis.postgres.parser import Grammar

GRAMMAR = Grammar()


def bound(text: str) -> int:
    result = GRAMMAR._scan(text.encode())
    try:
        assert not result.error
        tokens = ctypes.string_at(result.tokens.data, result.tokens.length)
    finally:
        GRAMMAR._free_scan(result)
    return nesting_bound(tokens, text.encode())


@pytest.mark.parametrize(
    "piece",
    ["+1", " is null", "::int", " collate x", " at time zone x", " union select a, b", " join b on f(x, y)", "[1]"],
)
def test_chain_that_nests_in_the_tree_counts_each_link_T30(piece: str) -> None:
    assert bound("select a" + piece * 500) >= 500
    assert bound("select b, (a" + piece * 500 + "), c") >= 500


def test_chain_that_nests_across_commas_and_words_counts_each_link_T30() -> None:
    assert bound("select 1, 2 union " * 400 + "select 1, 2") >= 400
    assert bound("select " + "case when a and b then " * 300 + "1" + " end" * 300) >= 300
    assert bound("select " + "f(1, " * 300 + "1" + ")" * 300) >= 300
    assert bound("select a between 1 and " + "+".join(["1"] * 400)) >= 400


def test_long_lists_and_flat_conditions_count_little() -> None:
    assert bound("insert into t values " + ",".join(["(1, 2, 'x')"] * 3000)) < 100
    assert bound("select 1 where a = 1" + " or a = 2 and b = 3" * 3000) < 100
    assert bound("; ".join(["select 1 + 1"] * 3000)) < 100
    assert DEEP > 10_000
