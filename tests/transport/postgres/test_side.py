"""Side connections: a hostile or changing upstream, and the sessions that are told."""

import asyncio
import struct
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import uvloop

from interlock.analysis.postgres.catalogue import (
    BEGIN_QUERY,
    CHANGE_QUERY,
    END_QUERY,
    SETUP_QUERY,
    SNAPSHOT_QUERIES,
    Catalogue,
)
from interlock.core.errors import AuditUnavailable
from interlock.core.permit import GATE_MINT, SessionPermit  # noqa: TID251 - a permit as the gate would give it
from interlock.core.principal import Principal, PrincipalKind
from interlock.core.resource import Resource
from interlock.core.session import Session
from interlock.protocols.postgres.login import LoggedIn
from interlock.transport.dial import Pin, UpstreamProtocolBroken, UpstreamUnreachable
from interlock.transport.postgres.side import PARAMETERS, PostgresCatalogues, Rows, SideConnection
from interlock.transport.postgres.upstream import LoginLeg, PostgresUpstream
from interlock.wire.postgres.rows import DataRow

NOW = datetime(2026, 1, 1, tzinfo=UTC)
READY = b"Z\0\0\0\5I"
DONE = b"C\0\0\0\x0bCOMMIT\0" + READY
ERROR = b"E\0\0\0\x24SERROR\0VERROR\0C57014\0Mtimed out\0\0" + READY


def run(work: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(work, 20))


def session_of(number: int, *, user: str = "app") -> Session:
    principal = Principal("ada", "test", PrincipalKind.HUMAN, NOW + timedelta(hours=1), "t1")
    resource = Resource("shop", "postgres", "127.0.0.1:1")
    return Session(f"s{number}", principal, resource, "shop", "", NOW, NOW, upstream_user=user)


class Server:
    """An upstream that is logged in to already: it answers each query from ``answers``, or with one change value."""

    def __init__(self) -> None:
        self.change = "1"
        self.answers: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.dialled: list[Mapping[str, str]] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                kind, length = struct.unpack("!cI", await reader.readexactly(5))
                assert kind == b"Q"
                text = (await reader.readexactly(length - 4))[:-1].decode()
                self.asked.append(text)
                answer = self.answers.get(text)
                if answer is None:
                    rows = DataRow((self.change.encode(),)).encode() if text == CHANGE_QUERY else b""
                    answer = rows + DONE
                if answer == b"":
                    break
                writer.write(answer)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async def dial(self, session: Session, permit: SessionPermit, parameters: Mapping[str, str]) -> PostgresUpstream:
        if not self.port:
            msg = "nobody there"
            raise UpstreamUnreachable(msg)
        assert permit.session_id == session.id
        self.dialled.append(parameters)
        leg = LoginLeg()
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: leg, "127.0.0.1", self.port)
        peer = transport.get_extra_info("socket")
        logged_in = LoggedIn({}, 1, b"", 0, "I", b"")
        return PostgresUpstream(leg, logged_in, pin=Pin(peer.family, peer.getpeername()), tls=None, host="127.0.0.1")


Story = Callable[[Server, PostgresCatalogues, list[str]], Awaitable[None]]


def live(story: Story, *, refuse_record: bool = False) -> None:
    async def whole() -> None:
        server, recorded = Server(), list[str]()

        async def record(session: Session, what: str) -> None:
            if refuse_record:
                raise AuditUnavailable
            recorded.append(f"{session.id} {what}")

        def read(rows: Mapping[str, Rows]) -> Catalogue:
            assert [*rows] == [name for name, _ in SNAPSHOT_QUERIES]
            return Catalogue.from_rows(rows)

        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        server.port = listening.sockets[0].getsockname()[1]
        catalogues = PostgresCatalogues(server, record=record, read=read)
        try:
            await story(server, catalogues, recorded)
        finally:
            catalogues.close()
            listening.close()

    run(whole())


async def look(catalogues: PostgresCatalogues, number: int, told: list[object], *, refresh: bool = False) -> Any:
    session = session_of(number)
    permit = SessionPermit(mint=GATE_MINT, session_id=session.id)
    return await catalogues.look_up(session, permit, refresh=refresh, on_change=told.append)


