"""Opaque handles: ``ilk_`` and 43 characters, short enough for every client's password field.

Only the SHA-256 of a handle is kept, so the state database gives none away; 256 random bits need no salt.
"""

import hashlib
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Protocol

from interlock.core.errors import AuthenticationError
from interlock.core.principal import Principal
from interlock.core.secret import Secret
from interlock.identity.principal_json import encode_principal

HANDLE_PREFIX: Final = "ilk_"
HANDLE_BYTES: Final = 32
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_WIDTH: Final = 43
"""62**43 > 2**256 > 62**42."""
_HANDLE = re.compile(r"ilk_[0-9A-Za-z]{43}")


class HandleStore(Protocol):
    """Where digests of handles are kept; ``storage`` implements it."""

    async def issue(
        self, digest: bytes, *, principal_json: str, resource: str, expires_at: datetime, uses: int
    ) -> None:
        """Keep a new handle, good for ``uses`` connections to ``resource`` before ``expires_at``."""
        ...

    async def burn(self, digest: bytes, resource: str, now: datetime) -> str | None:
        """Take one use, atomically over all processes; the principal as issued, or None.

        None if there is no such handle, it is for another resource, it has expired at ``now``, or no use is left. A
        try with another resource takes no use.
        """
        ...


def encode_handle(random_bytes: bytes) -> Secret:
    """The text of a handle from 32 random bytes, in base 62 at its full width."""
    if len(random_bytes) != HANDLE_BYTES:
        msg = f"a handle is made of {HANDLE_BYTES} bytes"
        raise ValueError(msg)
    number = int.from_bytes(random_bytes, "big")
    digits = []
    for _ in range(_WIDTH):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return Secret(HANDLE_PREFIX + "".join(reversed(digits)))


def digest_handle(handle: Secret) -> bytes:
    """What is stored of a handle.

    Raises:
        AuthenticationError: not the form of a handle.
    """
    text = handle.reveal()
    if not _HANDLE.fullmatch(text):
        msg = "the handle isn't one that this gateway gives out"
        raise AuthenticationError(msg)
    return hashlib.sha256(text.encode("ascii")).digest()


async def issue_handle(
    store: HandleStore,
    principal: Principal,
    *,
    resource: str,
    lifetime: timedelta,
    uses: int,
    now: datetime,
    random: Callable[[int], bytes],
) -> tuple[Secret, datetime]:
    """Make a handle that stands for this principal at one resource; never longer than the principal's own token.

    Raises:
        AuthenticationError: the principal's token isn't good for that resource, or has expired.
    """
    if principal.resources is not None and resource not in principal.resources:
        msg = "the token isn't good for that resource"
        raise AuthenticationError(msg)
    expires_at = min(principal.expires_at, now + lifetime)
    if expires_at <= now or uses < 1:
        msg = "a handle needs a token that hasn't expired, and at least one use"
        raise AuthenticationError(msg)
    handle = encode_handle(random(HANDLE_BYTES))
    await store.issue(
        digest_handle(handle),
        principal_json=encode_principal(principal, resource=resource, expires_at=expires_at),
        resource=resource,
        expires_at=expires_at,
        uses=uses,
    )
    return handle, expires_at
