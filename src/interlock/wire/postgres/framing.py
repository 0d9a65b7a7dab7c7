"""Cut a PostgreSQL byte stream into messages; hot, compiled where a C compiler exists.

A ``FrameReader`` is fed bytes as they arrive and asked for one item at a time, so what precedes a broken message is
dealt with before the error is raised, and a mediator that can't go on leaves the rest where it is::

    reader.feed(data)
    while (item := reader.next_item()) is not None: ...

Rows come as runs (one item for all complete DataRow or CopyData messages in sight), very large ones in chunks, and
a message over its kind's limit as ``Oversized``, its body dropped as it arrives. Each byte is copied at most three
times, whatever the pieces it came in.

Spec: PostgreSQL 18, "Frontend/Backend Protocol", "Overview" and "Message Formats": Byte1 kind, Int32 length counting
itself, body.
"""

from typing import Final, final

from mypy_extensions import i64

from interlock.core.errors import ClientProtocolError, ProtocolError, UpstreamProtocolError

HEADER: Final = 5
MAX_LENGTH: Final = 0x3FFFFFFF
"""The largest length that PostgreSQL itself accepts or sends (MaxAllocSize)."""
SMALL_BODY: Final = 10_000
"""PQ_SMALL_MESSAGE_LIMIT: bodies that are never large."""
AUTHENTICATION_BODY: Final = 65_535
"""PG_MAX_AUTH_TOKEN_LENGTH: a password, SASL or GSS message."""
STREAM_ABOVE: Final = 256 * 1024
UNKNOWN: Final = -1
DATA_ROW: Final = 0x44
COPY_DATA: Final = 0x64

_CLIENT_LARGE: Final = b"QPBF"
_CLIENT_SMALL: Final = b"CDEHScfX"
_UPSTREAM: Final = b"123ACEGHIKNRSTVWZcnstv"


@final
class Frame:
    """One whole message."""

    def __init__(self, kind: int, raw: bytes) -> None:
        self.kind: Final = kind
        """The kind's byte, as in ``ord("Q")``."""
        self.raw: Final = raw
        """The message as it arrived, header and all: what is forwarded."""

    @property
    def body(self) -> bytes:
        """What follows the header."""
        return self.raw[5:]

    def __repr__(self) -> str:
        return f"Frame({chr(self.kind)!r}, {len(self.raw)} bytes)"


@final
class Run:
    """One or more whole DataRow messages, or CopyData messages, in a row."""

    def __init__(self, kind: int, raw: bytes, count: int) -> None:
        self.kind: Final = kind
        self.raw: Final = raw
        self.count: Final = count

    def __repr__(self) -> str:
        return f"Run({chr(self.kind)!r}, {self.count} messages, {len(self.raw)} bytes)"


@final
class Chunk:
    """A piece of a DataRow or CopyData message too large to hold; the first one carries the header."""

    def __init__(self, kind: int, raw: bytes, *, starts: bool, ends: bool) -> None:
        self.kind: Final = kind
        self.raw: Final = raw
        self.starts: Final = starts
        self.ends: Final = ends

    def __repr__(self) -> str:
        return f"Chunk({chr(self.kind)!r}, {len(self.raw)} bytes, starts={self.starts}, ends={self.ends})"


@final
class Oversized:
    """A message whose announced body is over its kind's limit; the body is dropped as it arrives, never seen."""

    def __init__(self, kind: int, size: int, limit: int) -> None:
        self.kind: Final = kind
        self.size: Final = size
        self.limit: Final = limit

    def __repr__(self) -> str:
        return f"Oversized({chr(self.kind)!r}, {self.size} bytes, limit={self.limit})"


Item = Frame | Run | Chunk | Oversized


def announced_length(buffer: bytes, at: i64) -> i64:
    """Read the unsigned Int32 at ``at``: a length counts itself, so under 4 is a lie."""
    a: i64 = buffer[at]
    b: i64 = buffer[at + 1]
    c: i64 = buffer[at + 2]
    d: i64 = buffer[at + 3]
    return (a << 24) | (b << 16) | (c << 8) | d


