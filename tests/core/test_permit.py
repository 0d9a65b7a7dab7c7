"""Permits: only the gate's mint makes one, and what it says can't be changed by being shown."""

import pytest

from interlock.core import permit
from interlock.core.decision import NO_OBLIGATIONS, Obligations
from interlock.core.permit import GATE_MINT, Permit, SessionPermit  # noqa: TID251 - what a Permit takes is tested here


@pytest.mark.parametrize("forged", [None, object(), True, "GATE_MINT", permit._Mint, permit._Mint()])
def test_somebody_without_the_gates_mint_gets_no_permit_P1(forged: object) -> None:
    with pytest.raises(TypeError):
        Permit(mint=forged, action_id="s1.1")  # type: ignore[arg-type]  # the attack
    with pytest.raises(TypeError):
        SessionPermit(mint=forged, session_id="s1")  # type: ignore[arg-type]


def test_the_gate_mints_a_permit_and_it_says_what_it_is_for() -> None:
    plain = Permit(mint=GATE_MINT, action_id="s1.1")
    assert (plain.action_id, plain.obligations, plain.stored) == ("s1.1", NO_OBLIGATIONS, None)
    stored = Permit(mint=GATE_MINT, action_id="s1.2", obligations=Obligations(max_rows=3), stored=b"DROP TABLE t")
    assert (stored.obligations.max_rows, stored.stored) == (3, b"DROP TABLE t")
    assert SessionPermit(mint=GATE_MINT, session_id="s1").session_id == "s1"


def test_a_permit_is_shown_without_the_statement_that_it_carries() -> None:
    shown = repr(Permit(mint=GATE_MINT, action_id="s1.2", stored=b"ALTER ROLE x PASSWORD 'hunter2'"))
    assert shown == "Permit('s1.2')"
    assert repr(SessionPermit(mint=GATE_MINT, session_id="s1")) == "SessionPermit('s1')"


def test_nobody_makes_a_kind_of_permit_of_their_own_P1() -> None:
    with pytest.raises(AttributeError):
        Permit(mint=GATE_MINT, action_id="s1.1").extra = 1  # type: ignore[attr-defined]  # slots
