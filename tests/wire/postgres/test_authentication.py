"""Authentication messages: golden bytes both ways, strictness, and no secret in sight."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.errors import ClientProtocolError, UpstreamProtocolError
from interlock.core.secret import Secret
from interlock.wire.postgres.authentication import Authentication, PasswordMessage, SASLInitialResponse, SASLResponse
from tests.wire.postgres.golden import AUTHENTICATION, PASSWORDS, Golden


@pytest.mark.parametrize("golden", AUTHENTICATION + PASSWORDS, ids=str)
def test_golden_bytes_decode_and_encode(golden: Golden) -> None:
    assert golden.message.encode() == golden.raw
    assert type(golden.message).decode(golden.body) == golden.message
    assert golden.raw[0] == golden.message.KIND


@pytest.mark.parametrize("body", [b"", b"\0\0\0", b"\0\0\0\x05sal", b"\0\0\0\0x", b"\0\0\0\x0aSCRAM", b"\0\0\0\x63"])
def test_demand_that_does_not_add_up_or_is_unknown_is_refused(body: bytes) -> None:
    with pytest.raises(UpstreamProtocolError):
        Authentication.decode(body)


@pytest.mark.parametrize("body", [b"", b"open", b"a\0b\0", b"a\0b"])
def test_password_that_is_not_exactly_one_string_is_refused(body: bytes) -> None:
    with pytest.raises(ClientProtocolError):
        PasswordMessage.decode(body)


@pytest.mark.parametrize("body", [b"M", b"M\0", b"M\0\0\0\0\x02a", b"M\0\0\0\0\x01ab", b"M\0\xff\xff\xff\xfe"])
def test_initial_response_that_does_not_add_up_is_refused(body: bytes) -> None:
    with pytest.raises(ClientProtocolError):
        SASLInitialResponse.decode(body)


def test_replies_show_no_secret_P5() -> None:
    replies = (PasswordMessage(Secret("hunter2")), SASLInitialResponse("M", b"hunter2"), SASLResponse(b"hunter2"))
    assert not any("hunter2" in repr(reply) or "hunter2" in str(reply) for reply in replies)


@given(st.binary(max_size=60))
def test_arbitrary_demand_decodes_to_what_encodes_back_or_is_refused(body: bytes) -> None:
    try:
        message = Authentication.decode(body)
    except UpstreamProtocolError:
        return
    assert message.encode()[5:] == body
