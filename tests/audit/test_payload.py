"""The route before a payload: read back, or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.audit.payload import Payload, PayloadKind, decode_payload, route, route_length, with_kind

IDS = st.text(st.characters(codec="ascii"), max_size=96)


@given(IDS, IDS, st.sampled_from(PayloadKind), st.binary(max_size=50))
def test_payload_is_read_back(session: str, action: str, kind: PayloadKind, content: bytes) -> None:
    data = route(session, action, kind) + content
    assert decode_payload(data) == Payload(session, action, kind, content)
    assert route_length(data) == len(data) - len(content)


@given(st.binary(max_size=600))
def test_anything_else_is_refused_or_read_within_its_bounds(data: bytes) -> None:
    try:
        found = decode_payload(data)
    except ValueError:
        return
    assert route(found.session, found.action, found.kind) + found.content == data


def test_route_that_is_cut_anywhere_is_refused() -> None:
    whole = route("session", "action", PayloadKind.REQUEST)
    for end in range(len(whole)):
        with pytest.raises(ValueError, match="without a whole route"):
            route_length(whole[:end])


def test_kind_of_a_route_can_be_changed() -> None:
    assert with_kind(route("s", "a", PayloadKind.REQUEST), PayloadKind.MORE) == route("s", "a", PayloadKind.MORE)
