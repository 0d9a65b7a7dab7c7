"""Packets that open a connection: golden bytes both ways, limits, and nothing but the documented errors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.errors import ClientProtocolError, LimitExceeded
from interlock.wire.postgres.startup import (
    MAX_STARTUP,
    CancelRequest,
    StartupMessage,
    decode_startup,
    verify_startup_length,
)
from tests.wire.postgres.golden import STARTUP, Golden


@pytest.mark.parametrize("golden", STARTUP, ids=str)
def test_golden_bytes_decode_and_encode(golden: Golden) -> None:
    assert golden.message.encode() == golden.raw
    assert decode_startup(golden.raw) == golden.message
    assert verify_startup_length(golden.raw[:4]) == len(golden.raw)


@pytest.mark.parametrize("golden", STARTUP, ids=str)
def test_every_missing_byte_and_trailing_bytes_are_refused_T1(golden: Golden) -> None:
    for packet in [golden.raw + b"\0", *(golden.raw[:end] for end in range(len(golden.raw)))]:
        with pytest.raises(ClientProtocolError):
            decode_startup(packet)


@pytest.mark.parametrize("golden", STARTUP[4:], ids=str)
def test_encryption_request_that_announces_a_body_is_refused(golden: Golden) -> None:
    with pytest.raises(ClientProtocolError, match="trailing"):
        decode_startup(b"\0\0\0\x09" + golden.raw[4:] + b"x")


@pytest.mark.parametrize("size", [0, 4, 7])
def test_length_too_short_for_any_packet_is_refused(size: int) -> None:
    with pytest.raises(ClientProtocolError, match=f"{size} bytes"):
        verify_startup_length(size.to_bytes(4, "big"))


@pytest.mark.parametrize("size", [MAX_STARTUP + 5, 0x7FFFFFFF, 0xFFFFFFFF])
def test_giant_startup_packet_is_refused_by_its_length(size: int) -> None:
    with pytest.raises(LimitExceeded, match="startup packet"):
        verify_startup_length(size.to_bytes(4, "big"))


@pytest.mark.parametrize(
    "pairs",
    [b"", b"user\0a\0", b"user\0a\0\0x", b"user\0a", b"user\0a\0user\0b\0\0", b"user"],
    ids=["no terminator", "no last terminator", "bytes behind", "open value", "twice", "open name"],
)
def test_parameters_that_do_not_add_up_are_refused(pairs: bytes) -> None:
    with pytest.raises(ClientProtocolError):
        StartupMessage.decode(b"\0\x03\0\0" + pairs)


def test_startup_tells_version_user_database_and_options() -> None:
    message = StartupMessage(3 << 16 | 2, {"user": "shop", "_pq_.a": "1"})
    assert (message.major, message.minor, message.user, message.database) == (3, 2, "shop", "shop")
    assert message.options == ("_pq_.a",)
    assert StartupMessage(3 << 16, {"user": "shop", "database": "d"}).database == "d"
    assert StartupMessage(3 << 16, {}).user == ""


@pytest.mark.parametrize("size", [0, 3, 257])
def test_cancel_with_a_key_of_a_length_that_no_version_has_is_refused(size: int) -> None:
    with pytest.raises(ClientProtocolError, match="key"):
        decode_startup(CancelRequest(1, b"k" * size).encode())


def test_cancel_key_shows_in_no_repr() -> None:
    assert "secret" not in repr(CancelRequest(1, b"secret"))


@given(st.binary(max_size=80))
def test_arbitrary_packet_decodes_to_what_encodes_back_or_is_refused(body: bytes) -> None:
    packet = (len(body) + 4).to_bytes(4, "big") + body
    try:
        message = decode_startup(packet)
    except ClientProtocolError:
        return
    assert message.encode() == packet
