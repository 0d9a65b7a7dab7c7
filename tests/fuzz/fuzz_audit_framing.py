"""Fuzz the recorder's side of the workers' socket: the same entries whatever the pieces, or the channel's end.

python tests/fuzz/fuzz_audit_framing.py -max_total_time=60
"""

import sys

import atheris

with atheris.instrument_imports(include=["interlock.audit"]):
    from interlock.audit.framing import MAX_FRAME_BYTES, decode_frames, encode_frames, resynchronise, stored_frames
    from interlock.audit.payload import PayloadKind, decode_payload, route


def read(stream: bytes, step: int) -> tuple[list[bytes], list[bytes], int, str]:
    """Return entries, payloads, the last number, and what is wrong, peeking ``step`` bytes more each time."""
    entries: list[bytes] = []
    payloads: list[bytes] = []
    last, start, end, wrong = 0, 0, 0, ""
    while end < len(stream) and not wrong:
        end = min(end + step, len(stream))
        found = decode_frames(memoryview(stream)[start:end], last)
        entries += [bytes(view[2:]) for view in found.entries]
        for group in found.groups.values():
            for view in group.stored:
                for _, payload in stored_frames(view):
                    payloads.append(bytes(payload))
                    try:
                        decode_payload(payload)
                    except ValueError:
                        continue
        last, start, wrong = found.last_seq, start + found.used, found.wrong
        if not wrong and end - start > MAX_FRAME_BYTES:
            msg = f"{end - start} bytes kept"
            raise AssertionError(msg)
    return sorted(entries), sorted(payloads), last, wrong


def test_one_input(data: bytes) -> None:
    """Read the bytes as they are, and behind good frames."""
    step = data[0] % 64 + 1 if data else 1
    good = b"".join(encode_frames(1, b"entry", route("s", "a", PayloadKind.REQUEST) + data[:100]))
    for stream in (data, good + data, good + data[: len(data) // 2] + good):
        if read(stream, step) != read(stream, len(stream) or 1):
            msg = "the pieces that a stream arrives in change what is read"
            raise AssertionError(msg)
        if not 0 <= resynchronise(memoryview(stream)[1:], 1) <= len(stream):
            msg = "a place outside the stream"
            raise AssertionError(msg)


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
