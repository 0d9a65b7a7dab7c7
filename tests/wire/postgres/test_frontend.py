"""Messages from clients: golden bytes both ways, strictness, and nothing but the documented error."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.errors import ClientProtocolError
from interlock.wire.postgres.frontend import (
    Bind,
    Close,
    Describe,
    Execute,
    Flush,
    FunctionCall,
    Parse,
    Query,
    Sync,
    Terminate,
)
from tests.wire.postgres.golden import FRONTEND, Golden

KINDS: tuple[Any, ...] = (Query, Parse, Bind, Describe, Close, Execute, Sync, Flush, Terminate, FunctionCall)

names = st.binary(max_size=12).filter(lambda name: b"\0" not in name)
oids = st.integers(0, 0xFFFFFFFF)
parameters = st.lists(st.none() | st.binary(max_size=12), max_size=5).map(tuple)
formats = st.sampled_from([(), (0,), (1,)])
messages = st.one_of(
    st.builds(Query, names),
    st.builds(Parse, names, names, st.lists(oids, max_size=5).map(tuple)),
    st.builds(Bind, names, names, formats, parameters, st.lists(st.integers(0, 1), max_size=5).map(tuple)),
    st.builds(Describe, st.sampled_from("SP"), names),
    st.builds(Close, st.sampled_from("SP"), names),
    st.builds(Execute, names, st.integers(-(2**31), 2**31 - 1)),
    st.builds(FunctionCall, oids, formats, parameters, st.integers(0, 1)),
)


@pytest.mark.parametrize("golden", FRONTEND, ids=str)
def test_golden_bytes_decode_and_encode(golden: Golden) -> None:
    assert golden.message.encode() == golden.raw
    assert type(golden.message).decode(golden.body) == golden.message
    assert golden.raw[0] == golden.message.KIND


@pytest.mark.parametrize("golden", FRONTEND, ids=str)
def test_trailing_bytes_and_every_missing_byte_are_refused_T1(golden: Golden) -> None:
    decode = type(golden.message).decode
    for body in [golden.body + b"\0", golden.body + b"x", *(golden.body[:end] for end in range(len(golden.body)))]:
        with pytest.raises(ClientProtocolError):
            decode(body)


@given(messages)
def test_what_is_encoded_decodes_to_itself(message: Any) -> None:
    assert type(message).decode(message.encode()[5:]) == message


@given(st.sampled_from(KINDS), st.binary(max_size=60))
def test_arbitrary_body_decodes_to_what_encodes_back_or_is_refused(kind: Any, body: bytes) -> None:
    try:
        message = kind.decode(body)
    except ClientProtocolError:
        return
    assert message.encode()[5:] == body


def test_text_with_a_nul_inside_is_refused_both_ways_T1() -> None:
    with pytest.raises(ClientProtocolError):
        Query.decode(b"SELECT 1\0; DROP TABLE t\0")
    with pytest.raises(ValueError, match="NUL"):
        Query(b"SELECT 1\0; DROP TABLE t").encode()


@pytest.mark.parametrize("kind", [Describe, Close])
def test_target_that_is_neither_statement_nor_portal_is_refused(kind: Any) -> None:
    with pytest.raises(ClientProtocolError, match="not S or P"):
        kind.decode(b"Xname\0")


def test_parse_that_announces_more_types_than_it_has_room_for_is_refused() -> None:
    with pytest.raises(ClientProtocolError, match="that many types"):
        Parse.decode(b"\0\0\xff\xff\0\0\0\x17")


def test_function_call_with_formats_that_fit_no_argument_is_refused() -> None:
    good = FunctionCall(1, (0, 1), (b"a", b"b"), 0).encode()[5:]
    assert FunctionCall.decode(good).formats == (0, 1)
    for bad in (FunctionCall(1, (0, 1), (b"a",), 0), FunctionCall(1, (), (), 2)):
        with pytest.raises(ClientProtocolError, match="formats"):
            FunctionCall.decode(bad.encode()[5:])


def test_bind_tells_the_format_of_each_parameter() -> None:
    none, one, each = (Bind(b"", b"", formats, (b"a", b"b")) for formats in ((), (1,), (0, 1)))
    assert [bind.format_of(1) for bind in (none, one, each)] == [0, 1, 1]
