"""The field types that bodies are made of, where no message reaches them."""

import pytest

from interlock.core.errors import ClientProtocolError, UpstreamProtocolError
from interlock.wire.postgres import body as wire
from interlock.wire.postgres.body import Body


def test_fields_are_taken_in_order_and_the_end_is_checked() -> None:
    raw = wire.int16(-2) + wire.count(65535) + wire.int32(-3) + wire.oid(0xFFFFFFFF) + wire.text("é") + b"rest"
    fields = Body(raw, "Test", ClientProtocolError)
    assert (fields.int16(), fields.count(), fields.int32(), fields.oid()) == (-2, 65535, -3, 0xFFFFFFFF)
    assert fields.text() == "é"
    with pytest.raises(ClientProtocolError, match="Test: 4 trailing bytes"):
        fields.end()
    assert fields.rest() == b"rest"
    fields.end()


def test_negative_size_is_refused_as_the_sender_s_error() -> None:
    with pytest.raises(UpstreamProtocolError, match="Test: ends early"):
        Body(b"abc", "Test", UpstreamProtocolError).take(-1)


def test_text_that_is_not_utf8_survives() -> None:
    assert wire.text(Body(b"\xff\xfe\0", "Test", ClientProtocolError).text()) == b"\xff\xfe\0"


@pytest.mark.parametrize("value", ["a\0b", "\0"])
def test_text_with_a_nul_is_never_encoded_T1(value: str) -> None:
    with pytest.raises(ValueError, match="NUL"):
        wire.text(value)
