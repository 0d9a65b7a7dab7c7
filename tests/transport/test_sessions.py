"""What kills and revocations are matched against: sessions of a real listener."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import uvloop


def run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(work, 20))


def test_one_session_is_killed_by_its_id_and_the_other_lives_on_P4(gateway: Any) -> None:
    async def work() -> None:
        async with gateway() as g:
            one, two = await g.client("t1"), await g.client("t2")
            assert (await one.line()).startswith("ready")
            assert (await two.line()).startswith("ready")
            assert len(g.sessions) == 2
            assert not g.sessions.kill("no such session", code="killed", message="x")
            assert g.sessions.kill("s0", code="killed", message="an operator ended it")
            await g.gate.until(lambda: len(g.gate.closed) == 1)
            survivor = two if g.gate.opened[0].principal.token_id == "t1" else one
            survivor.send("hello")
            assert await survivor.line() == "HELLO"
            assert len(g.sessions) == 1
            assert not g.sessions.kill("s0", code="killed", message="twice")

    run(work())


def test_revocation_ends_exactly_the_sessions_that_match_P4(gateway: Any) -> None:
    async def work() -> None:
        async with gateway() as g:
            clients = [await g.client(token) for token in ("bad", "good", "bad")]
            for client in clients:
                assert (await client.line()).startswith("ready")
            ended = g.sessions.kill_where(
                lambda session: session.principal.token_id == "bad", code="revoked", message="x"
            )
            assert ended == 2
            await g.gate.until(lambda: len(g.gate.closed) == 2)
            assert {code for _, code in g.gate.closed} == {"revoked"}
            clients[1].send("still here")
            assert await clients[1].line() == "STILL HERE"

    run(work())


def test_draining_ends_idle_sessions_and_spares_one_that_runs_something(gateway: Any) -> None:
    async def work() -> None:
        async with gateway() as g:
            idle, busy = await g.client(), await g.client()
            assert (await idle.line()).startswith("ready")
            assert (await busy.line()).startswith("ready")
            busy.send("silent")
            await g.until(lambda: b"silent" in g.seen)
            assert g.sessions.kill_idle(code="gateway_stopped", message="x") == 1
            await g.gate.until(lambda: len(g.gate.closed) == 1)
            assert len(g.sessions) == 1
            assert await idle.line() == "fatal gateway_stopped"

    run(work())