def test_catalogue_is_read_once_for_two_sessions_in_one_reading_and_on_record_P1() -> None:
    async def story(server: Server, catalogues: PostgresCatalogues, recorded: list[str]) -> None:
        told: list[object] = []
        first, second = await asyncio.gather(look(catalogues, 1, told), look(catalogues, 2, told))
        assert isinstance(first, Catalogue)
        assert second is first
        assert server.dialled == [PARAMETERS]
        snapshot = [text for _, text in SNAPSHOT_QUERIES]
        assert server.asked == [SETUP_QUERY, CHANGE_QUERY, BEGIN_QUERY, CHANGE_QUERY, *snapshot, END_QUERY]
        assert recorded == ["s1 catalogue_connection", "s1 catalogue_snapshot"]
        assert told == []

    live(story)


def test_pushed_change_reaches_the_other_sessions_and_not_who_asked_nor_who_left() -> None:
    async def story(server: Server, catalogues: PostgresCatalogues, _recorded: list[str]) -> None:
        asker: list[object] = []
        other: list[object] = []
        gone: list[object] = []
        before = await look(catalogues, 1, asker)
        await look(catalogues, 2, other)
        await look(catalogues, 3, gone)
        catalogues.release(session_of(3))
        assert await look(catalogues, 1, asker, refresh=True) is before  # nothing changed, nothing is read
        server.change = "2"
        after = await look(catalogues, 1, asker, refresh=True)
        assert after is not before
        assert other == [after]
        assert (asker, gone) == ([], [])

    live(story)


_CHANGE = DataRow((b"1",)).encode()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        READY,
        ERROR,
        _CHANGE + _CHANGE + DONE,
        DataRow((None,)).encode() + DONE,
        DataRow((b"1", b"2")).encode() + DONE,
        DataRow((b"\xff",)).encode() + DONE,
        b"D\0\0\0\6\0\5" + READY,
        b"D\0\0\0\7\xff\xff\0" + READY,
        b"D\x7f\xff\xff\xff" + b"x" * 64,
        b"D\0\0\0\1",
        b"?\0\0\0\4" + READY,
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
    ids=["hang-up", "no row", "error", "two rows", "null", "two columns", "not text", "lying count", "negative count",
         "huge length", "short length", "unknown kind", "not PostgreSQL"],
)  # fmt: skip
def test_hostile_answer_is_never_taken_for_a_catalogue_T4(answer: bytes) -> None:
    async def story(server: Server, catalogues: PostgresCatalogues, _recorded: list[str]) -> None:
        told: list[object] = []
        assert await look(catalogues, 1, told) is not None
        await look(catalogues, 2, told)
        server.answers[CHANGE_QUERY] = answer
        assert await look(catalogues, 1, told, refresh=True) is None
        assert told == [None]  # who used the old one is told that nothing is known any more
        del server.answers[CHANGE_QUERY]
        assert await look(catalogues, 1, told, refresh=True) is not None
        assert len(server.dialled) == 2  # on a new connection: the old one may still owe an answer

    live(story)


def test_row_of_another_shape_in_the_snapshot_is_no_catalogue_T4() -> None:
    async def story(server: Server, catalogues: PostgresCatalogues, _recorded: list[str]) -> None:
        for name, text in SNAPSHOT_QUERIES[:3]:
            server.answers[text] = DataRow((b"a", b"row", name.encode())).encode() + DONE
            assert await look(catalogues, 1, [], refresh=True) is None
            del server.answers[text]
        server.answers[SNAPSHOT_QUERIES[0][1]] = ERROR
        assert await look(catalogues, 1, [], refresh=True) is None

    live(story)


def test_nothing_is_sent_that_cannot_be_recorded_P1() -> None:
    async def story(server: Server, catalogues: PostgresCatalogues, _recorded: list[str]) -> None:
        assert await look(catalogues, 1, []) is None
        assert server.dialled == []
        assert server.asked == []

    live(story, refuse_record=True)


def test_upstream_that_is_not_there_gives_nobody_a_catalogue() -> None:
    async def story(server: Server, catalogues: PostgresCatalogues, _recorded: list[str]) -> None:
        server.port = 0
        assert await look(catalogues, 1, []) is None

    live(story)


def test_one_fixed_question_is_answered_by_all_its_rows_in_order() -> None:
    async def story(server: Server, _catalogues: PostgresCatalogues, _recorded: list[str]) -> None:
        server.answers["q"] = b"".join(DataRow((str(n).encode(), None)).encode() for n in range(3000)) + DONE
        permit = SessionPermit(mint=GATE_MINT, session_id="s1")
        side = SideConnection(await server.dial(session_of(1), permit, {}))
        assert await side.ask("q") == [(str(n), None) for n in range(3000)]
        server.answers["q"] = b""
        with pytest.raises(UpstreamProtocolBroken):
            await side.ask("q")
        assert not side.is_open
        side.close()

    live(story)
