"""Names are believed only as far as the server is known to have them (T3)."""

from hypothesis import given
from hypothesis import strategies as st

from interlock.protocols.postgres.names import UNSETTLED, Names


def test_a_name_is_seen_in_its_own_batch_before_the_server_confirms_it() -> None:
    names: Names[str] = Names()
    names.change("s", "one", 1)
    assert names.resolve("s", 1) == "one"


def test_a_later_batch_waits_for_a_name_that_an_earlier_one_changes() -> None:
    names: Names[str] = Names()
    names.set("s", "old")
    names.change("s", "new", 1)
    assert names.resolve("s", 2) is UNSETTLED
    assert names.confirm() == "old"
    assert names.resolve("s", 2) == "new"


def test_a_failed_batch_leaves_the_old_meaning() -> None:
    names: Names[str] = Names()
    names.set("s", "old")
    names.change("s", None, 1)
    names.change("s", "new", 1)
    names.change("t", "later", 2)
    assert names.drop_batch(1) == ["new"]
    assert names.resolve("s", 2) == "old"
    assert names.resolve("t", 2) == "later"


def test_a_closed_name_stands_for_nothing() -> None:
    names: Names[str] = Names()
    names.set("s", "old")
    names.change("s", None, 1)
    assert names.resolve("s", 1) is None
    assert names.confirm() == "old"
    assert names.resolve("s", 2) is None
    assert len(names) == 0


CHANGES = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["x", "y", None])), max_size=6)


@given(batches=st.lists(st.tuples(CHANGES, st.integers(0, 6)), max_size=8))
def test_whatever_fails_where_the_gateway_and_the_server_agree_T3(
    batches: list[tuple[list[tuple[str, str | None]], int]],
) -> None:
    """A server that runs each batch up to a failing message, and the table, end with the same names."""
    names: Names[str] = Names()
    server: dict[str, str] = {}
    for number, (changes, fails_at) in enumerate(batches):
        for name, entry in changes:
            names.change(name, entry, number)
        for at, (name, entry) in enumerate(changes):
            if at == fails_at:
                names.drop_batch(number)
                break
            server.pop(name, None)
            if entry is not None:
                server[name] = entry
            names.confirm()
        assert names.confirmed() == server
        assert all(names.resolve(name, number + 1) == server.get(name) for name in "abc")


def test_weight_is_that_of_all_entries_whatever_became_of_them() -> None:
    names: Names[str] = Names(len)
    names.change("a", "12", 1)
    names.change("a", "345", 1)
    names.change("b", "6", 2)
    assert names.weight == 6
    names.confirm()
    names.confirm()
    assert names.weight == 4
    names.drop_batch(2)
    assert names.weight == 3
    names.set("a", "7")
    names.set("c", "89")
    assert names.weight == 3
    names.remove("c")
    names.remove("c")
    assert names.weight == 1
    names.clear()
    assert names.weight == 0
