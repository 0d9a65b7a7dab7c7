"""The door: a credential in whatever form, one principal or none."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, Protocol

from interlock.core.errors import AuthenticationError
from interlock.core.principal import Principal
from interlock.core.secret import Secret
from interlock.identity.handles import HANDLE_PREFIX, HandleStore, digest_handle
from interlock.identity.principal_json import decode_principal
from interlock.identity.token import SignedToken, decode_token


class RevocationStore(Protocol):
    """What was revoked; ``storage`` implements it."""

    async def find_any(self, names: list[tuple[str, str]], *, now: datetime) -> object | None:
        """A revocation in force of one of these, or None.

        The kinds are ``token`` (a ``token_id``), ``principal`` (``issuer|subject``) and ``person``.
        """
        ...


class TokenVerifier(Protocol):
    """One issuer's way from a signed token to a principal."""

    @property
    def issuer(self) -> str: ...

    async def verify(self, token: SignedToken, now: datetime) -> Principal: ...


class Authenticator:
    """Verifies one credential a connection.

    Which issuers there are is settled when it is built: the development issuer isn't among them in production.
    """

    def __init__(
        self, *, verifiers: Iterable[TokenVerifier], handles: HandleStore, revocations: RevocationStore
    ) -> None:
        by_issuer: dict[str, TokenVerifier] = {}
        for verifier in verifiers:
            if not verifier.issuer or "|" in verifier.issuer or verifier.issuer in by_issuer:
                msg = f"issuer {verifier.issuer!r} is configured twice, is empty, or contains '|'"
                raise ValueError(msg)
            by_issuer[verifier.issuer] = verifier
        self._verifiers: Final = by_issuer
        self._handles = handles
        self._revocations = revocations

    async def authenticate(self, credential: Secret, resource: str, now: datetime) -> Principal:
        """The principal that the credential establishes for this resource.

        Trust: ``credential`` and ``resource`` are the client's, unverified. A handle's use is taken even if the
        principal turns out to be revoked.

        Raises:
            AuthenticationError: no principal; the text is for operators, never for the client.
            StorageError: handles or revocations can't be read, so nobody is let in.
        """
        principal = await self._establish(credential, resource, now)
        if principal.resources is not None and resource not in principal.resources:
            msg = "the credential is for another resource"
            raise AuthenticationError(msg)
        await self.verify_not_revoked(principal, now)
        return principal

    async def authenticate_person(self, credential: Secret, now: datetime) -> Principal:
        """The principal behind a token that isn't used to connect: an approver's, at the control socket.

        Only a signed token will do; a handle is bound to a resource and stands for a connection.

        Raises:
            AuthenticationError: no principal.
        """
        principal = await self._verify_token(credential, now)
        await self.verify_not_revoked(principal, now)
        return principal

    async def verify_not_revoked(self, principal: Principal, now: datetime) -> Principal:
        """The same principal; for live sessions this is asked again.

        Raises:
            AuthenticationError: the token or the principal was revoked, or somebody in its delegation chain was.
        """
        names = [("token", principal.token_id), ("principal", principal.id)]
        names += [("principal", f"{actor.issuer}|{actor.subject}") for actor in principal.actors]
        if principal.person is not None:
            names.append(("person", principal.person))
        if await self._revocations.find_any(names, now=now) is not None:
            msg = "the token, its principal, an actor of it or the person behind it was revoked"
            raise AuthenticationError(msg)
        return principal

    async def _establish(self, credential: Secret, resource: str, now: datetime) -> Principal:
        if not credential.reveal().startswith(HANDLE_PREFIX):
            return await self._verify_token(credential, now)
        stored = await self._handles.burn(digest_handle(credential), resource, now)
        principal = None if stored is None else decode_principal(stored)
        if principal is None or principal.expires_at <= now:
            msg = "the handle is unknown, used up, expired, or for another resource"
            raise AuthenticationError(msg)
        if principal.issuer not in self._verifiers:
            msg = "the handle's issuer isn't configured any more"
            raise AuthenticationError(msg)
        return principal

    async def _verify_token(self, credential: Secret, now: datetime) -> Principal:
        token = decode_token(credential)
        verifier = self._verifiers.get(token.issuer)
        if verifier is None:
            msg = "the token is of an issuer that isn't configured"
            raise AuthenticationError(msg)
        return await verifier.verify(token, now)
