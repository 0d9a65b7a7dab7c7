"""What is measured: the server itself, PgBouncer in front of it, and Interlock with everything on."""

import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from bench.settings import Settings
from tests.servers.debian import DebianPostgres, binaries, private_folder, run_as_server, server_user
from tests.servers.gateway import Gateway
from tests.servers.ports import free_port

STARTER = Path(__file__).resolve().parents[1] / "src" / "interlock" / "policy" / "starter"
PATIENCE = 600
LIMITS = """
[limits]
connections = 5000
connections_per_principal = 5000
handshakes = 1000
"""


WIDE = "wide"


def wide_rows(rows: int) -> str:
    """Return a query that makes up so many rows of eight columns, about 140 bytes each."""
    return (
        "SELECT n, n % 97 AS small, 'customer' || n AS name, 'customer' || n || '@example.com' AS email, "
        "n * 1.25 AS price, now() AS at, n % 2 = 0 AS even, repeat('x', 40) AS note "
        f"FROM generate_series(1, {rows}) n"
    )


@dataclass(frozen=True, slots=True)
class Target:
    """One way to the database: how a client connects, and the leader of the proxy's processes (None: no proxy)."""

    name: str
    host: str
    port: int
    user: str
    password: str
    ca: Path | None
    leader: int | None

    def environment(self) -> dict[str, str]:
        """Return what libpq's programs read; the password stays out of the process list."""
        tls = (
            {"PGSSLMODE": "disable"} if self.ca is None else {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": str(self.ca)}
        )
        return {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGDATABASE": "bench",
            "PATH": "/usr/bin:/bin",
            **tls,
        }

    def dsn(self) -> str:
        """Return the same as a connection string."""
        tls = {"sslmode": "disable"} if self.ca is None else {"sslmode": "verify-full", "sslrootcert": str(self.ca)}
        return make_conninfo(
            "", host=self.host, port=self.port, user=self.user, password=self.password, dbname="bench", **tls
        )


@contextmanager
def open_server(settings: Settings) -> Iterator[DebianPostgres]:
    """Start the server and fill it.

    Its clients log in by MD5: with SCRAM's thousands of hash rounds, new connections would measure only those.
    """
    with DebianPostgres(
        plaintext=True,
        log_statements=False,
        authentication="md5",
        settings={"max_connections": "1400", "shared_buffers": "256MB", "autovacuum": "off"},
    ) as server:
        _fill(server, settings)
        yield server


@contextmanager
def open_targets(server: DebianPostgres, settings: Settings) -> Iterator[list[Target]]:
    """Start fresh proxies in front of the server; they end with the context."""
    with ExitStack() as stack:
        password = server.passwords["app"]
        ca = server.ca if settings.tls else None
        targets = [Target("direct", server.host, server.port, "app", password, ca, None)]
        if "pgbouncer" in settings.targets:
            targets.append(stack.enter_context(_pgbouncer(server, settings)))
        if "interlock" in settings.targets:
            targets.append(stack.enter_context(_interlock(server, settings)))
        for target in targets:
            with psycopg.connect(target.dsn()) as connection:
                connection.execute("SELECT 1")
        yield targets


def _fill(server: DebianPostgres, settings: Settings) -> None:
    server.administer("CREATE DATABASE bench OWNER app")
    server.administer(
        "SET SESSION AUTHORIZATION app", f"CREATE TABLE {WIDE} AS {wide_rows(settings.select_rows)}", database="bench"
    )
    environment = Target("direct", server.host, server.port, "app", server.passwords["app"], None, None).environment()
    subprocess.run(
        [str(binaries() / "pgbench"), "-i", "-q", "-s", str(settings.scale)],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=PATIENCE,
    )


@contextmanager
def _pgbouncer(server: DebianPostgres, settings: Settings) -> Iterator[Target]:
    """PgBouncer in session mode, one process, with the cheapest login that it has for its clients."""
    folder = private_folder("interlock-pgbouncer-")
    port = free_port()
    pair = server.authority.issue("pgbouncer")
    if (user := server_user()) is not None:
        shutil.chown(pair.key, user)
        shutil.chown(pair.key.parent, user)
    (folder / "users.txt").write_text(f'"app" "{server.passwords["app"]}"\n')
    tls = (
        [
            "client_tls_sslmode = require",
            f"client_tls_cert_file = {pair.certificate}",
            f"client_tls_key_file = {pair.key}",
        ]
        if settings.tls
        else []
    )
    (folder / "pgbouncer.ini").write_text(
        "\n".join(
            [
                "[databases]",
                f"bench = host={server.host} port={server.port} dbname=bench",
                "[pgbouncer]",
                "listen_addr = 127.0.0.1",
                f"listen_port = {port}",
                "unix_socket_dir =",
                "auth_type = plain",
                f"auth_file = {folder / 'users.txt'}",
                "pool_mode = session",
                "max_client_conn = 5000",
                "default_pool_size = 1200",
                "server_tls_sslmode = disable",
                "ignore_startup_parameters = extra_float_digits",
                f"logfile = {folder / 'log'}",
                f"pidfile = {folder / 'pid'}",
                "log_connections = 0",
                "log_disconnections = 0",
                *tls,
            ]
        )
    )
    group = None if user is None else pwd.getpwnam(user).pw_gid
    process = subprocess.Popen(
        [shutil.which("pgbouncer", path="/usr/sbin:/usr/bin") or "pgbouncer", "-q", str(folder / "pgbouncer.ini")],
        user=user,
        group=group,
        extra_groups=None if user is None else [],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    target = Target(
        "pgbouncer", "127.0.0.1", port, "app", server.passwords["app"], server.ca if settings.tls else None, process.pid
    )
    try:
        _wait_for(port, process)
        yield target
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        run_as_server(["rm", "-rf", str(folder)], cwd=Path("/"))


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    ready = [str(binaries() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port), "-t", "1"]
    for _ in range(200):
        if subprocess.run(ready, check=False).returncode == 0:
            return
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        break
    msg = "PgBouncer didn't start"
    raise RuntimeError(msg)


@contextmanager
def _interlock(server: DebianPostgres, settings: Settings) -> Iterator[Target]:
    """Interlock with the starter policies, recording everything, for an agent that may read and write."""
    with Gateway(
        address=f"{server.host}:{server.port}",
        upstream={"user": "app", "password": _password_file(server), "tls": "disable"},
        policies={path.name: path.read_text(encoding="utf-8") for path in sorted(STARTER.glob("*.cedar"))},
        resource="bench",
        workers=settings.workers,
        plaintext=not settings.tls,
        sections=LIMITS,
    ) as gateway:
        token = gateway.token("bench", kind="agent", groups=["readers", "writers"])
        ca = gateway.ca if settings.tls else None
        yield Target("interlock", gateway.host, gateway.port, "bench", token, ca, gateway.pid)


def _password_file(server: DebianPostgres) -> str:
    path = server.folder / "password"
    path.touch(mode=0o600)
    path.write_text(server.passwords["app"], encoding="utf-8")
    return f"file:{path}"
