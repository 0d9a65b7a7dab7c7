"""Failing in a message's place, so that client and upstream agree on the state afterwards (P10)."""

from typing import Final

from interlock.protocols.postgres import running as kinds
from interlock.protocols.postgres.replies import FAILING_PARSE, FAILING_QUERY
from interlock.protocols.postgres.running import Expected
from interlock.protocols.postgres.state import Conversation

_READY_IDLE: Final = b"Z\x00\x00\x00\x05I"


def fail_extended(state: Conversation, reply: bytes) -> None:
    """Fail in a message's place; the server will skip until Sync, and so does the gateway."""
    state.flow(FAILING_PARSE)
    state.unsynced, state.flushed = True, False
    state.expect(Expected(kinds.REFUSED_EXTENDED, state.batch, instead=reply))
    state.discarding = True


def fail_query(state: Conversation, reply: bytes) -> None:
    """Fail in a Query's place; where nothing is open upstream, the answer is the gateway's alone."""
    if state.status == "I" and not state.expected and not state.unsynced:
        state.to_client.append(reply)
        state.to_client.append(_READY_IDLE)
        return
    state.flow(FAILING_QUERY)
    state.expect(Expected(kinds.REFUSED_QUERY, state.batch, instead=reply))
    state.batch += 1
    state.unsynced = False