def scan_run(buffer: bytes, start: i64, kind: i64, largest: i64) -> tuple[i64, i64]:
    """Find the end of the whole messages of one kind from ``start`` on, and count them.

    Trust: ``buffer`` is unverified; the scan stops before a message of another kind, an incomplete one, and one
    whose length is under 4 or over ``largest``.
    """
    size: i64 = len(buffer)
    position: i64 = start
    count: i64 = 0
    while position + 5 <= size:
        this: i64 = buffer[position]
        if this != kind:
            break
        a: i64 = buffer[position + 1]
        b: i64 = buffer[position + 2]
        c: i64 = buffer[position + 3]
        d: i64 = buffer[position + 4]
        length: i64 = (a << 24) | (b << 16) | (c << 8) | d
        end: i64 = position + 1 + length
        if length < 4 or length > largest or end > size:
            break
        position = end
        count += 1
    return position, count


def split(buffer: bytes, start: i64) -> list[tuple[int, int, int]]:
    """List (kind, start, end) of the whole messages from ``start`` on; bodies begin at ``start + 5``.

    Trust: for bytes that a ``FrameReader`` already passed, such as a run's ``raw``; stops at what isn't whole.
    """
    size: i64 = len(buffer)
    position: i64 = start
    found: list[tuple[int, int, int]] = []
    while position + 5 <= size:
        length: i64 = announced_length(buffer, position + 1)
        end: i64 = position + 1 + length
        if length < 4 or end > size:
            break
        kind: i64 = buffer[position]
        found.append((int(kind), int(position), int(end)))
        position = end
    return found


def client_limits(max_body: int) -> list[int]:
    """Limits for each kind that a client may send, ``max_body`` for Query, Parse, Bind and FunctionCall."""
    limits = [UNKNOWN] * 256
    for kind in _CLIENT_LARGE:
        limits[kind] = max_body
    for kind in _CLIENT_SMALL:
        limits[kind] = SMALL_BODY
    limits[ord("p")] = AUTHENTICATION_BODY
    limits[COPY_DATA] = MAX_LENGTH - 4
    return limits


def authentication_limits() -> list[int]:
    """Limits for a client that nobody has authenticated: a password or SASL message, or Terminate, nothing else.

    Another kind is refused from its first five bytes, so that a stranger can't make us hold a large message.
    """
    limits = [UNKNOWN] * 256
    limits[ord("p")] = AUTHENTICATION_BODY
    limits[ord("X")] = SMALL_BODY
    return limits


def upstream_limits(max_body: int) -> list[int]:
    """Limits for each kind that a server may send, ``max_body`` for all but rows and COPY data."""
    limits = [UNKNOWN] * 256
    for kind in _UPSTREAM:
        limits[kind] = max_body
    limits[DATA_ROW] = MAX_LENGTH - 4
    limits[COPY_DATA] = MAX_LENGTH - 4
    return limits


