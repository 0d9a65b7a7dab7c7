"""Errors and notices: golden bytes both ways, and replies of our own that can always be made."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.errors import UpstreamProtocolError
from interlock.wire.postgres.replies import ErrorResponse, NoticeResponse, error_response, notice_response
from tests.wire.postgres.golden import REPLIES, Golden


@pytest.mark.parametrize("golden", REPLIES, ids=str)
def test_golden_bytes_decode_and_encode(golden: Golden) -> None:
    assert golden.message.encode() == golden.raw
    assert type(golden.message).decode(golden.body) == golden.message
    assert golden.raw[0] == golden.message.KIND


@pytest.mark.parametrize("golden", REPLIES, ids=str)
def test_trailing_bytes_and_every_missing_byte_are_refused_T1(golden: Golden) -> None:
    for body in [golden.body + b"\0", *(golden.body[:end] for end in range(len(golden.body)))]:
        with pytest.raises(UpstreamProtocolError):
            type(golden.message).decode(body)


@given(st.sampled_from([ErrorResponse, NoticeResponse]), st.binary(max_size=60))
def test_arbitrary_body_decodes_to_what_encodes_back_or_is_refused(kind: Any, body: bytes) -> None:
    try:
        message = kind.decode(body)
    except UpstreamProtocolError:
        return
    assert message.encode()[5:] == body


def test_error_of_our_own_has_postgres_fields_in_order() -> None:
    raw = error_response("ERROR", "42501", "denied", detail="d", hint="h", position=8)
    assert raw[5:] == b"SERROR\0VERROR\0C42501\0Mdenied\0Dd\0Hh\0P8\0\0"
    assert ErrorResponse.decode(raw[5:]).sqlstate == "42501"


def test_notice_of_our_own_leaves_out_what_is_empty() -> None:
    raw = notice_response("NOTICE", "00000", "held")
    assert raw[:1] == b"N"
    assert raw[5:] == b"SNOTICE\0VNOTICE\0C00000\0Mheld\0\0"
    notice = NoticeResponse.decode(raw[5:])
    assert (notice.get("M"), notice.get("D")) == ("held", "")


@given(st.text(st.characters(), max_size=30))
def test_error_with_any_text_stays_one_message_with_its_fields_T1(text: str) -> None:
    error = ErrorResponse.decode(error_response("ERROR", "42501", text, detail="d")[5:])
    assert [code for code, _ in error.fields] == ["S", "V", "C", "M", "D"]
    assert len(error.get("M")) == len(text)
