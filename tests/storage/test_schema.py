from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from interlock.storage.schema import microseconds, moment


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(9999, 1, 1), timezones=st.just(UTC)))
def test_time_comes_back_as_it_was_stored(when: datetime) -> None:
    assert moment(microseconds(when)) == when
