"""Handles for ``interlock connect``: a token exchanged for something short that opens one resource, once."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import final

from interlock.core.principal import Principal
from interlock.core.secret import Secret
from interlock.identity import HandleStore, issue_handle


@final
class HandleIssuer:
    """Implements ``Handles`` over identity's rules and a store."""

    def __init__(self, *, store: HandleStore, max_seconds: int, random: Callable[[int], bytes]) -> None:
        self._store = store
        self._max_seconds = max_seconds
        self._random = random

    async def issue(
        self, principal: Principal, *, resource: str, seconds: int, uses: int, now: datetime
    ) -> tuple[Secret, datetime]:
        """A handle that stands for this principal at one resource, and its end.

        Raises:
            AuthenticationError: the principal's token isn't good for that resource, or has expired.
        """
        lifetime = timedelta(seconds=max(1, min(seconds, self._max_seconds)))
        return await issue_handle(
            self._store,
            principal,
            resource=resource,
            lifetime=lifetime,
            uses=uses,
            now=now,
            random=self._random,
        )
