"""The life of one conversation: from its first byte until the end of its session is on record.

Interpreted on purpose. A compiled coroutine that is cancelled while it waits runs in its thread's own exception
state; if it then waits again while it deals with the cancellation (as ``async with`` a task group does), the
cancellation stays there for everybody, and the chain that each later exception adds to keeps conversations that ended
in memory.
"""

import asyncio

from interlock.transport.stream import Conversation


async def live(conversation: Conversation, transport: asyncio.Transport, first: bytes) -> None:
    """Live on ``transport``, of which ``first`` was already read, until the session's entry is closed."""
    try:
        async with asyncio.TaskGroup() as group:
            try:
                await conversation.begin(group, transport, first)
            finally:
                conversation.stop()
                await conversation.settle()
    finally:
        await conversation.end_session()
