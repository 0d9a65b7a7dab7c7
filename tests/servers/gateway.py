"""A whole gateway in processes of its own, from a configuration that is written for it, as an operator would run it."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from psycopg.conninfo import make_conninfo

from tests.servers.authority import Authority

READY_SECONDS = 60
STOP_SECONDS = 30
COMMAND = Path(sys.executable).with_name("interlock")

PERMIT_ALL = '@id("permit-all")\npermit (principal, action, resource);\n'


class GatewayFailed(Exception):
    """The gateway didn't start or ended by itself; the text is what it wrote."""


class Gateway:
    """One gateway in front of one PostgreSQL. ``policies`` maps file names to Cedar text.

    ``upstream`` are the keys of the resource's ``upstream`` table, ``sections`` are further TOML sections in text.
    """

    def __init__(
        self,
        *,
        address: str,
        upstream: Mapping[str, str],
        policies: Mapping[str, str],
        resource: str = "shop",
        labels: Mapping[str, str] | None = None,
        workers: int = 1,
        durability: str = "balanced",
        plaintext: bool = False,
        sections: str = "",
        command: Sequence[str] = (str(COMMAND),),
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="interlock-gateway-"))
        self.config = self.folder / "interlock.toml"
        self.authority = Authority(self.folder / "tls", name="gateway's test authority")
        self.resource = resource
        self.host = "127.0.0.1"
        self.port = 0
        self._command = list(command)
        self._plaintext = plaintext
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._output: list[str] = []
        self._said = threading.Condition()
        self._write(address, upstream, policies, labels or {"environment": "test"}, workers, durability, sections)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def ca(self) -> Path:
        """The authority that clients trust."""
        return self.authority.ca

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def output(self) -> str:
        """What the gateway wrote so far, to stdout and stderr."""
        with self._said:
            return "".join(self._output)

    def start(self) -> None:
        """Start it and wait until it says that it listens.

        Raises:
            GatewayFailed: it ended first, or said nothing for a minute.
        """
        self._output.clear()
        self._process = subprocess.Popen(
            [*self._command, "serve", "--config", str(self.config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        with self._said:
            self._said.wait_for(lambda: self.port_said() or not self._is_running(), READY_SECONDS)
            port = self.port_said()
        if not port:
            self.stop()
            msg = f"the gateway didn't get ready:\n{self.output}"
            raise GatewayFailed(msg)
        self.port = port

    def port_said(self) -> int:
        """Return the port of the ready line (``ready postgres=HOST:PORT``), 0 before it came."""
        for line in self._output:
            if line.startswith("ready "):
                for word in line.split()[1:]:
                    protocol, _, address = word.partition("=")
                    if protocol == "postgres":
                        return int(address.rpartition(":")[2])
        return 0

    def stop(self) -> int:
        """Ask it to end (SIGTERM) and return its exit status; whatever remains of its session is killed."""
        process, self._process = self._process, None
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            status = -signal.SIGKILL
        kill_session(process.pid)
        process.wait()
        if self._reader is not None:
            self._reader.join(STOP_SECONDS)
        assert process.stdout is not None
        process.stdout.close()
        return status

    def reload(self) -> None:
        """Send SIGHUP: resources, issuers, certificates and policies are read anew."""
        os.kill(self.pid, signal.SIGHUP)

    def wait_for_output(self, text: str) -> None:
        """Wait until the gateway has written the text.

        Raises:
            TimeoutError: it didn't within a minute.
        """
        with self._said:
            if not self._said.wait_for(lambda: text in "".join(self._output), READY_SECONDS):
                msg = f"{text!r} not in:\n{''.join(self._output)}"
                raise TimeoutError(msg)

    def run(self, *arguments: str, status: int | None = 0, text: str | None = None) -> str:
        """Run a command of ``interlock`` with this gateway's configuration and return its stdout."""
        done = subprocess.run(
            [*self._command, *arguments, "--config", str(self.config)],
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=READY_SECONDS,
            cwd=self.folder,
        )
        if status is not None and done.returncode != status:
            msg = f"interlock {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            raise GatewayFailed(msg)
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """Run a command with ``--json`` and return what it printed."""
        return json.loads(self.run(*arguments, "--json"))

    def token(self, subject: str = "alice", *, kind: str = "human", groups: Sequence[str] = (), **more: str) -> str:
        """Issue a development token; further keywords are further options (``model="acme/reviewer/3"``)."""
        options = [f"--group={group}" for group in groups]
        options += [f"--{name.replace('_', '-')}={value}" for name, value in more.items()]
        return self.run("token", "issue", subject, f"--kind={kind}", *options).strip()

    def dsn(self, token: str, *, database: str = "shop", **more: str | int) -> str:
        """Return the connection string of a stock client: the resource as user, the token as password."""
        tls: dict[str, str | int] = (
            {"sslmode": "disable"} if self._plaintext else {"sslmode": "verify-full", "sslrootcert": str(self.ca)}
        )
        values: dict[str, str | int] = {
            "host": self.host,
            "port": self.port,
            "user": self.resource,
            "password": token,
            "dbname": database,
            "connect_timeout": 30,
        }
        return make_conninfo("", **{**values, **tls, **more})

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with self._said:
                self._output.append(line)
                self._said.notify_all()
        with self._said:
            self._said.notify_all()

    def _is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _write(
        self,
        address: str,
        upstream: Mapping[str, str],
        policies: Mapping[str, str],
        labels: Mapping[str, str],
        workers: int,
        durability: str,
        sections: str,
    ) -> None:
        keys = self.folder / "keys"
        keys.mkdir(mode=0o700)
        for name in ("recordings.key", "approvals.key"):
            _write_private(keys / name, secrets.token_bytes(32))
        _write_private(
            keys / "development.pem",
            ed25519.Ed25519PrivateKey.generate().private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )
        folder = self.folder / "policies"
        folder.mkdir()
        for name, text in policies.items():
            (folder / name).write_text(text, encoding="utf-8")
        pair = self.authority.issue("gateway")
        listener = (
            'plaintext = "loopback"'
            if self._plaintext
            else f'tls = {{ certificate = "file:{pair.certificate}", key = "file:{pair.key}" }}'
        )
        self.config.write_text(
            "\n".join(
                [
                    "[gateway]",
                    'mode = "development"',
                    f"workers = {workers}",
                    f'durability = "{durability}"',
                    "[listeners.postgres]",
                    'address = "127.0.0.1:0"',
                    listener,
                    "[[resources]]",
                    f'name = "{self.resource}"',
                    'protocol = "postgres"',
                    f'address = "{address}"',
                    f"upstream = {_inline(upstream)}",
                    f"labels = {_inline(labels)}",
                    sections,
                ]
            ),
            encoding="utf-8",
        )


def kill_session(leader: int) -> None:
    """Kill every process of the session that ``leader`` began: a test leaves nothing behind."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader:
            try:
                os.kill(int(entry.name), signal.SIGKILL)
            except ProcessLookupError:
                continue


def _inline(table: Mapping[str, str]) -> str:
    return "{ " + ", ".join(f"{name} = {json.dumps(value)}" for name, value in table.items()) + " }"


def _write_private(path: Path, data: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(data)
