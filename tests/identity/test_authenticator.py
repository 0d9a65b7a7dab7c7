import asyncio
import traceback
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from interlock.core.errors import AuthenticationError, StorageError
from interlock.core.principal import Actor, PrincipalKind
from interlock.core.secret import Secret
from interlock.identity import (
    Authenticator,
    DevelopmentGrant,
    DevelopmentVerifier,
    issue_development_token,
    issue_handle,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


class Handles:
    """The store in memory, with the contract that burn's docstring states."""

    def __init__(self) -> None:
        self.rows: dict[bytes, list[object]] = {}

    async def issue(
        self, digest: bytes, *, principal_json: str, resource: str, expires_at: datetime, uses: int
    ) -> None:
        self.rows[digest] = [principal_json, resource, expires_at, uses]

    async def burn(self, digest: bytes, resource: str, now: datetime) -> str | None:
        row = self.rows.get(digest)
        if row is None or row[1] != resource or row[2] <= now or row[3] == 0:  # type: ignore[operator]
            return None
        row[3] -= 1  # type: ignore[operator]
        return str(row[0])


class Revocations:
    def __init__(self, *names: tuple[str, str]) -> None:
        self.names = set(names)

    async def find_any(self, names: list[tuple[str, str]], *, now: datetime) -> object | None:
        return next((name for name in names if name in self.names), None)


class Broken:
    async def find_any(self, names: list[tuple[str, str]], *, now: datetime) -> object | None:
        raise StorageError("the disk is gone")


def door(handles: Handles | None = None, revocations: Revocations | Broken | None = None) -> Authenticator:
    return Authenticator(
        verifiers=[DevelopmentVerifier(KEY.public_key())],
        handles=handles or Handles(),
        revocations=revocations or Revocations(),
    )


def token(now: datetime, subject: str = "ci", resources: tuple[str, ...] | None = ("shop",)) -> Secret:
    grant = DevelopmentGrant(
        subject, PrincipalKind.AGENT, resources=resources, actors=(Actor("bot", "https://ci.example/"),)
    )
    return issue_development_token(KEY, grant, lifetime=timedelta(minutes=10), now=now, token_id="t1")


def refused(attempt: Callable[[], Awaitable[object]]) -> str:
    async def run() -> object:
        return await attempt()

    with pytest.raises(AuthenticationError) as raised:
        asyncio.run(run())
    return "".join(traceback.format_exception(raised.value))


def test_token_and_the_handle_made_from_it_establish_the_same_principal(now: datetime) -> None:
    async def story() -> None:
        handles = Handles()
        authenticator = door(handles)
        principal = await authenticator.authenticate(token(now), "shop", now)
        handle, _ = await issue_handle(
            handles,
            principal,
            resource="shop",
            lifetime=timedelta(minutes=1),
            uses=2,
            now=now,
            random=bytes,
        )
        for _ in range(2):
            again = await authenticator.authenticate(handle, "shop", now)
            assert (again.id, again.token_id, again.actors) == (principal.id, principal.token_id, principal.actors)
        for resource, at in (("shop", now), ("other", now), ("shop", now + timedelta(hours=1))):
            with pytest.raises(AuthenticationError):
                await authenticator.authenticate(handle, resource, at)

    asyncio.run(story())


def test_try_at_another_resource_opens_nothing_T25(now: datetime) -> None:
    refused(lambda: door().authenticate(token(now), "billing", now))
    assert asyncio.run(door().authenticate(token(now, resources=None), "billing", now)).subject == "ci"


@pytest.mark.parametrize(
    "name",
    [
        ("token", "t1"),
        ("principal", "interlock:development|ci"),
        ("principal", "https://ci.example/|bot"),
        ("person", "ci"),
    ],
)
def test_revocation_of_token_principal_actor_or_person_ends_it_T25(now: datetime, name: tuple[str, str]) -> None:
    refused(lambda: door(revocations=Revocations(name)).authenticate(token(now), "shop", now))


def test_nobody_is_let_in_while_revocations_cannot_be_read_T25(now: datetime) -> None:
    with pytest.raises(StorageError):
        asyncio.run(door(revocations=Broken()).authenticate(token(now), "shop", now))


def test_development_token_is_a_strangers_where_its_issuer_is_not_registered_T25(now: datetime) -> None:
    production = Authenticator(verifiers=[], handles=Handles(), revocations=Revocations())

    refused(lambda: production.authenticate(token(now), "shop", now))


def test_handle_of_an_issuer_that_is_no_longer_configured_is_refused_T25(now: datetime) -> None:
    async def story() -> None:
        handles = Handles()
        principal = await door(handles).authenticate(token(now), "shop", now)
        handle, _ = await issue_handle(
            handles, principal, resource="shop", lifetime=timedelta(minutes=1), uses=1, now=now, random=bytes
        )
        production = Authenticator(verifiers=[], handles=handles, revocations=Revocations())
        with pytest.raises(AuthenticationError):
            await production.authenticate(handle, "shop", now)

    asyncio.run(story())


@pytest.mark.parametrize(
    "text", ["", "x", "ilk_", "ilk_short", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "\ud800", "\x00" * 99]
)
def test_credential_of_no_form_is_refused_and_never_shown_T24(now: datetime, text: str) -> None:
    shown = refused(lambda: door().authenticate(Secret(text + "CANARY"), "shop", now))

    assert "CANARY" not in shown


def test_refusal_of_a_real_token_does_not_show_it_T24(now: datetime) -> None:
    secret = token(now)
    shown = refused(lambda: door().authenticate(secret, "billing", now)) + repr(secret)

    assert not any(part in shown for part in secret.reveal().split("."))


def test_principal_never_shows_its_token_in_repr_T24(now: datetime) -> None:
    secret = token(now)
    principal = asyncio.run(door().authenticate(secret, "shop", now))

    assert not any(part in repr(principal) for part in secret.reveal().split("."))


def test_approver_is_a_person_by_a_signed_token_and_not_by_a_handle_T21(now: datetime) -> None:
    assert asyncio.run(door().authenticate_person(token(now), now)).subject == "ci"
    refused(lambda: door().authenticate_person(Secret("ilk_" + "A" * 43), now))
    refused(lambda: door(revocations=Revocations(("token", "t1"))).authenticate_person(token(now), now))


@pytest.mark.parametrize("issuers", [("",), ("a|b",), ("a", "a")])
def test_issuer_that_could_be_taken_for_another_is_not_registered_T25(issuers: tuple[str, ...]) -> None:
    verifiers = [DevelopmentVerifier(KEY.public_key(), issuer=issuer) for issuer in issuers]

    with pytest.raises(ValueError, match="issuer"):
        Authenticator(verifiers=verifiers, handles=Handles(), revocations=Revocations())
