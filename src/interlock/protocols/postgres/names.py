"""Names that a session gives to prepared statements and portals, kept in step with the server's.

A change takes effect when the server confirms it. Until then it is pending in its batch (what lies between two
Syncs): inside the batch a later message sees it, because an error would skip that message too; a later batch must
wait, because the earlier one may have failed and left the old meaning in force (T3).
"""

from collections.abc import Callable
from typing import Final, Generic, TypeVar, final

T = TypeVar("T")


@final
class Unsettled:
    """The name has changes in an earlier batch that the server hasn't confirmed: wait."""


UNSETTLED: Final = Unsettled()


class Names(Generic[T]):
    """One namespace of one session."""

    def __init__(self, weigh: Callable[[T], int] = lambda _: 0) -> None:
        self._weigh: Final = weigh
        self.weight = 0
        """Of all entries, confirmed and pending."""
        self._confirmed: dict[str, T] = {}
        self._pending: list[tuple[int, str, T | None]] = []

    def __len__(self) -> int:
        return len(self._confirmed) + len(self._pending)

    def resolve(self, name: str, batch: int) -> T | Unsettled | None:
        """What ``name`` will stand for when a message of ``batch`` reaches the server; None if nothing."""
        for at, changed, entry in reversed(self._pending):
            if changed == name:
                return entry if at == batch else UNSETTLED
        return self._confirmed.get(name)

    def change(self, name: str, entry: T | None, batch: int) -> None:
        """A forwarded message will set (or with None remove) the name."""
        self._pending.append((batch, name, entry))
        if entry is not None:
            self.weight += self._weigh(entry)

    def confirm(self) -> T | None:
        """The server confirmed the oldest pending change; returns what the name stood for before."""
        _, name, entry = self._pending.pop(0)
        before = self.remove(name)
        if entry is not None:
            self._confirmed[name] = entry
        return before

    def drop_batch(self, batch: int) -> list[T]:
        """The batch failed: what it hadn't confirmed never happens; returns the entries that won't exist."""
        lost = [entry for at, _, entry in self._pending if at == batch and entry is not None]
        self._pending = [change for change in self._pending if change[0] != batch]
        self.weight -= sum(map(self._weigh, lost))
        return lost

    def set(self, name: str, entry: T) -> None:
        """The server has set the name."""
        self.remove(name)
        self._confirmed[name] = entry
        self.weight += self._weigh(entry)

    def remove(self, name: str) -> T | None:
        """The server no longer has the name."""
        entry = self._confirmed.pop(name, None)
        if entry is not None:
            self.weight -= self._weigh(entry)
        return entry

    def clear(self) -> list[T]:
        """The server no longer has any of the confirmed names."""
        entries = list(self._confirmed.values())
        self._confirmed.clear()
        self.weight -= sum(map(self._weigh, entries))
        return entries

    def confirmed(self) -> dict[str, T]:
        """A copy of what the server is known to have."""
        return dict(self._confirmed)
