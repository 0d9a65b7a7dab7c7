"""The two ends of a conversation as asyncio protocols: they turn callbacks into the conversation's calls, no more."""

import asyncio
from typing import Final, Protocol, cast, final


class Conversing(Protocol):
    """What the legs call of a conversation."""

    @property
    def buffer_bytes(self) -> int:
        """The bound of each leg's write buffer."""
        ...

    def monotonic(self) -> float:
        """The loop's clock."""
        ...

    def regulate(self) -> None:
        """Whether a leg takes bytes has changed."""
        ...

    def leg_lost(self) -> None:
        """A leg's transport is gone."""
        ...

    def client_sent(self, data: bytes) -> None:
        """Bytes from the client."""
        ...

    def client_ended(self) -> None:
        """The client hung up."""
        ...

    def upstream_sent(self, data: bytes) -> None:
        """Bytes from the upstream."""
        ...

    def upstream_ended(self) -> None:
        """The upstream hung up."""
        ...


class Leg(asyncio.Protocol):
    """What both ends share: the transport, whether it takes bytes, whether it is read."""

    def __init__(self, conversation: Conversing) -> None:
        self._conversation: Final = conversation
        self.transport: asyncio.Transport | None = None
        self.full_since: float | None = None
        """When its write buffer filled up, monotonic; None while it takes bytes."""
        self.reading = True
        self.ended = False
        """True once the peer hung up or the connection is lost."""
        self.lost = False
        """True once the transport is gone."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; the write buffer's bound is the conversation's."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of it
        high = self._conversation.buffer_bytes
        self.transport.set_write_buffer_limits(high=high, low=high // 4)

    def read_if(self, wanted: bool) -> None:  # noqa: FBT001 - one state, said by one word
        """Read from the peer, or let it wait."""
        if wanted is self.reading or self.transport is None or self.ended or self.transport.is_closing():
            return
        self.reading = wanted
        if wanted:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def write(self, data: bytes) -> None:
        """Send; what is said to a peer that is gone goes nowhere."""
        if self.transport is not None and not self.lost:
            self.transport.write(data)

    def close(self) -> None:
        """Close after what was written is sent."""
        if self.transport is not None and not self.lost:
            self.transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None and not self.lost:
            self.transport.abort()

    def pause_writing(self) -> None:
        """The peer takes bytes more slowly than they come."""
        self.full_since = self._conversation.monotonic()
        self._conversation.regulate()

    def resume_writing(self) -> None:
        """The peer caught up."""
        self.full_since = None
        self._conversation.regulate()


@final
class ClientLeg(Leg):
    """The end towards the client."""

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        self._conversation.client_sent(data)

    def eof_received(self) -> None:
        """The client hung up; PostgreSQL's protocol knows no half-open connection."""
        self.ended = True
        self._conversation.client_ended()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - a reset and a close end alike
        """The transport is gone."""
        self.ended = self.lost = True
        self.full_since = None
        self._conversation.client_ended()
        self._conversation.leg_lost()


@final
class UpstreamLeg(Leg):
    """The end towards the upstream."""

    def data_received(self, data: bytes) -> None:
        """Bytes from the upstream."""
        self._conversation.upstream_sent(data)

    def eof_received(self) -> None:
        """The upstream hung up."""
        self.ended = True
        self._conversation.upstream_ended()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - a reset and a close end alike
        """The transport is gone."""
        self.ended = self.lost = True
        self.full_since = None
        self._conversation.upstream_ended()
        self._conversation.leg_lost()
