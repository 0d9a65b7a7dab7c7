"""Record logins to a real server as fixtures for test_login.py.

Needs PostgreSQL's own programs (Debian's, or on PATH) and openssl. As root, the server runs as
the user postgres:

    python tests/protocols/postgres/recorded/record.py > tests/protocols/postgres/recorded/logins.json

Each dialogue lists ["send" | "receive", hex] in order, with the nonce and the channel-binding data that were used.
"""

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from interlock.core.secret import Secret
from interlock.protocols.postgres.login import TLS_REQUEST, LoginMachine, LoginPolicy, Send, verify_tls_answer
from interlock.wire.postgres.channel_binding import server_end_point

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
"""Where Debian keeps the servers' programs."""
NONCE = "rOprNGfwEbeRWgbNEkqO1234"
HBA = """\
local all all trust
host all md5 127.0.0.1/32 md5
host all clear 127.0.0.1/32 password
host all trusted 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
"""
ROLES = (
    "SET password_encryption = 'md5'; CREATE ROLE md5 LOGIN PASSWORD 'secret';"
    "SET password_encryption = 'scram-sha-256'; CREATE ROLE scram LOGIN PASSWORD 'pencil';"
    "CREATE ROLE clear LOGIN PASSWORD 'secret'; CREATE ROLE trusted LOGIN;"
    "CREATE ROLE prepared LOGIN PASSWORD U&'I\\00ADX\\2168'"
)
CASES: tuple[tuple[str, str, str, bool], ...] = (
    ("scram", "scram", "pencil", False),
    ("scram_plus", "scram", "pencil", True),
    ("scram_wrong_password", "scram", "pencils", True),
    ("scram_prepared_password", "prepared", "IX\u2168", True),
    ("md5", "md5", "secret", False),
    ("cleartext", "clear", "secret", True),
    ("trust", "trusted", "", False),
    ("no_such_role", "nobody", "secret", False),
)


def run(*words: str | Path) -> None:
    """Run one of PostgreSQL's programs, which refuse to be root."""
    path = os.pathsep.join([*map(str, PROGRAMS), os.environ["PATH"]])
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    subprocess.run([*user, *words], check=True, capture_output=True, env={**os.environ, "PATH": path})


def start_server(folder: Path, port: int) -> None:
    """Make and start a server with TLS that knows the roles above."""
    data = folder / "data"
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    run("initdb", "-D", data, "-U", "postgres", "-A", "trust")
    run(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "3650"),
        *("-keyout", data / "server.key", "-out", data / "server.crt"),
    )
    (data / "pg_hba.conf").write_text(HBA)
    options = f"-c ssl=on -c port={port} -c unix_socket_directories={folder}"
    run("pg_ctl", "-D", data, "-l", folder / "log", "-o", options, "-w", "start")
    run("psql", "-h", folder, "-p", str(port), "-U", "postgres", "-qc", ROLES)


def record(user: str, password: str, port: int, *, tls: bool) -> dict[str, Any]:
    """Log in once and keep what was said."""
    connection = socket.create_connection(("127.0.0.1", port))
    binding = None
    if tls:
        connection.sendall(TLS_REQUEST)
        verify_tls_answer(connection.recv(65536))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        secured = context.wrap_socket(connection)
        binding = server_end_point(secured.getpeercert(binary_form=True) or b"")
        connection = secured
    login = LoginMachine(
        user=user,
        password=Secret(password),
        database="postgres",
        nonce=NONCE,
        policy=LoginPolicy(tls=tls, allow_cleartext=True),
        channel_binding=binding,
    )
    said = []
    step: Any = Send(login.start())
    while isinstance(step, Send):
        if step.data:
            connection.sendall(step.data)
            said.append(["send", step.data.hex()])
        received = connection.recv(65536)
        said.append(["receive", received.hex()])
        step = login.feed(received)
    connection.close()
    return {
        "user": user,
        "password": password,
        "nonce": NONCE,
        "binding": None if binding is None else binding.hex(),
        "ends": type(step).__name__,
        "said": said,
    }


def record_all() -> dict[str, dict[str, Any]]:
    """Record every case with a server of our own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start_server(folder, port)
        try:
            return {case: record(user, password, port, tls=tls) for case, user, password, tls in CASES}
        finally:
            run("pg_ctl", "-D", folder / "data", "-m", "fast", "stop")


def main() -> None:
    """Write the dialogues to standard output."""
    json.dump(record_all(), sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
