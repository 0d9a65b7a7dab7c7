"""One PostgreSQL conversation for tests: an open session, and messages to say in it."""

import struct

from interlock.analysis.postgres.analyser import Analyser
from interlock.analysis.postgres.catalogue import SNAPSHOT_QUERIES, Catalogue
from interlock.core.commands import Authenticated, Dialled, FromClient, FromUpstream, Learned
from interlock.core.secret import Secret
from interlock.core.session import Session
from interlock.protocols.postgres.limits import Limits
from interlock.protocols.postgres.mediator import PostgresMediator
from interlock.wire.postgres import backend
from interlock.wire.postgres.authentication import PasswordMessage
from interlock.wire.postgres.frontend import Query, Sync
from interlock.wire.postgres.startup import PROTOCOL_3_0, StartupMessage
from tests.protocols.dialogue import Dialogue, a_session, a_session_permit

ANALYSER = Analyser()
CATALOGUE = Catalogue.from_rows(
    {name: () for name, _ in SNAPSHOT_QUERIES}
    | {
        "relations": [
            (str(16400 + 10 * n), "public", name, "r", "p", str(16401 + 10 * n))
            for n, name in enumerate(("t", "t1", "t2", "t3", "orders", "secrets"))
        ]
    }
)
"""Ordinary tables: what reads them runs no code."""
SYNC = Sync().encode()
READY = b"Z\0\0\0\5I"
READY_T = b"Z\0\0\0\5T"
READY_E = b"Z\0\0\0\5E"
ROW_DESCRIPTION = b"T" + struct.pack("!IH", 4 + 2 + 2 + 18, 1) + b"n\0" + struct.pack("!IhIhih", 0, 0, 23, 4, -1, 0)


def query(text: str) -> bytes:
    return Query(text.encode()).encode()


def row(value: str) -> bytes:
    raw = value.encode()
    return b"D" + struct.pack("!IH", 4 + 2 + 4 + len(raw), 1) + struct.pack("!I", len(raw)) + raw


def complete(tag: str) -> bytes:
    return backend.CommandComplete(tag).encode()


def sqlstates(data: bytes) -> list[str]:
    return [part.split(b"\0")[0].decode() for part in data.split(b"\0C")[1:] if len(part.split(b"\0")[0]) == 5]


def greeted(talk: Dialogue, session: Session, parameters: dict[str, str], version: int = PROTOCOL_3_0) -> None:
    """Everything up to the point where settings are asked about (or the upstream is dialled)."""
    talk.gives(FromClient(StartupMessage(version, parameters).encode()))
    talk.gives(FromClient(PasswordMessage(Secret("tok")).encode()))
    talk.gives(Authenticated(session, a_session_permit(session)))


def opened(limits: Limits | None = None, **session: object) -> Dialogue:
    """An open and idle session."""
    talk = Dialogue(PostgresMediator(analyser=ANALYSER, limits=limits or Limits()))
    greeted(talk, a_session(**session), {"user": "shop", "database": "shop"})
    talk.gives(Dialled({"server_version": "18.1", "client_encoding": "UTF8"}, (7, b"abcd")), Learned(CATALOGUE))
    assert talk.take_client().endswith(READY)
    talk.asked.clear()
    talk.permits.clear()
    return talk


def ticking(talk: Dialogue) -> bool:
    return talk.mediator.wants_ticks


def run(talk: Dialogue, text: str, answer: bytes) -> None:
    """A Query that is permitted and answered."""
    talk.gives(FromClient(query(text)))
    talk.permit()
    talk.gives(FromUpstream(answer))
