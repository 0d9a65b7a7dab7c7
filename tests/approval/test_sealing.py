import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.approval.sealing import SealBroken, Sealer
from interlock.core.errors import InterlockError

KEY = bytes(32)
NONCE = bytes(12)


@given(data=st.binary(max_size=200), binding=st.lists(st.text(max_size=5), max_size=3), at=st.integers(min_value=0))
def test_sealed_copy_opens_only_unchanged(data: bytes, binding: list[str], at: int) -> None:
    sealer = Sealer(KEY)
    sealed = sealer.seal(data, nonce=NONCE, binding=tuple(binding))
    assert sealer.open(sealed, binding=tuple(binding)) == data
    changed = bytearray(sealed)
    changed[at % len(sealed)] ^= 1
    with pytest.raises(SealBroken):
        sealer.open(bytes(changed), binding=tuple(binding))
    with pytest.raises(SealBroken):
        sealer.open(sealed[: at % len(sealed)], binding=tuple(binding))


def test_binding_s_parts_are_shifted_and_the_copy_stays_shut() -> None:
    sealer = Sealer(KEY)
    sealed = sealer.seal(b"x", nonce=NONCE, binding=("ab", "c"))
    with pytest.raises(SealBroken):
        sealer.open(sealed, binding=("a", "bc"))
    with pytest.raises(SealBroken):
        Sealer(b"\1" * 32).open(sealed, binding=("ab", "c"))


def test_key_of_the_wrong_length_is_refused_without_showing_it_P5() -> None:
    with pytest.raises(InterlockError, match="15 bytes, not 32") as caught:
        Sealer(b"secret-key-text")
    assert "secret" not in str(caught.value)
