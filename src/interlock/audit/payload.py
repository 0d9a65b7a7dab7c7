"""The layout of payloads: what a recording holds besides response bytes.

A payload is a route (which session, which action, what kind) and content. The recorder reads only the route's
session, to encrypt for it; the rest is opaque to it.

Layout of the route: u8 length and session id, u8 length and action id (UTF-8), u8 kind.
Layout of the content by kind:
    REQUEST   salt 16, digest 32, u32 length and details (JSON), the exact bytes of the action
    OUTCOME   salt 16, response digest 32, data digest 32 (zeros = none), u32 length and details
    DETAILS   salt 16, u32 length and details
    RESPONSE  bytes as delivered to the client, in order
    MORE      continues the content of the payload before it
An entry's ``payload`` is the SHA-256 of the whole content, salt included. A plain outcome has no payload of its own
(``payload_bytes`` is absent): its ``payload`` is the SHA-256 of the salt of the action's intent and the SHA-256 of the
response as delivered, which the recording of that action yields.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

SALT_BYTES: Final = 16


class PayloadKind(IntEnum):
    """What follows the route."""

    REQUEST = 1
    OUTCOME = 2
    DETAILS = 3
    RESPONSE = 4
    MORE = 5


_KIND_BYTES: Final = {kind: bytes((kind,)) for kind in PayloadKind}


def route(session_id: str, action_id: str, kind: PayloadKind) -> bytes:
    """Encode a route; the ids are the gateway's own, at most 96 bytes."""
    session, action = session_id.encode(), action_id.encode()
    return b"%c%b%c%b%b" % (len(session), session, len(action), action, _KIND_BYTES[kind])


def route_length(payload: bytes | memoryview) -> int:
    """The length of the route at the start of a payload.

    Raises:
        ValueError: no whole route.
    """
    size = len(payload)
    if size:
        at = 1 + payload[0]
        if at < size:
            at += 2 + payload[at]
            if at <= size:
                return at
    msg = "a payload without a whole route"
    raise ValueError(msg)


def with_kind(encoded_route: bytes, kind: PayloadKind) -> bytes:
    """The same route with another kind."""
    return encoded_route[:-1] + _KIND_BYTES[kind]


@dataclass(frozen=True, slots=True)
class Payload:
    """One decoded payload frame."""

    session: str
    action: str
    kind: PayloadKind
    content: bytes


def decode_payload(data: bytes | memoryview) -> Payload:
    """Decode route and content.

    Raises:
        ValueError: no whole route, an unknown kind, or ids that aren't UTF-8.
    """
    end = route_length(data)
    head = bytes(data[:end])
    session_end = 1 + head[0]
    return Payload(
        session=head[1:session_end].decode(),
        action=head[session_end + 1 : end - 1].decode(),
        kind=PayloadKind(head[end - 1]),
        content=bytes(data[end:]),
    )
