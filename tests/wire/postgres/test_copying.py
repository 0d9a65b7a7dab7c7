"""COPY messages: golden bytes both ways, strictness, and whose error it is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.errors import ClientProtocolError, ProtocolError, UpstreamProtocolError
from interlock.wire.postgres.copying import (
    CopyBothResponse,
    CopyData,
    CopyDone,
    CopyFail,
    CopyInResponse,
    CopyOutResponse,
)
from tests.wire.postgres.golden import COPY_FROM_CLIENT, COPY_FROM_UPSTREAM, Golden

KINDS: tuple[Any, ...] = (CopyData, CopyDone, CopyFail, CopyInResponse, CopyOutResponse, CopyBothResponse)


@pytest.mark.parametrize("golden", COPY_FROM_CLIENT + COPY_FROM_UPSTREAM, ids=str)
def test_golden_bytes_decode_and_encode(golden: Golden) -> None:
    assert golden.message.encode() == golden.raw
    assert type(golden.message).decode(golden.body) == golden.message
    assert golden.raw[0] == golden.message.KIND


@pytest.mark.parametrize("golden", COPY_FROM_CLIENT[1:] + COPY_FROM_UPSTREAM, ids=str)
def test_trailing_bytes_and_every_missing_byte_are_refused_T1(golden: Golden) -> None:
    for body in [golden.body + b"\0", *(golden.body[:end] for end in range(len(golden.body)))]:
        with pytest.raises(ProtocolError):
            type(golden.message).decode(body)


@pytest.mark.parametrize("kind", [CopyInResponse, CopyOutResponse, CopyBothResponse])
@pytest.mark.parametrize("body", [b"\x02\0\0", b"\0\0\x01\0\x02"])
def test_format_that_does_not_exist_is_refused(kind: Any, body: bytes) -> None:
    with pytest.raises(UpstreamProtocolError, match="format"):
        kind.decode(body)


@pytest.mark.parametrize("error", [ClientProtocolError, UpstreamProtocolError])
def test_end_of_data_with_a_body_is_the_error_of_its_sender(error: type[ProtocolError]) -> None:
    with pytest.raises(error):
        CopyDone.decode(b"x", error)


@given(st.sampled_from(KINDS), st.binary(max_size=60))
def test_arbitrary_body_decodes_to_what_encodes_back_or_is_refused(kind: Any, body: bytes) -> None:
    try:
        message = kind.decode(body)
    except ProtocolError:
        return
    assert message.encode()[5:] == body
