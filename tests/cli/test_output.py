from datetime import UTC, datetime, timedelta

import pytest

from interlock.cli.output import new_id, print_fields, print_table, since

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("delta", "said"),
    [
        (timedelta(seconds=-5), "5 s ago"),
        (timedelta(seconds=90), "in 90 s"),
        (timedelta(minutes=-30), "30 min ago"),
        (timedelta(hours=5), "in 5 h"),
        (timedelta(days=-3), "3 d ago"),
    ],
)
def test_time_is_said_as_people_say_it(delta: timedelta, said: str) -> None:
    assert since(NOW + delta, NOW) == said
    assert since((NOW + delta).isoformat(), NOW) == said


def test_text_from_outside_can_not_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A",), [["\x1b[2Jx"], ["\u202ey"]], empty="")
    print_fields([("name", ["a\nb", "\x07"])])
    out = capsys.readouterr().out
    assert not {"\x1b", "\u202e", "\x07"} & set(out)
    assert len(out.splitlines()) == 4


def test_ids_differ() -> None:
    assert len({new_id() for _ in range(100)}) == 100
