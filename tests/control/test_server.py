import asyncio
import json
import os
import socket
import stat
from pathlib import Path

import pytest

from interlock.control import ControlServer
from interlock.control.messages import (
    Ping,
    Status,
)
from interlock.core.errors import InterlockError
from tests.control.house import House, run


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{}\n",
        b'{"op":"shutdown"}\n',
        b'{"op":"ping","x":1}\n',
        b'{"op":"approvals.decide","id":1}\n',
        b"\xff\xfe\n",
        b"[" * 5000 + b"\n",
        b'{"op":"approvals.show","id":"\\ud800"}\n',
        b"x" * 70_000,
    ],
)
def test_garbage_is_answered_with_an_error_and_the_next_one_is_served_P10(tmp_path: Path, line: bytes) -> None:
    async def story(house: House) -> None:
        answer = json.loads((await house.say(line)).splitlines()[0])
        assert answer["error"]["code"] == "bad_request"
        assert await house.ask(Status()) == {"version": "0"}

    run(tmp_path, story)


def test_silent_client_is_dropped_and_others_are_served(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        reader, writer = await asyncio.open_unix_connection(str(house.path))
        writer.write(b'{"op":')
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        assert await house.ask(Ping()) == {"version": 1}

    run(tmp_path, story, idle_seconds=0.01)


def test_another_user_is_refused_whatever_the_file_mode_says(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        answer = json.loads(await house.say(b'{"op":"ping"}\n'))
        if os.geteuid() == 0:
            assert answer["data"] == {"version": 1}
        else:
            assert answer["error"]["code"] == "not_allowed"

    run(tmp_path, story, owner=os.geteuid() + 1)


def test_socket_is_its_owner_s_only(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        mode = await asyncio.to_thread(lambda: house.path.stat().st_mode)
        assert stat.S_IMODE(mode) == 0o600

    run(tmp_path, story)


def test_dead_socket_in_the_way_is_replaced_a_living_one_and_a_file_are_not(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "control.sock"))

    async def story(house: House) -> None:
        second = ControlServer(house.path, house.server._operations)
        with pytest.raises(InterlockError, match="another gateway"):
            await second.start()
        assert await house.ask(Ping()) == {"version": 1}

    run(tmp_path, story)
    (tmp_path / "control.sock").write_text("precious")

    async def start() -> None:
        await ControlServer(tmp_path / "control.sock", None).start()  # type: ignore[arg-type]  # never asked

    with pytest.raises(InterlockError, match="isn't a socket"):
        asyncio.run(start())
    assert (tmp_path / "control.sock").read_text() == "precious"
