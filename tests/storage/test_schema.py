from datetime import UTC

from hypothesis import given
from hypothesis import strategies as st

from interlock.storage.schema import microseconds, moment


@given(st.integers(min_value=0, max_value=1 << 55))
def test_time_comes_back_as_it_was_stored(stored: int) -> None:
    assert microseconds(moment(stored)) == stored
    assert moment(stored).tzinfo is UTC
