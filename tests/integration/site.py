"""One place to connect from: a server, the gateway before it, and the tokens that clients show. Nothing here sleeps."""

import contextlib
import os
import re
import secrets
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self, cast

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from interlock.audit.reading import LogReader, as_json
from interlock.control import ControlClient
from interlock.control.messages import Decide, ListSessions
from interlock.core.principal import Model, PrincipalKind
from interlock.core.secret import Secret
from interlock.identity import DevelopmentGrant, issue_development_token
from tests.servers.debian import DebianPostgres
from tests.servers.gateway import Gateway

WAIT_SECONDS = 30.0
PSQL = "/usr/bin/psql"
APPROVAL = re.compile(r"Approval ([0-9a-zA-Z_-]+):")


@dataclass(frozen=True, slots=True)
class Site:
    """A gateway and the server behind it."""

    gateway: Gateway
    postgres: DebianPostgres

    def token(
        self,
        subject: str = "alice",
        *,
        kind: str = "human",
        groups: Sequence[str] = ("readers",),
        seconds: int = 3600,
        at: datetime | None = None,
        person: str | None = None,
        model: Model | None = None,
        reason: str | None = None,
    ) -> str:
        """Sign a development token with the gateway's own key, as ``interlock token issue`` does, only quicker."""
        key = load_pem_private_key((self.gateway.folder / "keys" / "development.pem").read_bytes(), password=None)
        grant = DevelopmentGrant(
            subject=subject,
            kind=PrincipalKind(kind),
            groups=tuple(groups),
            person=person,
            model=model,
            reason=reason,
        )
        return issue_development_token(
            cast(Ed25519PrivateKey, key),
            grant,
            lifetime=timedelta(seconds=seconds),
            now=at or datetime.now(UTC),  # noqa: TID251 - the gateway compares with its own clock
            token_id=secrets.token_hex(12),
        ).reveal()

    def through(self, database: str, token: str | None = None, **more: str | int) -> str:
        """A stock client's connection string through the gateway."""
        return self.gateway.dsn(token or self.token(), database=database, **more)

    def direct(self, database: str, **more: str | int) -> str:
        """The same without the gateway, as the role that the gateway logs in with."""
        return self.postgres.dsn("app", database, **more)

    @property
    def control(self) -> ControlClient:
        """The operators' socket."""
        return ControlClient(self.gateway.folder / "var" / "control.sock")

    def decide(self, approval: str, verdict: str, token: str, comment: str = "") -> Any:
        """Approve or deny as the holder of the token."""
        return self.control.ask(Decide(approval, verdict, token, comment))

    def sessions(self, database: str) -> list[Mapping[str, Any]]:
        """The open sessions on this database."""
        return [row for row in self.control.ask(ListSessions(limit=1000)) if row["database"] == database]

    def entries(self) -> list[dict[str, Any]]:
        """Everything in the audit log now, oldest first."""
        return [as_json(logged) for logged in LogReader(self.gateway.folder / "var").entries()]

    def session_log(self, database: str) -> list[dict[str, Any]]:
        """The entries about sessions on this database, oldest first."""
        entries = self.entries()
        ids = {e["session"] for e in entries if (e.get("on") or {}).get("database") == database and e.get("session")}
        return [entry for entry in entries if entry.get("session") in ids]


@dataclass
class Notices:
    """What a psycopg connection was told; a test waits for a hold's notice, not for a time."""

    texts: list[str] = field(default_factory=list)
    said: threading.Condition = field(default_factory=threading.Condition)

    def listen(self, connection: psycopg.Connection[Any]) -> Self:
        """Collect the connection's notices."""
        connection.add_notice_handler(self._take)
        return self

    def _take(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        with self.said:
            self.texts.append(f"{diagnostic.message_primary}\n{diagnostic.message_hint}")
            self.said.notify_all()

    def approval(self) -> str:
        """Wait until a statement is held, and return the approval's id."""
        with self.said:
            assert self.said.wait_for(lambda: any(map(APPROVAL.search, self.texts)), WAIT_SECONDS), self.texts
            found = [match for match in map(APPROVAL.search, self.texts) if match]
        return found[-1][1]


@dataclass(frozen=True, slots=True)
class Finished:
    """What a program wrote."""

    status: int
    out: str
    err: str


class Psql:
    """Debian's psql as somebody runs it: connection string as argument, token in PGPASSWORD, statements on stdin."""

    def __init__(self, conninfo: str, *arguments: str) -> None:
        values = conninfo_to_dict(conninfo)
        password = str(values.pop("password"))
        self._errors: list[str] = []
        self._said = threading.Condition()
        self._process = subprocess.Popen(
            [PSQL, "-X", "-d", make_conninfo("", **values), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": "/nonexistent", "PGPASSWORD": password},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join(WAIT_SECONDS)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None and not stream.closed:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    @property
    def errors(self) -> str:
        """What it wrote to stderr so far."""
        with self._said:
            return "".join(self._errors)

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, text: str) -> None:
        """Type statements."""
        assert self._process.stdin is not None
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()

    def wait_for(self, is_there: Callable[[str], Any]) -> str:
        """Wait until what it wrote to stderr fulfils the condition."""
        with self._said:
            assert self._said.wait_for(lambda: is_there("".join(self._errors)), WAIT_SECONDS), "".join(self._errors)
            return "".join(self._errors)

    def approval(self) -> str:
        """Wait until a statement is held, and return the approval's id."""
        return str(APPROVAL.findall(self.wait_for(APPROVAL.search))[-1])

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it without a goodbye."""
        self._process.kill()

    def finish(self) -> Finished:
        """End its input, wait for its end, and return what it wrote."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        out = self._process.stdout.read()
        status = self._process.wait(WAIT_SECONDS)
        self._reader.join(WAIT_SECONDS)
        return Finished(status, out, self.errors)

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._said:
                self._errors.append(line)
                self._said.notify_all()
        with self._said:
            self._said.notify_all()


def run_psql(conninfo: str, text: str, *arguments: str) -> Finished:
    """Run psql on a script and return what it wrote."""
    with Psql(conninfo, *arguments) as psql:
        psql.send(text)
        return psql.finish()


def upstream_of(postgres: DebianPostgres, folder: Path, *, user: str = "app") -> dict[str, str]:
    """The ``upstream`` table of a resource that logs in as this user; the password stands in a file."""
    file = folder / f"{user}.password"
    file.touch(mode=0o600)
    file.write_text(postgres.passwords[user])
    return {"user": user, "password": f"file:{file}", "tls": "verify-full", "ca": f"file:{postgres.ca}"}


def secret_of(conninfo: str) -> Secret:
    """The password in a connection string."""
    return Secret(str(conninfo_to_dict(conninfo)["password"]))
