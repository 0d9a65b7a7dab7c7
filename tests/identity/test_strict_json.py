import pytest

from interlock.core.errors import AuthenticationError
from interlock.identity.strict_json import decode_object


def test_plain_object_is_decoded() -> None:
    assert decode_object('{"a": [1, {"b": "é"}]}'.encode(), "x") == {"a": [1, {"b": "é"}]}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"null",
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 1}}',
        b'{"sub": "ann", "s\\u0075b": "root"}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": "\\ud800"}',
        b"\xff{}",
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        b'{"a": ' * 5000 + b"1" + b"}" * 5000,
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": 1} {"b": 2}',
        b"{'a': 1}",
    ],
)
def test_text_that_two_readers_could_read_differently_is_refused_T25(data: bytes) -> None:
    with pytest.raises(AuthenticationError):
        decode_object(data, "x")
