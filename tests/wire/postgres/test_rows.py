"""Rows and descriptions: golden bytes both ways, strictness, and nothing but the documented error."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.errors import UpstreamProtocolError
from interlock.wire.postgres.rows import DataRow, ParameterDescription, RowDescription
from tests.wire.postgres.golden import ROWS, Golden

KINDS: tuple[Any, ...] = (RowDescription, DataRow, ParameterDescription)


@pytest.mark.parametrize("golden", ROWS, ids=str)
def test_golden_bytes_decode_and_encode(golden: Golden) -> None:
    assert golden.message.encode() == golden.raw
    assert type(golden.message).decode(golden.body) == golden.message
    assert golden.raw[0] == golden.message.KIND


@pytest.mark.parametrize("golden", ROWS, ids=str)
def test_trailing_bytes_and_every_missing_byte_are_refused_T1(golden: Golden) -> None:
    for body in [golden.body + b"\0", *(golden.body[:end] for end in range(len(golden.body)))]:
        with pytest.raises(UpstreamProtocolError):
            type(golden.message).decode(body)


@given(st.lists(st.none() | st.binary(max_size=20), max_size=10).map(tuple))
def test_row_of_any_values_survives(values: tuple[bytes | None, ...]) -> None:
    assert DataRow.decode(DataRow(values).encode()[5:]).values == values


@pytest.mark.parametrize("length", [b"\xff\xff\xff\xfe", b"\x80\0\0\0", b"\x7f\xff\xff\xff"])
def test_value_with_a_lying_length_is_refused_T1(length: bytes) -> None:
    with pytest.raises(UpstreamProtocolError, match="ends early"):
        DataRow.decode(b"\0\x01" + length + b"abc")


@given(st.sampled_from(KINDS), st.binary(max_size=60))
def test_arbitrary_body_decodes_to_what_encodes_back_or_is_refused(kind: Any, body: bytes) -> None:
    try:
        message = kind.decode(body)
    except UpstreamProtocolError:
        return
    assert message.encode()[5:] == body
