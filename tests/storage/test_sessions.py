import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from interlock.core.principal import Model, Principal, PrincipalKind
from interlock.core.resource import Resource
from interlock.core.session import Session
from interlock.storage import Database, SqlSessionRegistry, SqlSessionStore, migrate

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SESSION = Session(
    id="s1",
    principal=Principal(
        subject="bot",
        issuer="i",
        kind=PrincipalKind.AGENT,
        expires_at=NOW + timedelta(hours=1),
        token_id="jti-1",
        model=Model("acme", "reviewer", "3"),
    ),
    resource=Resource("shop", "postgres", "db:5432"),
    database="orders",
    client_address="10.0.0.9:1234",
    started_at=NOW,
    expires_at=NOW + timedelta(hours=1),
)


def run(path: Path, story: Callable[[SqlSessionStore], Awaitable[None]]) -> None:
    async def whole() -> None:
        await migrate(path / "state.db")
        database = Database(path / "state.db")
        try:
            await story(SqlSessionStore(database))
        finally:
            await database.close()

    asyncio.run(whole())


def test_session_opens_is_listed_and_ends(tmp_path: Path) -> None:
    async def story(store: SqlSessionStore) -> None:
        await store.add(SESSION, worker=2)
        (listed,) = await store.find_all()
        assert (listed.id, listed.worker, listed.model, listed.token_id) == ("s1", 2, "acme/reviewer/3", "jti-1")
        assert await store.end("s1", code="client_closed", now=NOW + timedelta(seconds=5))
        assert not await store.end("s1", code="killed", now=NOW + timedelta(seconds=6))
        assert await store.find_all() == []
        ended = await store.find("s1")
        assert ended is not None
        assert (ended.end_code, ended.ended_at) == ("client_closed", NOW + timedelta(seconds=5))

    run(tmp_path, story)


def test_worker_dies_and_only_its_sessions_end(tmp_path: Path) -> None:
    async def story(store: SqlSessionStore) -> None:
        for number in range(4):
            session = replace(SESSION, id=f"s{number}", started_at=NOW + timedelta(seconds=number))
            await store.add(session, worker=number % 2)
        registry = SqlSessionRegistry(store, worker=7, now=lambda: NOW)
        assert await registry.count_open(SESSION.principal.id) == 4
        assert await store.end_worker(1, code="worker_lost", now=NOW) == 2
        assert [session.id for session in await store.find_all()] == ["s2", "s0"]
        assert [session.id for session in await store.find_all(ended=True, limit=2)] == ["s3", "s2"]
        assert await store.end_worker(None, code="gateway_restarted", now=NOW) == 2
        assert await store.forget_before(NOW + timedelta(seconds=1)) == 4

    run(tmp_path, story)
