"""What PostgreSQL brings to a worker."""

import asyncio
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from interlock.app.bus import Snapshot
from interlock.app.house import House, read_clock, read_clock_us, read_monotonic_us
from interlock.app.protocols import PROTOCOLS, Speaker
from interlock.app.rules import Rules, build_rules
from interlock.approval import Approvals
from interlock.audit.client import RecorderClient
from interlock.audit.journal import Journal
from interlock.storage import Database, SqlApprovalStore, SqlHandleStore, SqlRevocationStore, SqlSessionStore
from interlock.transport.cancel import CancelKeys
from tests.servers.authority import Authority

TEXT = """
[gateway]
mode = "development"
[listeners.postgres]
address = "127.0.0.1:6432"
{listener}
[[issuers]]
issuer = "https://idp/"
audience = "interlock"
jwks = "file:jwks.json"
"""


def write_development_key(folder: Path) -> None:
    (folder / "keys").mkdir(exist_ok=True, mode=0o700)
    pem = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "keys" / "development.pem").write_bytes(pem)
    (folder / "keys" / "development.pem").chmod(0o600)


def rules_of(folder: Path, listener: str) -> Rules:
    write_development_key(folder)
    (folder / "jwks.json").write_text('{"keys": []}')
    text = TEXT.replace("{listener}", listener)
    policies = {"a.cedar": '@id("all")\npermit (principal, action, resource);'}
    return build_rules(Snapshot(1, str(folder / "interlock.toml"), text, policies))


@pytest.fixture
def recorder() -> Iterator[tuple[Journal, RecorderClient]]:
    ours, theirs = socket.socketpair()
    out, kick = os.pipe()
    journal = Journal(
        instance="gw", worker="w", now_us=read_clock_us, mono_us=read_monotonic_us, random=secrets.token_bytes
    )
    client = RecorderClient(ours, kick, gap=lambda lost, count: journal.gap("x", lost=lost, count=count))
    yield journal, client
    for one in (ours, theirs):
        one.close()
    os.close(out)
    os.close(kick)


def speak(folder: Path, rules: Rules, recorder: tuple[Journal, RecorderClient]) -> Speaker:
    database = Database(folder / "state.db")
    store = SqlApprovalStore(database)
    house = House(
        config=rules.config,
        database=database,
        sessions=SqlSessionStore(database),
        handles=SqlHandleStore(database),
        revocations=SqlRevocationStore(database),
        approvals=Approvals(store=store, key=bytes(32), clock=read_clock, random_bytes=secrets.token_bytes),
        journal=recorder[0],
        recorder=recorder[1],
    )
    keys = CancelKeys(0, random_bytes=secrets.token_bytes, monotonic=lambda: 0.0, forward=lambda *_: None)
    return PROTOCOLS["postgres"](house, lambda: rules, keys)


def first_answer(speaker: Speaker) -> bytes:
    """What the door answers to a client that asks for TLS and then says nothing."""

    async def ask() -> bytes:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.setblocking(False)
            ours.setblocking(False)
            async with asyncio.TaskGroup() as group:
                opening = group.create_task(speaker.door.open(theirs))
                loop = asyncio.get_running_loop()
                await loop.sock_sendall(ours, b"\0\0\0\x08\x04\xd2\x16\x2f")
                answer = await loop.sock_recv(ours, 10)
                opening.cancel()
            return answer

    return asyncio.run(asyncio.wait_for(ask(), 20))


def test_door_offers_tls_where_there_is_a_certificate_and_only_then_T27(
    tmp_path: Path, recorder: tuple[Journal, RecorderClient]
) -> None:
    pair = Authority(tmp_path / "made").issue("gateway")
    listener = f'tls = {{ certificate = "file:{pair.certificate}", key = "file:{pair.key}" }}'
    protected = speak(tmp_path, rules_of(tmp_path, listener), recorder)
    assert first_answer(protected) == b"S"
    protected.close()
    plain = speak(tmp_path, rules_of(tmp_path, 'plaintext = "loopback"'), recorder)
    assert first_answer(plain) == b"N"
    plain.close()


def test_every_connection_has_a_mediator_of_its_own(tmp_path: Path, recorder: tuple[Journal, RecorderClient]) -> None:
    speaker = speak(tmp_path, rules_of(tmp_path, 'plaintext = "loopback"'), recorder)
    one, two = speaker.make_mediator(), speaker.make_mediator()
    assert one is not two
    assert one.backlog == two.backlog == 0
    speaker.close()
