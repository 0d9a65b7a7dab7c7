"""One worker process on a bus whose other end is the test's: what it answers, refuses and how it ends."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from interlock.app.bus import (
    Answer,
    ApprovalChanged,
    Cancel,
    Discard,
    Drain,
    Kill,
    Link,
    Listening,
    Message,
    Prepare,
    Report,
    Revoked,
    Snapshot,
    Start,
    Switch,
)
from interlock.app.worker import _concerns
from interlock.config import parse
from interlock.core.principal import Actor, Principal, PrincipalKind
from interlock.storage import migrate

PERMIT = '@id("all")\npermit (principal, action, resource);\n'
TEXT = """
[gateway]
mode = "development"
state = "sqlite:///state.db"
[listeners.postgres]
address = "127.0.0.1:6432"
plaintext = "loopback"
[[issuers]]
issuer = "https://idp/"
audience = "interlock"
jwks = "file:jwks.json"
"""


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


def write_development_key(folder: Path) -> None:
    (folder / "keys").mkdir(exist_ok=True, mode=0o700)
    pem = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "keys" / "development.pem").write_bytes(pem)
    (folder / "keys" / "development.pem").chmod(0o600)


@dataclass
class Running:
    """A worker process and the supervisor's end of its bus."""

    process: asyncio.subprocess.Process
    link: Link
    port: int
    snapshot: Snapshot

    async def hear(self, kind: type[Message]) -> Any:
        """The next message of a kind; reports of how it is come in between."""
        while True:
            message = await self.link.receive()
            if isinstance(message, kind):
                return message
            assert isinstance(message, Report)

    async def ask(self, message: Message) -> Answer:
        self.link.send(message)
        answer = await self.hear(Answer)
        assert isinstance(answer, Answer)
        return answer


@contextlib.asynccontextmanager
async def started(folder: Path, *, policy: str = PERMIT, first: Message | None = None) -> AsyncIterator[Running]:
    (folder / "jwks.json").write_text('{"keys": []}')
    write_development_key(folder)
    (folder / "keys" / "approvals.key").write_bytes(bytes(32))
    (folder / "keys" / "approvals.key").chmod(0o600)
    config = parse(TEXT, file=folder / "interlock.toml")
    await migrate(config.gateway.state_path)
    ours, theirs = socket.socketpair()
    recorder, worker = socket.socketpair()
    kick_out, kick_in = os.pipe()
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "interlock.app.worker",
            str(theirs.fileno()),
            pass_fds=[theirs.fileno(), worker.fileno(), kick_in, listening.fileno()],
            stderr=asyncio.subprocess.PIPE,
        )
        snapshot = Snapshot(1, str(folder / "interlock.toml"), TEXT, {"a.cedar": policy})
        link = await Link.open(ours)
        start = Start(
            worker=0,
            name="worker-0.0",
            instance="gw",
            log_level=20,
            recorder_fd=worker.fileno(),
            kick_fd=kick_in,
            listeners={"postgres": listening.fileno()},
            snapshot=snapshot,
        )
        link.send(first if first is not None else start)
        recorder.close()  # a recorder that is dead: nothing may be permitted, but a worker lives and ends all the same
        try:
            yield Running(process, link, listening.getsockname()[1], snapshot)
        finally:
            link.close()
            if process.returncode is None:
                process.kill()
            await process.communicate()
    finally:
        for sock in (theirs, worker, listening, recorder):
            sock.close()
        os.close(kick_out)
        os.close(kick_in)


def test_worker_puts_in_force_only_what_it_has_prepared_and_ends_when_drained(tmp_path: Path) -> None:
    async def story() -> None:
        async with started(tmp_path) as worker:
            await worker.hear(Listening)
            good, bad = replace_policy(worker.snapshot, 2, PERMIT), replace_policy(worker.snapshot, 2, "nonsense")
            assert "a.cedar" in (await worker.ask(Prepare(1, bad))).error
            assert (await worker.ask(Switch(2, 2))).error
            assert await worker.ask(Prepare(3, good)) == Answer(3, 1)
            assert (await worker.ask(Switch(4, 3))).error  # another generation than the one prepared
            assert (await worker.ask(Switch(5, 2))).error  # which forgot it
            assert await worker.ask(Prepare(6, good)) == Answer(6, 1)
            worker.link.send(Discard(2))
            assert (await worker.ask(Switch(7, 2))).error
            assert await worker.ask(Prepare(8, good)) == Answer(8, 1)
            assert await worker.ask(Switch(9, 2)) == Answer(9, 1)
            worker.link.send(Cancel(0, 1, b"no such key"))
            worker.link.send(ApprovalChanged("no such hold"))
            assert await worker.ask(Kill(10, "no such session", "killed", "x")) == Answer(10, 0)
            assert await worker.ask(Revoked(11, "token", "t1")) == Answer(11, 0)
            worker.link.send(Drain(5.0))
            assert await worker.process.wait() == 0

    run(story())


def test_worker_whose_supervisor_is_gone_ends(tmp_path: Path) -> None:
    async def story() -> None:
        async with started(tmp_path) as worker:
            await worker.hear(Listening)
            worker.link.close()
            assert await worker.process.wait() == 0

    run(story())


def test_worker_that_cannot_build_its_rules_says_why_and_ends(tmp_path: Path) -> None:
    async def story() -> None:
        async with started(tmp_path, policy="nonsense") as worker:
            assert worker.process.stderr is not None
            said = await worker.process.stderr.read()
            assert b"worker_cannot_start" in said
            assert b"a.cedar" in said
            assert await worker.process.wait() == 3

    run(story())


def test_worker_that_is_not_told_who_it_is_does_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with started(tmp_path, first=Drain(1.0)) as worker:
            assert await worker.process.wait() == 1

    run(story())


def replace_policy(snapshot: Snapshot, generation: int, policy: str) -> Snapshot:
    return Snapshot(generation, snapshot.config_file, snapshot.config_text, {"a.cedar": policy})


BOT = Principal(
    "bot",
    "https://idp/",
    PrincipalKind.AGENT,
    datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=1),
    "jti-1",
    actors=(Actor("runner", "https://ci/"),),
    person="ada",
)


@pytest.mark.parametrize(
    ("kind", "value", "concerned"),
    [
        ("token", "jti-1", True),
        ("token", "jti-2", False),
        ("principal", "https://idp/|bot", True),
        ("principal", "https://ci/|runner", True),
        ("principal", "https://ci/|bot", False),
        ("person", "ada", True),
        ("person", "bot", False),
        ("session", "jti-1", False),
    ],
)
def test_revocation_concerns_whoever_acts_or_stands_behind_P4(kind: str, value: str, *, concerned: bool) -> None:
    assert _concerns(Revoked(1, kind, value), BOT) is concerned


def test_revocation_of_nobody_concerns_nobody_P4() -> None:
    assert not _concerns(Revoked(1, "person", ""), replace(BOT, person=None))
