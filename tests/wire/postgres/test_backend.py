"""Messages from servers: golden bytes both ways, strictness, and nothing but the documented error."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.errors import UpstreamProtocolError
from interlock.wire.postgres import backend
from interlock.wire.postgres.backend import (
    BackendKeyData,
    CommandComplete,
    FunctionCallResponse,
    NegotiateProtocolVersion,
    NotificationResponse,
    ParameterStatus,
    ReadyForQuery,
    verify_bodiless,
)
from tests.wire.postgres.golden import BACKEND, Golden

KINDS: tuple[Any, ...] = (
    BackendKeyData,
    CommandComplete,
    FunctionCallResponse,
    NegotiateProtocolVersion,
    NotificationResponse,
    ParameterStatus,
    ReadyForQuery,
)


@pytest.mark.parametrize("golden", BACKEND, ids=str)
def test_golden_bytes_decode_and_encode(golden: Golden) -> None:
    assert golden.message.encode() == golden.raw
    assert type(golden.message).decode(golden.body) == golden.message
    assert golden.raw[0] == golden.message.KIND


@pytest.mark.parametrize("golden", BACKEND, ids=str)
def test_empty_body_is_refused(golden: Golden) -> None:
    with pytest.raises(UpstreamProtocolError):
        type(golden.message).decode(b"")


@pytest.mark.parametrize("golden", [g for g in BACKEND if not isinstance(g.message, BackendKeyData)], ids=str)
def test_trailing_bytes_and_every_missing_byte_are_refused_T1(golden: Golden) -> None:
    decode = type(golden.message).decode
    for body in [golden.body + b"\0", *(golden.body[:end] for end in range(len(golden.body)))]:
        with pytest.raises(UpstreamProtocolError):
            decode(body)


@given(st.sampled_from(KINDS), st.binary(max_size=60))
def test_arbitrary_body_decodes_to_what_encodes_back_or_is_refused(kind: Any, body: bytes) -> None:
    try:
        message = kind.decode(body)
    except UpstreamProtocolError:
        return
    assert message.encode()[5:] == body


@pytest.mark.parametrize("size", [0, 3, 257])
def test_cancel_key_of_a_length_that_no_version_has_is_refused(size: int) -> None:
    with pytest.raises(UpstreamProtocolError, match=f"key of {size} bytes"):
        BackendKeyData.decode(b"\0\0\0\x07" + b"k" * size)


def test_cancel_key_shows_in_no_repr() -> None:
    assert repr(BackendKeyData(7, b"secret")) == "BackendKeyData(pid=7, key=***)"


@pytest.mark.parametrize("count", [b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"])
def test_negotiation_that_announces_options_that_do_not_fit_is_refused(count: bytes) -> None:
    with pytest.raises(UpstreamProtocolError, match="don't fit"):
        NegotiateProtocolVersion.decode(b"\0\x03\0\0" + count + b"\0")


@pytest.mark.parametrize(
    ("tag", "rows"),
    [
        ("SELECT 12", 12),
        ("INSERT 0 5", 5),
        ("BEGIN", 0),
        ("COPY 7", 7),
        ("", 0),
        ("SELECT \u0661", 0),
        ("SELECT -1", 0),
        ("SELECT " + "9" * 5000, 0),
    ],
)
def test_rows_are_counted_from_the_tag(tag: str, rows: int) -> None:
    assert CommandComplete(tag).rows == rows


def test_constants_are_headers_alone() -> None:
    constants = (
        backend.PARSE_COMPLETE,
        backend.BIND_COMPLETE,
        backend.CLOSE_COMPLETE,
        backend.EMPTY_QUERY_RESPONSE,
        backend.NO_DATA,
        backend.PORTAL_SUSPENDED,
    )
    assert {constant[0] for constant in constants} == backend.BODILESS - {ord("c")}
    assert {constant[1:] for constant in constants} == {b"\0\0\0\x04"}
    assert [verify_bodiless(constant[0], b"") for constant in constants] == [constant[0] for constant in constants]


@pytest.mark.parametrize(("kind", "body"), [(ord("1"), b"x"), (ord("Z"), b"")])
def test_bodiless_kind_with_a_body_is_refused(kind: int, body: bytes) -> None:
    with pytest.raises(UpstreamProtocolError, match="with a body"):
        verify_bodiless(kind, body)
