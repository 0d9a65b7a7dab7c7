import asyncio
from pathlib import Path
from typing import Any

import pytest

from interlock.control import ControlClient, GatewayUnreachable
from interlock.control.messages import (
    Ping,
    TailLog,
)
from tests.control.house import House, run


def test_log_is_tailed_and_followed_until_the_reader_leaves(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        client = ControlClient(house.path)
        rows = await asyncio.to_thread(lambda: list(client.stream(TailLog(lines=3))))
        assert [row["seq"] for row in rows if row] == [0, 1, 2]

        def follow() -> list[Any]:
            stream = client.stream(TailLog(lines=2, follow=True), endless=True)
            return [next(stream)["seq"], next(stream)["seq"]]

        assert await asyncio.to_thread(follow) == [0, 1]
        assert await house.ask(Ping()) == {"version": 1}

    run(tmp_path, story)


def test_nobody_listens_and_the_client_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(GatewayUnreachable, match="interlock serve"):
        ControlClient(tmp_path / "control.sock").ask(Ping())
