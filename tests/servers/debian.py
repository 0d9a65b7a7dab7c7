"""Debian's PostgreSQL as a server of our own: TLS, SCRAM with channel binding, an MD5 user, and a log of what it ran.

It runs as the system's ``postgres`` user where we are root (the server refuses root), else as whoever we are. What
reached it is read from its own log (``log_statement = all``, written by the backend before it runs the statement), so
that a test of P1 doesn't have to believe the gateway.
"""

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psycopg

from tests.servers.authority import Authority
from tests.servers.ports import free_port

SHOP = Path(__file__).parent / "shop.sql"
START_SECONDS = 60

_LOGGED = re.compile(
    r"^<(?P<user>[^|]*)\|(?P<database>[^|]*)\|(?P<application>[^|]*)> "
    r"LOG:  (?:statement|execute (?P<name>[^:]*)): (?P<text>.*)$"
)
_PREFIXED = re.compile(r"^<[^|]*\|[^|]*\|[^|]*> ")


class ServerMissing(Exception):
    """Debian's server isn't installed; the tests fail rather than pass without it."""


@dataclass(frozen=True, slots=True)
class Logged:
    """One statement that the server says it ran."""

    user: str
    database: str
    application: str
    text: str


def binaries() -> Path:
    """Return the folder of the newest installed server's programs.

    Raises:
        ServerMissing: there is none.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        msg = "Debian's PostgreSQL is not installed; run `make servers` as root, or apt-get install postgresql"
        raise ServerMissing(msg)
    return found[-1].parent


def server_user() -> str | None:
    """Return the user to run servers as, or None to stay who we are."""
    if os.getuid() != 0:
        return None
    return pwd.getpwnam("postgres").pw_name


def private_folder(prefix: str) -> Path:
    """Make a folder that only the servers' user (and root) can read."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    user = server_user()
    if user is not None:
        shutil.chown(folder, user, pwd.getpwnam(user).pw_gid)
    return folder


def run_as_server(argv: list[str], *, cwd: Path) -> None:
    """Run a program as the servers' user; its output is shown only if it fails."""
    user = server_user()
    done = subprocess.run(
        argv,
        cwd=cwd,
        user=user,
        group=None if user is None else pwd.getpwnam(user).pw_gid,
        extra_groups=None if user is None else [],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
    )
    if done.returncode:
        msg = f"{argv[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        raise RuntimeError(msg)


