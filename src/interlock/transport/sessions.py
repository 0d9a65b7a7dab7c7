"""The conversations that live in this worker, by session: what kills and revocations are matched against."""

from collections.abc import Callable
from typing import TYPE_CHECKING, final

from interlock.core.session import Session

if TYPE_CHECKING:
    from interlock.transport.stream import Conversation


@final
class Sessions:
    """Live conversations by session id."""

    def __init__(self) -> None:
        self._live: dict[str, Conversation] = {}

    def __len__(self) -> int:
        return len(self._live)

    def add(self, session: Session, conversation: "Conversation") -> None:
        """The session is open."""
        self._live[session.id] = conversation

    def remove(self, session: Session) -> None:
        """The session ended."""
        self._live.pop(session.id, None)

    def kill(self, session_id: str, *, code: str, message: str) -> bool:
        """End one session; False if this worker doesn't have it."""
        conversation = self._live.get(session_id)
        if conversation is None:
            return False
        conversation.kill(code, message)
        return True

    def kill_where(self, matches: Callable[[Session], bool], *, code: str, message: str) -> int:
        """End every session that ``matches``; returns how many."""
        chosen = [c for c in self._live.values() if c.session is not None and matches(c.session)]
        for conversation in chosen:
            conversation.kill(code, message)
        return len(chosen)

    def kill_idle(self, *, code: str, message: str) -> int:
        """End every session that has nothing running and asks nothing; returns how many."""
        idle = [conversation for conversation in self._live.values() if not conversation.is_busy]
        for conversation in idle:
            conversation.kill(code, message)
        return len(idle)
