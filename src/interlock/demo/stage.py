"""What the story needs: a gateway in processes of its own, two identities, and a client that can do TLS."""

import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from interlock.demo.shop import DATABASE, ROLE, Shop

READY_SECONDS: Final = 60.0
STEP_SECONDS: Final = 60.0
RESOURCE: Final = "shop"


class StageError(Exception):
    """The demo can't go on; the text says what to do."""


class Stage:
    """A gateway in front of the shop, in a folder of its own."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self.folder = Path(tempfile.mkdtemp(prefix="interlock-demo-"))
        self.port = _free_port()
        self._gateway: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        password = self.folder / "shop-password"
        password.touch(mode=0o600)
        password.write_text("the local socket asks for none\n", encoding="utf-8")
        self.interlock(
            "init", str(self.folder), "--listen", f"127.0.0.1:{self.port}", "--resource", RESOURCE,
            "--address", self._shop.address, "--user", ROLE, "--password", f"file:{password}",
        )  # fmt: skip
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._gateway is not None:
            self._gateway.terminate()
            try:
                self._gateway.wait(15)
            except subprocess.TimeoutExpired:
                self._gateway.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        with (self.folder / "gateway.log").open("wb") as log:
            self._gateway = subprocess.Popen(
                [*_COMMAND, "serve", "--config", str(self.config)], stdout=subprocess.PIPE, stderr=log, cwd=self.folder
            )
        output = self._gateway.stdout
        assert output is not None
        ready, _, _ = select.select([output], [], [], READY_SECONDS)
        if not ready or not output.readline().startswith(b"ready "):
            said = (self.folder / "gateway.log").read_text(encoding="utf-8", errors="replace")[-2000:]
            msg = f"the gateway didn't get ready. It said:\n{said}"
            raise StageError(msg)

    @property
    def config(self) -> Path:
        """The gateway's configuration."""
        return self.folder / "interlock.toml"

    def interlock(self, *arguments: str, good: tuple[int, ...] = (0,)) -> str:
        """Run the ``interlock`` command as a user would; what it printed.

        Raises:
            StageError: it ended with another code than the story says.
        """
        done = subprocess.run(
            [*_COMMAND, *arguments], capture_output=True, text=True, cwd=self.folder, timeout=STEP_SECONDS, check=False
        )
        if done.returncode not in good:
            msg = f"`interlock {' '.join(arguments)}` ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            raise StageError(msg)
        return (done.stdout + done.stderr).rstrip() if done.returncode else done.stdout.rstrip()

    def token(self, name: str, *arguments: str) -> Path:
        """Issue a development token and keep it in a file that only its owner can read."""
        printed = self.interlock("token", "issue", name, *arguments, "--config", str(self.config), "--json")
        path = self.folder / f"token-{name}"
        path.touch(mode=0o600)
        path.write_text(json.loads(printed)["token"], encoding="utf-8")
        return path

    def client(self, token: Path, *statements: str) -> "Client":
        """Start a client on the shop, through the gateway, with these statements."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PG")},
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": RESOURCE,
            "PGDATABASE": DATABASE,
            "PGPASSWORD": token.read_text(encoding="utf-8"),
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": str(self.folder / "tls/ca.pem"),
        }
        psql = find_psql()
        if psql is None:
            return Client([sys.executable, "-m", "interlock.demo.driver", *statements], environment, "asyncpg")
        command = [psql, "--no-psqlrc", "--pset=pager=off"]
        for text in statements:
            command += ["-c", text]
        return Client(command, environment, "psql")

    def entries(self) -> list[dict[str, Any]]:
        """The log so far."""
        printed = self.interlock("log", "tail", "--config", str(self.config), "--lines", "10000", "--json")
        return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]

    def held(self) -> str:
        """Wait until something is held; its approval's id.

        Raises:
            StageError: nothing is.
        """
        until = time.monotonic() + STEP_SECONDS
        while time.monotonic() < until:
            waiting = json.loads(self.interlock("approvals", "list", "--config", str(self.config), "--json"))
            if waiting:
                return str(waiting[0]["id"])
        msg = "nothing was held"
        raise StageError(msg)


class Client:
    """One run of a stock client; its output is kept as it printed it."""

    def __init__(self, command: list[str], environment: dict[str, str], name: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )

    def wait(self) -> str:
        """What it printed, once it has ended.

        Raises:
            StageError: it doesn't end.
        """
        try:
            output, _ = self._process.communicate(timeout=STEP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            msg = f"{self.name} didn't end"
            raise StageError(msg) from None
        return output.decode("utf-8", "replace").rstrip()

    @property
    def code(self) -> int:
        """Its exit code."""
        return self._process.returncode


_COMMAND: Final = (sys.executable, "-m", "interlock.cli")


def find_psql() -> str | None:
    """The system's psql, if there is one and it can do TLS (some builds can't)."""
    psql = shutil.which("psql")
    if psql is None:
        return None
    asked = subprocess.run(
        [psql, "--no-psqlrc", "host=127.0.0.1 port=1 sslmode=verify-full sslrootcert=/nonexistent", "-c", ""],
        capture_output=True, text=True, timeout=STEP_SECONDS, check=False,
    )  # fmt: skip
    return None if "not compiled in" in asked.stderr else psql


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