class DebianPostgres:
    """One running server. Users ``app`` (SCRAM), ``legacy`` (MD5) and ``dba`` (SCRAM, superuser); database ``shop``."""

    passwords: Mapping[str, str] = {"app": "app's secret", "legacy": "legacy's secret", "dba": "dba's secret"}

    def __init__(
        self,
        *,
        settings: Mapping[str, str] | None = None,
        plaintext: bool = False,
        log_statements: bool = True,
        authentication: str = "scram-sha-256",
    ) -> None:
        self._programs = binaries()
        self.folder = private_folder("interlock-postgres-")
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self.host = "127.0.0.1"
        self.port = free_port()
        self.authority = Authority(self.folder / "tls")
        self._settings = dict(settings or {})
        self._plaintext = plaintext
        self._authentication = authentication
        self._log_statements = log_statements
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._initialise()
            self.start()
            self._fill()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def ca(self) -> Path:
        """The authority that the server's certificate is from."""
        return self.authority.ca

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        assert self._process is not None
        return self._process.pid

    def dsn(self, user: str = "app", database: str = "shop", **more: str | int) -> str:
        """Return a libpq connection string: verified TLS, the user's password, a time limit."""
        values: dict[str, str | int] = {
            "host": self.host,
            "port": self.port,
            "user": user,
            "dbname": database,
            "password": self.passwords[user],
            "sslmode": "verify-full",
            "sslrootcert": str(self.ca),
            "connect_timeout": 30,
        }
        return psycopg.conninfo.make_conninfo("", **{**values, **more})

    def administer(self, *statements: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run statements as the superuser over the local socket; return the last one's rows."""
        rows: list[tuple[object, ...]] = []
        with psycopg.connect(
            host=str(self.folder), port=self.port, user="postgres", dbname=database, autocommit=True
        ) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
                rows = cursor.fetchall() if cursor.description else []
        return rows

    def make_database(self, name: str) -> None:
        """Make a fresh copy of the shop under this name, owned by ``app``."""
        self.administer(f'CREATE DATABASE "{name}" TEMPLATE shop_template OWNER app')

    def drop_database(self, name: str) -> None:
        """Remove it, with whoever is still connected."""
        self.administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def log_position(self) -> int:
        """Return where the server's log ends now; see ``statements``."""
        return self.log.stat().st_size

    def statements(self, since: int = 0, *, database: str | None = None) -> list[Logged]:
        """Return what the server ran after that position of its log, in order, from everybody but the superuser."""
        with self.log.open("rb") as file:
            file.seek(since)
            lines = file.read().decode("utf-8", "replace").splitlines()
        found: list[Logged] = []
        texts: list[list[str]] = []
        continues = False
        for line in lines:
            match = _LOGGED.match(line)
            if match is not None:
                found.append(Logged(match["user"], match["database"], match["application"], ""))
                texts.append([match["text"]])
                continues = True
            elif continues and not _PREFIXED.match(line):
                texts[-1].append(line.removeprefix("\t"))
            else:
                continues = False
        whole = [
            Logged(entry.user, entry.database, entry.application, "\n".join(text))
            for entry, text in zip(found, texts, strict=True)
        ]
        return [e for e in whole if e.user != "postgres" and (database is None or e.database == database)]

    def start(self) -> None:
        """Start the server and wait until it takes connections."""
        user = server_user()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._programs / "postgres"), "-D", str(self.data)],
                cwd=self.folder,
                user=user,
                group=None if user is None else pwd.getpwnam(user).pw_gid,
                extra_groups=None if user is None else [],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
                start_new_session=True,
            )
        self._wait_until_ready()

    def stop(self) -> None:
        """End all sessions and shut down; harmless if it isn't running."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """End it as a power cut would: no goodbye to anybody."""
        self._end(signal.SIGQUIT)

    def _end(self, sign: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(sign)
        try:
            process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _wait_until_ready(self) -> None:
        """Ask pg_isready until it says yes; each try waits inside for the server's answer."""
        assert self._process is not None
        for _ in range(START_SECONDS * 20):
            ready = subprocess.run(
                [str(self._programs / "pg_isready"), "-q", "-h", str(self.folder), "-p", str(self.port), "-t", "1"],
                check=False,
            )
            if ready.returncode == 0:
                return
            try:
                self._process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            break
        msg = f"PostgreSQL didn't start:\n{self.log.read_text(errors='replace')[-4000:]}"
        raise RuntimeError(msg)

    def _initialise(self) -> None:
        run_as_server(
            [
                str(self._programs / "initdb"),
                *("-D", str(self.data), "-U", "postgres", "--auth=trust", "--no-sync"),
                *("-E", "UTF8", "--locale=C.UTF-8"),
            ],
            cwd=self.folder,
        )
        pair = self.authority.issue("postgres")
        user = server_user()
        for source, target in ((pair.certificate, "server.crt"), (pair.key, "server.key")):
            shutil.copyfile(source, self.data / target)
            (self.data / target).chmod(0o600)
            if user is not None:
                shutil.chown(self.data / target, user)
        plain = self._authentication if self._plaintext else "reject"
        (self.data / "pg_hba.conf").write_text(
            "local   all         postgres                 trust\n"
            "local   all         all                      scram-sha-256\n"
            "hostssl all         legacy   127.0.0.1/32    md5\n"
            f"hostssl all         all      127.0.0.1/32    {self._authentication}\n"
            f"hostnossl all       all      127.0.0.1/32    {plain}\n"
        )
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "ssl": "on",
            "password_encryption": self._authentication,
            "max_connections": "200",
            "max_prepared_transactions": "10",
            "fsync": "off",
            "shared_buffers": "32MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "<%u|%d|%a> ",
            "log_statement": "all" if self._log_statements else "none",
            "log_min_messages": "warning",
            "log_checkpoints": "off",
            **self._settings,
        }
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def _fill(self) -> None:
        app, legacy, dba = (self.passwords[name].replace("'", "''") for name in ("app", "legacy", "dba"))
        self.administer(
            f"CREATE ROLE app LOGIN PASSWORD '{app}'",
            f"CREATE ROLE dba LOGIN SUPERUSER PASSWORD '{dba}'",
            "SET password_encryption = 'md5'",
            f"CREATE ROLE legacy LOGIN PASSWORD '{legacy}' IN ROLE app",
            "CREATE DATABASE shop_template OWNER app",
        )
        self.administer("SET SESSION AUTHORIZATION app", SHOP.read_text(encoding="utf-8"), database="shop_template")
        self.make_database("shop")
