"""The hot Bind walk against what the specification says, at its edges."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.errors import ClientProtocolError
from interlock.wire.postgres.binding import decode_bind


def test_most_parameters_that_the_count_can_say_are_decoded() -> None:
    body = b"\0\0\0\0\xff\xff" + b"\0\0\0\x01x" * 65535 + b"\0\0"
    assert decode_bind(body)[3] == (b"x",) * 65535


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "ends early"),
        (b"portal", "ends early"),
        (b"portal\0statement", "ends early"),
        (b"\0\0\0", "ends early"),
        (b"\0\0\xff\xff\0\0\0\0", "ends early"),
        (b"\0\0\0\x02\0\0\0\0\0\x01\0\0\0\0\0\0", "2 formats for 1"),
        (b"\0\0\0\x01\0\x02\0\0\0\0", "neither 0 nor 1"),
        (b"\0\0\0\x01\xff\xff\0\0\0\0", "neither 0 nor 1"),
        (b"\0\0\0\0\xff\xff\0\0", "ends early"),
        (b"\0\0\0\0\0\x01\0\0\0\x09abc\0\0", "longer than"),
        (b"\0\0\0\0\0\x01\x7f\xff\xff\xffabc\0\0", "longer than"),
        (b"\0\0\0\0\0\x01\xff\xff\xff\xfeabc\0\0", "longer than"),
        (b"\0\0\0\0\0\x01\xff\xff\xff\xff\0", "ends early"),
        (b"\0\0\0\0\0\0\0\x01\0", "don't add up"),
        (b"\0\0\0\0\0\0\0\x01\0\x02", "neither 0 nor 1"),
        (b"\0\0\0\0\0\0\0\0x", "don't add up"),
    ],
)
def test_bind_that_does_not_add_up_is_refused_T1(body: bytes, what: str) -> None:
    with pytest.raises(ClientProtocolError, match=what):
        decode_bind(body)


@given(st.lists(st.none() | st.binary(max_size=300), max_size=20))
def test_values_of_any_bytes_and_nulls_survive(values: list[bytes | None]) -> None:
    packed = b"".join([b"\xff" * 4 if value is None else struct.pack("!i", len(value)) + value for value in values])
    body = b"p\0s\0" + b"\0\0" + struct.pack("!H", len(values)) + packed + b"\0\x01\0\x01"
    assert decode_bind(body) == (b"p", b"s", (), tuple(values), (1,))
