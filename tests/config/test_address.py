import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.config.address import Address, parse_address


@pytest.mark.parametrize("text", ["db.internal:5432", "127.0.0.1:0", "[::1]:6432", "unix:/run/pg:5432"])
def test_address_is_written_as_it_was_read(text: str) -> None:
    assert str(parse_address(text)) == text


@given(st.text(max_size=30))
def test_anything_written_is_an_address_or_a_value_error(text: str) -> None:
    try:
        address = parse_address(text)
    except ValueError:
        return
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text", ["::1:5432", "[::1]", "[x]:1", "u@h:1", "h:", ":1", "h:-1", "h:٣", "unix:run:1", "a b:1"]
)
def test_text_that_could_be_read_two_ways_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"address|port|socket"):
        parse_address(text)


def test_only_literal_loopback_and_sockets_are_local() -> None:
    assert Address("127.9.9.9", 1).is_local
    assert Address("", 1, "/run").is_local
    assert not Address("127.0.0.1.example", 1).is_local
    assert not Address("0.0.0.0", 1).is_local
