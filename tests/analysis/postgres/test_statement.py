import dataclasses

import pytest

from interlock.analysis.postgres.statement import Analysis, Call, Statement, SyntaxRejected


def test_analyses_are_compared_by_identity_so_that_caches_can_key_on_them() -> None:
    one, other = Statement("select", ("read/postgres.select",)), Statement("select", ("read/postgres.select",))
    assert one != other
    assert len({one, other}) == 2
    assert Analysis((one,)) != Analysis((one,))
    assert Call(("f",), 1, "function") == Call(("f",), 1, "function")


def test_values_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Statement("select", ()).kind = "delete"  # type: ignore[misc]
    assert SyntaxRejected("x").sqlstate == "42601"
