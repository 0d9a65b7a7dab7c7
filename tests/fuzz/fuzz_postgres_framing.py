"""Fuzz the framing of PostgreSQL streams: the same items whatever the pieces, bounded memory, or the documented error.

python tests/fuzz/fuzz_postgres_framing.py -max_total_time=60
"""

import sys

import atheris

with atheris.instrument_imports(include=["interlock.wire"]):
    from interlock.core.errors import ProtocolError
    from interlock.wire.postgres.framing import FrameReader, Oversized, client_reader, scan_run, split, upstream_reader

MAX_BODY = 64
STREAM_ABOVE = 32


def cut(reader: FrameReader, stream: bytes, step: int) -> tuple[bytes, bool]:
    """Return the bytes of all items, and whether the stream was broken."""
    out = bytearray()
    for at in range(0, len(stream), step):
        reader.feed(stream[at : at + step])
        try:
            while (item := reader.next_item()) is not None:
                if isinstance(item, Oversized):
                    out += b"%c%d" % (item.kind, item.size)
                else:
                    out += item.raw
        except ProtocolError:
            return bytes(out), True
        # a client's small kinds and passwords have PostgreSQL's own, larger limits
        if reader.buffered > 65_535 + 5:
            msg = f"{reader.buffered} bytes kept"
            raise AssertionError(msg)
    return bytes(out), False


def test_one_input(data: bytes) -> None:
    """Cut one stream in two ways, from either side."""
    step = data[0] % 16 + 1 if data else 1
    for make in (client_reader, upstream_reader):
        whole = cut(make(max_body=MAX_BODY, stream_above=STREAM_ABOVE), data, len(data) or 1)
        pieces = cut(make(max_body=MAX_BODY, stream_above=STREAM_ABOVE), data, step)
        if whole != pieces:
            msg = "the pieces that a stream arrives in change what is read"
            raise AssertionError(msg)
    split(data, 0)
    scan_run(data, 0, 68, MAX_BODY)


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
