"""A secret: nothing that Python does by itself with a value shows it."""

import copy
import json
import pickle  # noqa: TID251 - to show that it refuses
import traceback

import msgspec
import pytest

from interlock.core.resource import UpstreamLogin
from interlock.core.secret import Secret

TEXT = "correct horse battery"
SECRET = Secret(TEXT)


@pytest.mark.parametrize(
    "shown",
    [
        repr(SECRET),
        str(SECRET),
        f"{SECRET}",
        f"{SECRET!r:>40}",
        f"{SECRET:>40}",
        "%s %r" % (SECRET, SECRET),  # noqa: UP031 - the oldest way of formatting leaks nothing either
        "{0} {0!r}".format(SECRET),  # noqa: UP032
        repr([SECRET]),
        repr({"password": SECRET}),
        repr(UpstreamLogin("app", SECRET)),
        ascii(SECRET),
    ],
)
def test_somebody_formats_it_and_sees_nothing_P5_T24(shown: str) -> None:
    assert TEXT not in shown
    assert "***" in shown


def test_somebody_serialises_it_and_is_refused_P5_T24() -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(SECRET)
    with pytest.raises(TypeError):
        copy.deepcopy(SECRET)
    with pytest.raises(TypeError):
        json.dumps(SECRET)
    with pytest.raises(TypeError):
        msgspec.json.encode(SECRET)


def test_a_traceback_with_its_locals_shows_nothing_P5_T24() -> None:
    def fails(password: Secret) -> None:
        message = f"can't log in with {password}"
        raise RuntimeError(message)

    try:
        fails(SECRET)
    except RuntimeError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "password" in shown
    assert TEXT not in shown


def test_it_has_no_attributes_to_list_or_add() -> None:
    assert not hasattr(SECRET, "__dict__")
    with pytest.raises(AttributeError):
        SECRET.text = "x"  # type: ignore[attr-defined]  # slots refuse what isn't declared


def test_two_secrets_are_equal_if_their_texts_are_and_never_equal_to_a_text() -> None:
    assert Secret(TEXT) == SECRET
    assert hash(SECRET) == hash(Secret(TEXT))
    assert Secret("other") != SECRET
    assert SECRET != TEXT
    assert SECRET.reveal() == TEXT