@final
class FrameReader:
    """Cuts one direction of one connection into items.

    Memory is what was fed and not yet taken; a partial message is at most its kind's limit, or ``stream_above`` for
    rows and COPY data, which come in chunks beyond that.
    """

    def __init__(self, limits: list[int], *, from_client: bool, stream_above: int = STREAM_ABOVE) -> None:
        self._limits: list[int] = []
        self._from_client: Final = from_client
        self._stream_above: i64 = stream_above
        self._buffer = b""
        self._position: i64 = 0
        self._more = bytearray()  # what was fed while the buffer held something; never a list of tiny pieces
        self._needed: i64 = 5  # bytes that the next item can't do without
        self._passing: i64 = 0  # bytes of a streamed body still to come
        self._passing_kind: i64 = 0
        self._dropping: i64 = 0  # bytes of an oversized body still to come
        self._error: ProtocolError | None = None
        self.use(limits)

    @property
    def buffered(self) -> int:
        """Bytes fed and not yet taken."""
        return int(len(self._buffer) - self._position + len(self._more))

    @property
    def waiting(self) -> int:
        """Bytes fed that somebody here has yet to take.

        None while the next message isn't whole: only its sender can bring it on, so the stream must be read on.
        """
        buffered: i64 = len(self._buffer) - self._position + len(self._more)
        return 0 if buffered < self._needed else int(buffered)

    def use(self, limits: list[int]) -> None:
        """Read under these limits from the next item on, as when a client has been authenticated."""
        if len(limits) != 256:
            msg = "limits has one entry for each of 256 kinds"
            raise ValueError(msg)
        self._limits = limits
        self._needed = 5

    def feed(self, data: bytes) -> None:
        """Append bytes as they arrived."""
        if self._position == len(self._buffer) and not self._more:
            self._buffer = data
            self._position = 0
        else:
            self._more += data

    def next_item(self) -> Item | None:
        """Take the next item, or None until more is fed.

        Raises:
            ClientProtocolError, UpstreamProtocolError: an unknown kind, a length under 4 or over what PostgreSQL
                allows; the stream is lost, every further call raises the same.
        """
        if self._error is not None:
            raise self._error
        if self._dropping > 0:
            self._drop()
            if self._dropping > 0:
                return None
        size: i64 = len(self._buffer)
        available: i64 = size - self._position + len(self._more)
        if self._passing > 0:
            if available == 0:
                return None
            return self._pass_chunk(starts=False)
        if available < self._needed:
            return None
        if size - self._position < self._needed:
            self._join()
        return self._cut()

    def take_rest(self) -> bytes:
        """Take everything that isn't cut yet; the reader is empty afterwards.

        For handing a connection on to another reader, between messages.
        """
        self._join()
        rest = self._buffer[self._position :]
        self._buffer = b""
        self._position = 0
        self._needed = 5
        return rest

    def _cut(self) -> Item | None:
        """Cut the item at the position; the buffer holds at least ``_needed`` bytes."""
        buffer = self._buffer
        start: i64 = self._position
        size: i64 = len(buffer)
        kind: i64 = buffer[start]
        length: i64 = announced_length(buffer, start + 1)
        limit: i64 = self._limits[kind]
        if limit < 0 or length < 4 or length > 0x3FFFFFFF:
            self._fail(int(kind), int(length), unknown=limit < 0)
        if length - 4 > limit:
            self._position = start + 5
            self._dropping = length - 4
            self._needed = 5
            return Oversized(int(kind), int(length - 4), int(limit))
        end: i64 = start + 1 + length
        if kind == 0x64 or (kind == 0x44 and not self._from_client):  # a client's D is Describe
            largest: i64 = self._stream_above
            if length - 4 > largest:
                self._passing = length + 1
                self._passing_kind = kind
                self._needed = 5
                return self._pass_chunk(starts=True)
            if end <= size:
                run = scan_run(buffer, start, kind, largest + 4)
                end = run[0]
                self._position = end
                self._needed = 5
                return Run(int(kind), buffer[start:end], int(run[1]))
        if end > size:
            self._needed = end - start
            if size - start + len(self._more) < self._needed:
                return None
            self._join()
            return self._cut()
        self._position = end
        self._needed = 5
        return Frame(int(kind), buffer[start:end])

    def _join(self) -> None:
        """Make one buffer of what is left and what was fed."""
        if not self._more:
            return
        left = self._buffer[self._position :]
        self._buffer = left + self._more if left else bytes(self._more)
        self._position = 0
        self._more = bytearray()

    def _pass_chunk(self, *, starts: bool) -> Chunk:
        """Take what is there of a streamed message."""
        size: i64 = len(self._buffer)
        if self._position == size:
            self._join()
            size = len(self._buffer)
        start: i64 = self._position
        end: i64 = size
        if end - start > self._passing:
            end = start + self._passing
        self._passing -= end - start
        self._position = end
        return Chunk(int(self._passing_kind), self._buffer[start:end], starts=starts, ends=self._passing == 0)

    def _drop(self) -> None:
        """Throw away what is there of an oversized body."""
        self._join()
        left: i64 = len(self._buffer) - self._position
        if left > self._dropping:  # noqa: PLR1730 - min() would box the i64
            left = self._dropping
        self._dropping -= left
        self._position += left

    def _fail(self, kind: int, length: int, *, unknown: bool) -> None:
        """Remember the error and raise it.

        Raises:
            ClientProtocolError, UpstreamProtocolError: always.
        """
        what = f"unknown message kind 0x{kind:02x}" if unknown else f"length {length} of message kind 0x{kind:02x}"
        self._error = ClientProtocolError(what) if self._from_client else UpstreamProtocolError(what)
        raise self._error


def client_reader(*, max_body: int, stream_above: int = STREAM_ABOVE) -> FrameReader:
    """Make a reader of what a client sends after its StartupMessage."""
    return FrameReader(client_limits(max_body), from_client=True, stream_above=stream_above)


def upstream_reader(*, max_body: int, stream_above: int = STREAM_ABOVE) -> FrameReader:
    """Make a reader of what a server sends."""
    return FrameReader(upstream_limits(max_body), from_client=False, stream_above=stream_above)
