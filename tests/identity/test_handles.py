import asyncio
import hashlib
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.errors import AuthenticationError
from interlock.core.principal import Principal, PrincipalKind
from interlock.core.secret import Secret
from interlock.identity.handles import digest_handle, encode_handle, issue_handle
from interlock.identity.principal_json import decode_principal


class Kept:
    """A store that only remembers what it was given."""

    def __init__(self) -> None:
        self.rows: list[tuple[bytes, str, str, datetime, int]] = []

    async def issue(
        self, digest: bytes, *, principal_json: str, resource: str, expires_at: datetime, uses: int
    ) -> None:
        self.rows.append((digest, principal_json, resource, expires_at, uses))

    async def burn(self, digest: bytes, resource: str, now: datetime) -> str | None:
        raise NotImplementedError


def person(now: datetime, resources: frozenset[str] | None = None) -> Principal:
    return Principal("ann", "i", PrincipalKind.HUMAN, now + timedelta(minutes=5), "t1", resources=resources)


def issue(kept: Kept, principal: Principal, now: datetime, minutes: int = 60, uses: int = 1) -> tuple[Secret, datetime]:
    return asyncio.run(
        issue_handle(
            kept,
            principal,
            resource="shop",
            lifetime=timedelta(minutes=minutes),
            uses=uses,
            now=now,
            random=lambda n: bytes(range(n)),
        )
    )


@given(st.binary(min_size=32, max_size=32))
def test_handle_has_one_form_and_its_digest_is_what_is_kept(data: bytes) -> None:
    handle = encode_handle(data)
    text = handle.reveal()

    assert len(text) == 47
    assert digest_handle(handle) == hashlib.sha256(text.encode()).digest()


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_different_bytes_give_different_handles(one: bytes, other: bytes) -> None:
    assert (encode_handle(one) == encode_handle(other)) is (one == other)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_handle_of_too_few_or_too_many_bytes_is_not_made(size: int) -> None:
    with pytest.raises(ValueError, match="32"):
        encode_handle(bytes(size))


@pytest.mark.parametrize(
    "text",
    ["", "ilk_", "ilk_" + "A" * 42, "ilk_" + "A" * 44, "ilk_" + "-" * 43, "ILK_" + "A" * 43, "ilk_" + "A" * 43 + "\n"],
)
def test_text_of_another_form_has_no_digest(text: str) -> None:
    with pytest.raises(AuthenticationError):
        digest_handle(Secret(text))


def test_store_sees_digest_and_bound_principal_but_never_the_handle_T24(now: datetime) -> None:
    kept = Kept()
    handle, expires_at = issue(kept, person(now), now, uses=3)
    ((digest, text, resource, until, uses),) = kept.rows

    assert (digest, resource, uses) == (digest_handle(handle), "shop", 3)
    assert handle.reveal() not in repr(kept.rows)
    assert decode_principal(text).resources == frozenset({"shop"})
    assert expires_at == until == decode_principal(text).expires_at == now + timedelta(minutes=5)


def test_handle_lives_no_longer_than_asked_or_than_its_token_T25(now: datetime) -> None:
    assert issue(Kept(), person(now), now, minutes=1)[1] == now + timedelta(minutes=1)
    assert issue(Kept(), person(now), now, minutes=600)[1] == now + timedelta(minutes=5)


def test_handle_is_not_issued_beyond_what_its_token_allows_T25(now: datetime) -> None:
    kept = Kept()
    for principal, at, uses in (
        (person(now, frozenset(("billing",))), now, 1),
        (person(now), now + timedelta(minutes=5), 1),
        (person(now), now, 0),
    ):
        with pytest.raises(AuthenticationError):
            issue(kept, principal, at, uses=uses)

    assert kept.rows == []
