"""Actions under way: what is digested on the way, and how they end."""

import hashlib

import pytest

from interlock.analysis.postgres.analyser import Analyser
from interlock.analysis.postgres.statement import Analysis
from interlock.core.decision import Obligations
from interlock.core.outcome import OutcomeStatus
from interlock.core.permit import GATE_MINT, Permit  # noqa: TID251 - tests stand in for the gate
from interlock.protocols.postgres.requests import unparsed
from interlock.protocols.postgres.running import EXECUTE, QUERY, SYNC, Expected, Running

ANALYSER = Analyser()


def running(text: str = "SELECT 1", max_rows: int | None = None) -> Running:
    analysis = ANALYSER.analyse(text)
    assert isinstance(analysis, Analysis)
    permit = Permit(mint=GATE_MINT, action_id="s1.1", obligations=Obligations(max_rows=max_rows))
    return Running(permit, analysis, None)


def test_response_is_digested_as_delivered_whatever_its_pieces() -> None:
    one = running()
    one.parts += [b"ab", b"c"]
    assert one.take_parts() == b"abc"
    assert one.take_parts() == b""
    one.parts.append(b"de")
    done = one.finish(OutcomeStatus.OK)
    assert done.data == b"de"
    assert done.outcome.bytes_count == 5
    assert done.outcome.digest == hashlib.sha256(b"abcde").hexdigest()
    assert one.done


def test_an_outcome_says_what_the_action_came_to() -> None:
    one = running(max_rows=2)
    one.rows, one.tag, one.error, one.rows_cut = 2, "SELECT 2", "54000", True
    outcome = one.finish(OutcomeStatus.ERROR).outcome
    assert (outcome.status, outcome.rows, outcome.tag, outcome.code) == ("error", 2, "SELECT 2", "54000")
    assert outcome.truncated
    assert (one.limit, running().limit, running(max_rows=0).limit) == (2, -1, 0)


def test_streamed_data_has_a_digest_of_its_own_only_where_some_came() -> None:
    copy = running("COPY t FROM STDIN")
    assert copy.finish(OutcomeStatus.OK).outcome.data_digest == ""
    fed = running("COPY t FROM STDIN")
    assert fed.data_digest is not None
    fed.data_digest.update(b"1\n")
    fed.data_bytes += 2
    outcome = fed.finish(OutcomeStatus.OK).outcome
    assert (outcome.data_bytes, outcome.data_digest) == (2, hashlib.sha256(b"1\n").hexdigest())


@pytest.mark.parametrize(
    ("text", "takes"),
    [
        ("COPY t FROM STDIN", True),
        ("SELECT 1; COPY t FROM STDIN", True),
        ("COPY t TO STDOUT", False),
        ("SELECT 'COPY t FROM STDIN'", False),
    ],
)
def test_only_a_copy_from_stdin_takes_data_T6(text: str, takes: bool) -> None:
    one = running(text)
    assert one.takes_data is takes
    assert Expected(QUERY, 1, one).may_take_data is takes
    assert not Expected(SYNC, 1).may_take_data


def test_what_policy_permits_unread_may_take_data_too() -> None:
    _, analysis = unparsed()
    assert Running(Permit(mint=GATE_MINT, action_id="s1.1"), analysis, None).takes_data


def test_an_execute_takes_data_once_and_a_query_may_hold_several_copies() -> None:
    one = running("COPY t FROM STDIN; COPY t FROM STDIN")
    one.fed = True
    assert not Expected(EXECUTE, 1, one).may_take_data
    assert Expected(QUERY, 1, one).may_take_data
