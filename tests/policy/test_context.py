import pytest

from interlock.policy import NO_TOTALS, Context


def test_context_cannot_be_changed_after_it_was_made(context: Context) -> None:
    with pytest.raises(AttributeError):
        context.tls = False  # type: ignore[misc]  # that it is refused is the point


def test_context_without_more_is_that_of_a_new_session(context: Context) -> None:
    new = Context(context.now)

    assert (new.totals, new.reason, new.source, new.database) == (NO_TOTALS, None, "", "")
