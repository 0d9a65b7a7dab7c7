"""One conversation's shared state: whose permit bytes go up under, and what is recorded before it goes down."""

import pytest

from interlock.analysis.postgres.analyser import Analyser
from interlock.core.commands import Done, Held, Record, ToClient, ToUpstream
from interlock.core.outcome import OutcomeStatus
from interlock.core.permit import GATE_MINT, Permit, SessionPermit  # noqa: TID251 - tests stand in for the gate
from interlock.protocols.postgres import running as kinds
from interlock.protocols.postgres.limits import Limits
from interlock.protocols.postgres.replies import FLUSH
from interlock.protocols.postgres.requests import UNSEEN
from interlock.protocols.postgres.running import Expected, Running
from interlock.protocols.postgres.state import Conversation
from tests.protocols.dialogue import a_session, a_session_permit

ANALYSER = Analyser()


def permit(number: int) -> Permit:
    return Permit(mint=GATE_MINT, action_id=f"s1.{number}")


def conversation() -> Conversation:
    state = Conversation(ANALYSER, Limits())
    state.permit = a_session_permit(a_session())
    return state


def sent(state: Conversation) -> list[tuple[bytes, object]]:
    return [(one.data, one.permit) for one in state.take_commands() if isinstance(one, ToUpstream)]


def test_two_actions_back_to_back_never_share_a_command_P1() -> None:
    state, first, second = conversation(), permit(1), permit(2)
    state.forward(b"a", first)
    state.forward(b"b", second)
    state.forward(b"c", first)
    assert sent(state) == [(b"a", first), (b"b", second), (b"c", first)]


def test_bytes_of_one_action_and_the_flow_around_them_go_up_at_once_under_its_permit() -> None:
    state, first = conversation(), permit(1)
    state.flow(b"(")
    state.forward(b"a", first)
    state.forward(b"b", first)
    state.flow(b")")
    assert sent(state) == [(b"(ab)", first)]
    state.flow(b"S")
    assert sent(state) == [(b"S", state.permit)]


def test_a_permit_of_an_earlier_step_covers_nothing_later_P1() -> None:
    state, first = conversation(), permit(1)
    state.forward(b"a", first)
    state.take_commands()
    state.flow(b"S")
    assert [type(one) for _, one in sent(state)] == [SessionPermit]


def test_nothing_flows_before_there_is_a_session_P1() -> None:
    with pytest.raises(TypeError):
        Conversation(ANALYSER, Limits()).flow(b"S")


def test_a_response_is_recorded_before_the_client_gets_it_P1() -> None:
    state = conversation()
    one = Running(permit(1), None, None)
    state.deliver(b"row1", one)
    state.deliver(b"row2", one)
    assert state.take_commands() == [Record("s1.1", b"row1row2"), ToClient(b"row1row2")]


def test_the_last_bytes_of_a_response_are_recorded_with_its_outcome_and_once_P1() -> None:
    state = conversation()
    one = Running(permit(1), None, None)
    state.open["s1.1"] = one
    state.deliver(b"tag", one)
    state.finish(one, OutcomeStatus.OK)
    state.finish(one, OutcomeStatus.ERROR)
    done, down = state.take_commands()
    assert isinstance(done, Done)
    assert (done.data, done.outcome.status) == (b"tag", "ok")
    assert down == ToClient(b"tag")
    assert not state.open


def test_what_ended_gets_no_further_bytes_recorded() -> None:
    state = conversation()
    one = Running(permit(1), None, None)
    state.finish(one, OutcomeStatus.OK)
    state.deliver(b"late", one)
    assert [type(command) for command in state.take_commands()] == [Done, ToClient]


def test_barriers_are_counted_while_their_replies_are_owed() -> None:
    state = conversation()
    state.expect(Expected(kinds.QUERY, 1, barrier=True))
    state.expect(Expected(kinds.SYNC, 1))
    assert state.barriers == 1
    assert state.fulfilled().kind == kinds.QUERY
    assert state.barriers == 0


def test_a_flush_is_sent_once_and_only_where_something_may_be_owed() -> None:
    state = conversation()
    state.flush_upstream()
    assert sent(state) == []
    state.forward_extended(b"P", permit(1), Expected(kinds.PARSE, 1))
    state.flush_upstream()
    state.flush_upstream()
    assert [data for data, _ in sent(state)] == [b"P" + FLUSH]


def test_a_catalogue_that_cannot_be_read_leaves_nothing_known_T4() -> None:
    state = conversation()
    state.looking = state.requests.dirty = True
    state.learned(None)
    assert state.requests.catalogue is UNSEEN
    assert not state.looking
    assert not state.requests.dirty


def test_a_catalogue_that_nobody_asked_for_leaves_the_sessions_own_changes_in_doubt_T4() -> None:
    state = conversation()
    state.looking = state.requests.dirty = True
    state.learned(None, unasked=True)
    assert state.looking
    assert state.requests.dirty


def test_a_notice_never_falls_into_the_middle_of_a_message() -> None:
    state = conversation()
    state.held = Held("s1.1", "apr-7", ("dba",), 1800)
    state.tick(1.0)
    state.mid_message = True
    state.tick(100.0)
    assert state.take_commands() == []
    state.mid_message = False
    state.tick(101.0)
    assert b"waited 100 s" in state.to_client[0]
