"""Where an issuer's keys come from: a file, or the issuer's own HTTPS address, fetched with bounds.

The address is the operators' configuration, never a token's. No redirect is followed, the answer's size and the
time are limited, and tokens with made-up key ids can't make the gateway fetch more often than once in a while (T25).
"""

import asyncio
import http.client
import ssl
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

from interlock.core.errors import AuthenticationError, ConfigError
from interlock.identity.keys import KeySet
from interlock.identity.strict_json import decode_object

MAX_JWKS_BYTES: Final = 512 * 1024
FETCH_SECONDS: Final = 5.0
REFRESH_AFTER: Final = timedelta(minutes=10)
RETRY_AFTER: Final = timedelta(seconds=30)
"""The least time between two fetches, whatever asks for them."""
STALE_AFTER: Final = timedelta(hours=24)
"""Keys that couldn't be refreshed for so long are no longer believed."""
_CHUNK: Final = 64 * 1024

Fetch = Callable[[], bytes]
"""Get the document, blocking; OSError or http.client.HTTPException where that fails."""


class KeySource(Protocol):
    """Gives the key set to verify a token with."""

    async def keys_for(self, kid: str | None, now: datetime) -> KeySet: ...


class StaticKeys:
    """A key set that doesn't change."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    async def keys_for(self, kid: str | None, now: datetime) -> KeySet:  # noqa: ARG002 the protocol's signature
        return self._keys


class JwksSource:
    """Keeps one issuer's keys, fetched when first needed, when old, and when a key id is new."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._lock = asyncio.Lock()
        self._keys: KeySet | None = None
        self._fetched_at: datetime | None = None
        self._tried_at: datetime | None = None

    @classmethod
    def from_reference(cls, reference: str, *, context: ssl.SSLContext | None = None) -> "JwksSource":
        """From the configuration's ``https://...`` or ``file:/absolute/path``.

        Raises:
            ConfigError: neither of these.
        """
        if reference.startswith("file:"):
            path = Path(reference.removeprefix("file:"))
            return cls(lambda: read_jwks_file(path))
        verify_https_url(reference)
        return cls(lambda: fetch_jwks(reference, context=context))

    async def keys_for(self, kid: str | None, now: datetime) -> KeySet:
        """The key set, refreshed if need be; one fetch at a time, and the old set serves while it is young enough.

        Raises:
            AuthenticationError: there are no keys, or none young enough.
        """
        if self._wants_fetch(kid, now) and not (self._lock.locked() and self._has_key(kid)):
            async with self._lock:
                if self._wants_fetch(kid, now):
                    await self._refresh(now)
        if self._keys is None or self._fetched_at is None or now - self._fetched_at > STALE_AFTER:
            msg = "the issuer's keys can't be had"
            raise AuthenticationError(msg)
        return self._keys

    def _wants_fetch(self, kid: str | None, now: datetime) -> bool:
        if self._tried_at is not None and timedelta() <= now - self._tried_at < RETRY_AFTER:
            return False
        if self._keys is None or self._fetched_at is None:
            return True
        return abs(now - self._fetched_at) > REFRESH_AFTER or not self._has_key(kid)

    def _has_key(self, kid: str | None) -> bool:
        """Whether the set at hand may do for a token of this key id."""
        return self._keys is not None and (kid is None or self._keys.has_kid(kid))

    async def _refresh(self, now: datetime) -> None:
        """Fetch; if that fails the set at hand stays, and nobody tries again for ``RETRY_AFTER``."""
        try:
            data = await asyncio.to_thread(self._fetch)
            if len(data) > MAX_JWKS_BYTES:
                return
            keys = KeySet.from_jwks(decode_object(data, "key set"))
        except (OSError, http.client.HTTPException, AuthenticationError):
            return
        finally:
            # Only now: whoever comes while the first fetch is under way waits for it.
            self._tried_at = now
        self._keys = keys
        self._fetched_at = now


def verify_https_url(url: str) -> str:
    """The same URL, if it is plain ``https://host[:port]/path[?query]``.

    Raises:
        ConfigError: another scheme, credentials in it, no host, or a fragment.
    """
    problem = ""
    try:
        parts = urlsplit(url)
        port = parts.port
        if parts.scheme != "https" or not parts.hostname or port == 0:
            problem = "use https://host/path or file:/absolute/path"
        elif parts.username is not None or parts.password is not None or parts.fragment:
            problem = "no user name, password or fragment belongs in it"
        elif not (url.isascii() and url.isprintable()) or " " in url:
            problem = "it has characters that a URL doesn't have"
    except ValueError:
        problem = "it isn't a URL"
    if problem:
        raise ConfigError(file="", key="issuers.jwks", reason=problem)
    return url


def read_jwks_file(path: Path) -> bytes:
    """The file's bytes, one more than the limit at most, so that a longer one is seen to be."""
    with path.open("rb") as file:
        return file.read(MAX_JWKS_BYTES + 1)


def fetch_jwks(url: str, *, context: ssl.SSLContext | None = None) -> bytes:
    """GET the document: certificate verified, no redirect, no proxy, status 200 only, bounded in size and time.

    Raises:
        OSError: connecting, TLS, time, or another status or size than allowed.
        http.client.HTTPException: the answer isn't HTTP.
    """
    parts = urlsplit(verify_https_url(url))
    deadline = time.monotonic() + FETCH_SECONDS
    connection = http.client.HTTPSConnection(
        parts.hostname or "", parts.port, timeout=FETCH_SECONDS, context=context or ssl.create_default_context()
    )
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", path, headers={"Accept": "application/json", "User-Agent": "interlock"})
        response = connection.getresponse()
        if response.status != http.client.OK:
            msg = f"the issuer's key address answered {response.status}"
            raise OSError(msg)
        data = bytearray()
        while chunk := response.read1(_CHUNK):
            data += chunk
            if len(data) > MAX_JWKS_BYTES or time.monotonic() > deadline:
                msg = "the issuer's key set is too large or too slow"
                raise OSError(msg)
        return bytes(data)
    finally:
        connection.close()
