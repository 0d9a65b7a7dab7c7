"""SASLprep: the examples of RFC 4013 section 3, and PostgreSQL's way with what is prohibited."""

import pytest

from interlock.wire.postgres.saslprep import prepare_password


@pytest.mark.parametrize(
    ("password", "prepared"),
    [
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("\u0627\u0628", "\u0627\u0628"),
    ],
)
def test_password_is_mapped_and_normalised(password: str, prepared: str) -> None:
    assert prepare_password(password) == prepared.encode()


@pytest.mark.parametrize(
    "password",
    [
        pytest.param("\u0007", id="control"),
        pytest.param("\u06271", id="RFC 4013 bidi"),
        pytest.param("\u0627a\u0628", id="mixed"),
        pytest.param("a\u0627", id="begins left to right"),
        pytest.param("\u00ad", id="nothing left"),
        pytest.param("", id="empty"),
        pytest.param("\ue000", id="private use"),
        pytest.param("\u0221", id="unassigned"),
        pytest.param("\ufdd0", id="noncharacter"),
    ],
)
def test_password_that_is_prohibited_is_used_as_it_is(password: str) -> None:
    assert prepare_password(password) == password.encode()


def test_password_that_is_not_utf8_is_used_as_it_is() -> None:
    assert prepare_password("\udcff\u2168") == b"\xff\xe2\x85\xa8"
