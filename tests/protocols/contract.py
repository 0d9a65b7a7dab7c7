"""What every protocol's mediator owes: subclass, say how the protocol talks, and all of this is tested.

Nothing goes up before the answer; a denial is the protocol's own error and the session goes on; order is kept; a
hang-up and a cancel withdraw; what can't be understood is asked about as ``unknown``; the approved copy is what runs.
"""

from abc import ABC, abstractmethod

import pytest

from interlock.core.commands import (
    Answered,
    Ask,
    CancelRequested,
    ClientClosed,
    FromClient,
    FromUpstream,
    Held,
    Killed,
    ToClient,
    ToUpstream,
    Withdraw,
)
from interlock.core.decision import Deny
from interlock.core.permit import Permit
from tests.protocols.dialogue import Dialogue, a_permit, pieces


class MediatorContract(ABC):
    """The shared suite."""

    @abstractmethod
    def open(self) -> Dialogue:
        """A dialogue whose session is open and idle."""

    @abstractmethod
    def read_request(self, number: int) -> bytes:
        """A request with effect ``read``, different for each number."""

    @abstractmethod
    def risky_request(self) -> bytes:
        """A request with effect ``destroy``."""

    @abstractmethod
    def unreadable_request(self) -> bytes:
        """A request that the parser can't understand, in a well-formed message."""

    @abstractmethod
    def broken_bytes(self) -> bytes:
        """Bytes that break the framing."""

    @abstractmethod
    def answer_to(self, number: int) -> bytes:
        """The upstream's whole answer to ``read_request(number)``."""

    def flow(self) -> bytes:
        """What of an answer's end is the session's and no action's."""
        return b""

    @abstractmethod
    def is_refusal(self, data: bytes) -> bool:
        """Whether what the client got is the protocol's own error for a denial, session going on."""

    @abstractmethod
    def shows(self, data: bytes, number: int) -> bool:
        """Whether what went up is ``read_request(number)``, or came down is its answer."""

    def test_client_sends_a_request_and_nothing_goes_up_before_the_answer_P1(self) -> None:
        talk = self.open()
        talk.gives(FromClient(self.read_request(1)))
        ask = talk.the(Ask)
        assert ask.action.leaves
        assert not talk.take_upstream()
        talk.permit(ask)
        up = talk.the(ToUpstream)
        assert isinstance(up.permit, Permit)
        assert up.permit.action_id == ask.action.id
        assert self.shows(up.data, 1)

    def test_client_sends_a_request_byte_by_byte_and_it_is_asked_about_once(self) -> None:
        talk = self.open()
        for piece in pieces(self.read_request(1), 1):
            talk.gives(FromClient(piece))
        assert len(talk.asked) == 1
        assert not talk.take_upstream()

    def test_client_sends_a_risky_request_and_its_effect_is_seen(self) -> None:
        talk = self.open()
        talk.gives(FromClient(self.risky_request()))
        assert any(leaf.startswith("destroy/") for leaf in talk.the(Ask).action.leaves)

    def test_client_is_denied_in_its_own_protocol_and_the_session_goes_on_P10(self) -> None:
        talk = self.open()
        talk.gives(FromClient(self.risky_request()))
        talk.deny()
        assert not talk.take_upstream()
        assert self.is_refusal(talk.take_client())
        assert talk.closed is None
        talk.gives(FromClient(self.read_request(2)))
        talk.permit()
        assert self.shows(talk.take_upstream(), 2)

    def test_client_sends_what_cannot_be_understood_and_it_is_asked_about_as_unknown_P2(self) -> None:
        talk = self.open()
        talk.gives(FromClient(self.unreadable_request()))
        assert any(leaf.startswith("unknown/") for leaf in talk.the(Ask).action.leaves)
        talk.deny()
        assert not talk.take_upstream()

    def test_client_pipelines_three_requests_and_order_is_kept(self) -> None:
        talk = self.open()
        talk.gives(FromClient(b"".join(self.read_request(number) for number in (1, 2, 3))))
        assert len(talk.asked) == 1
        for number in (1, 2, 3):
            ask = talk.asked[-1]
            assert not talk.take_upstream()
            talk.permit(ask)
            assert self.shows(talk.take_upstream(), number)
        assert len(talk.asked) == 3
        talk.gives(FromUpstream(b"".join(self.answer_to(number) for number in (1, 2, 3))))
        down = talk.take_client()
        assert self.shows(down, 1)
        assert self.shows(down, 2)
        assert self.shows(down, 3)
        assert [done.action_id for done in talk.done] == [ask.action.id for ask in talk.asked]

    def test_upstream_answers_in_any_split_and_the_client_gets_the_same_bytes_recorded_first(self) -> None:
        whole = self.answer_to(1)
        for size in (1, 3, len(whole)):
            talk = self.open()
            talk.gives(FromClient(self.read_request(1)))
            talk.permit()
            released = b""
            for piece in pieces(whole, size):
                for command in talk.gives(FromUpstream(piece)):
                    if isinstance(command, ToClient):
                        released += command.data
                        recorded = talk.recorded.get(talk.asked[0].action.id, b"")
                        assert len(recorded) >= min(len(released), len(whole) - len(self.flow()))
            assert released == whole
            assert talk.recorded[talk.asked[0].action.id] + self.flow() == whole

    def test_client_sends_a_second_request_while_the_first_is_held(self) -> None:
        talk = self.open()
        talk.gives(FromClient(self.risky_request()))
        ask = talk.the(Ask)
        talk.gives(Held(ask.action.id, "apr1", ("dba",), 1800))
        talk.gives(FromClient(self.read_request(2)))
        assert len(talk.asked) == 1
        assert not talk.take_upstream()
        talk.deny(ask, code="hold_denied")
        assert len(talk.asked) == 2

    def test_client_hangs_up_while_a_request_is_held_and_it_is_withdrawn(self) -> None:
        talk = self.open()
        talk.gives(FromClient(self.risky_request()))
        ask = talk.the(Ask)
        talk.gives(Held(ask.action.id, "apr1", ("dba",), 1800))
        talk.gives(ClientClosed())
        assert talk.the(Withdraw).action_id == ask.action.id
        assert talk.closed == "client_closed"
        assert not talk.take_upstream()

    def test_client_cancels_while_a_request_is_held_and_it_is_withdrawn(self) -> None:
        talk = self.open()
        talk.gives(FromClient(self.risky_request()))
        ask = talk.the(Ask)
        talk.gives(Held(ask.action.id, "apr1", ("dba",), 1800))
        talk.gives(CancelRequested())
        assert talk.the(Withdraw).action_id == ask.action.id
        talk.deny(ask, code="withdrawn")
        assert not talk.take_upstream()
        assert talk.closed is None

    def test_an_approved_request_runs_from_the_gateways_own_copy_P3(self) -> None:
        talk = self.open()
        talk.gives(FromClient(self.read_request(1)))
        first = talk.the(Ask)
        talk.deny(first)
        talk.take_client()
        talk.gives(FromClient(self.read_request(2)))
        second = talk.the(Ask)
        talk.permit(second, stored=first.action.payload)
        assert self.shows(talk.take_upstream(), 1)

    def test_an_answer_to_another_action_is_refused_P1(self) -> None:
        talk = self.open()
        talk.gives(FromClient(self.read_request(1)))
        ask = talk.the(Ask)
        with pytest.raises(TypeError):
            talk.mediator.step(Answered("s1.999", a_permit(ask.action)))
        assert not talk.take_upstream()

    def test_client_breaks_the_framing_and_only_its_own_connection_ends_T1(self) -> None:
        talk = self.open()
        talk.gives(FromClient(self.broken_bytes()))
        assert talk.closed == "client_protocol"
        assert not talk.take_upstream()
        assert talk.gives(FromClient(self.read_request(1))) == []

    def test_an_operator_kills_the_session_while_a_request_runs(self) -> None:
        talk = self.open()
        talk.gives(FromClient(self.read_request(1)))
        talk.permit()
        talk.gives(Killed("killed", "an operator ended this session"))
        assert talk.closed == "killed"
        assert [done.outcome.status for done in talk.done] == ["unknown"]

    def test_recorder_is_unavailable_and_the_request_does_not_run_P1(self) -> None:
        talk = self.open()
        talk.gives(FromClient(self.read_request(1)))
        talk.gives(Answered(talk.asked[-1].action.id, Deny("audit_unavailable", "can't record")))
        assert not talk.take_upstream()
        assert talk.take_client()
        assert talk.closed is None
