"""The gateway's own cancel keys: who holds one may cancel what its session runs, and nothing else (T11).

A key is a process id that carries the worker (so that a request landing on another worker finds its way) and a secret
of 4 bytes in protocol 3.0, 32 where the client's protocol has room. Nobody is told whether a key was right: every
request ends in silence, and each source has only a few wrong ones a second.

    pid = 0 | worker (8 bits) | random (23 bits)
"""

import hmac
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol, final

WORKER_BITS: Final = 8
RANDOM_BITS: Final = 23
LONG_SECRET_BYTES: Final = 32
WRONG_A_SECOND: Final = 5.0
WRONG_BURST: Final = 20.0
MAX_SOURCES: Final = 10_000


class CancelRouter(Protocol):
    """Where a cancel request goes; it may belong to another worker."""

    def present(self, pid: int, secret: bytes, *, source: str) -> None:
        """Somebody presented this key; nothing is ever answered."""
        ...


def worker_of(pid: int) -> int:
    """The worker that a key's process id names."""
    return (pid >> RANDOM_BITS) & ((1 << WORKER_BITS) - 1)


@final
class CancelKeys:
    """Keys of this worker's sessions, and the way to other workers'."""

    def __init__(
        self,
        worker: int,
        *,
        random_bytes: Callable[[int], bytes],
        monotonic: Callable[[], float],
        forward: Callable[[int, int, bytes], None],
    ) -> None:
        """``forward(worker, pid, secret)`` hands a request to another worker."""
        self._worker: Final = worker
        self._random_bytes: Final = random_bytes
        self._monotonic: Final = monotonic
        self._forward: Final = forward
        self._keys: Final[dict[int, tuple[bytes, Callable[[], None]]]] = {}
        self._allowances: Final[OrderedDict[str, tuple[float, float]]] = OrderedDict()

    def issue(self, cancel: Callable[[], None], *, secret_bytes: int) -> tuple[int, bytes]:
        """A fresh key that, when presented, calls ``cancel``."""
        while True:
            low = int.from_bytes(self._random_bytes(4), "big") & ((1 << RANDOM_BITS) - 1)
            pid = self._worker << RANDOM_BITS | low
            if pid and pid not in self._keys:
                break
        secret = self._random_bytes(LONG_SECRET_BYTES if secret_bytes >= LONG_SECRET_BYTES else 4)
        self._keys[pid] = (secret, cancel)
        return pid, secret

    def withdraw(self, key: tuple[int, bytes]) -> None:
        """The key's session ended."""
        self._keys.pop(key[0], None)

    def present(self, pid: int, secret: bytes, *, source: str) -> None:
        """A client presented a key to this worker."""
        if not self._take(source):
            return
        if worker_of(pid) != self._worker:
            self._forward(worker_of(pid), pid, secret)
        elif self.accept(pid, secret):
            self._give_back(source)

    def accept(self, pid: int, secret: bytes) -> bool:
        """Cancel if the key is right; also for requests that another worker passed on."""
        expected, cancel = self._keys.get(pid, (b"", None))
        right = hmac.compare_digest(expected, secret)
        if cancel is None or not right:
            return False
        cancel()
        return True

    def _take(self, source: str) -> bool:
        """Use one of the source's attempts; right ones are given back."""
        now = self._monotonic()
        left, at = self._allowances.pop(source, (WRONG_BURST, now))
        left = min(WRONG_BURST, left + (now - at) * WRONG_A_SECOND)
        allowed = left >= 1.0
        self._allowances[source] = (left - 1.0 if allowed else left, now)
        if len(self._allowances) > MAX_SOURCES:
            self._allowances.popitem(last=False)
        return allowed

    def _give_back(self, source: str) -> None:
        left, at = self._allowances[source]
        self._allowances[source] = (min(WRONG_BURST, left + 1.0), at)
