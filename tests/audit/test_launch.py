"""The real process: started, killed, started again with the same sockets; workers that die; nothing to see in /proc."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.audit.client import RecorderClient
from interlock.audit.launch import RecorderProcess, WorkerEnd
from interlock.audit.reading import RecordingReader
from tests.audit.harness import SMALL, entries, intents, leaves_of, make_journal

WORKER = """
import os, signal, socket, sys
from interlock.audit.client import RecorderClient
from tests.audit.harness import intents, make_journal
client = RecorderClient(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), gap=make_journal().gap)
for entry, payload in intents(sys.argv[3], 50):
    assert client.record(entry, payload)
    os.write(1, entry + b"\\n")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[RecorderProcess]:
    process = RecorderProcess(tmp_path, instance="gw", durability="strict", random=os.urandom, limits=SMALL)
    yield process
    process.close()


def run_worker(end: WorkerEnd, session: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(end.sock.fileno()), str(end.kick), session],
        pass_fds=[end.sock.fileno(), end.kick],
        stdout=subprocess.PIPE,
    )


def test_worker_killed_right_after_recording_and_recorder_killed_too_lose_nothing_T22_P1(
    tmp_path: Path, recorder: RecorderProcess
) -> None:
    ends = [recorder.add_channel(str(number)) for number in (1, 2)]
    recorder.start()
    workers = [run_worker(end, f"s-{number}") for number, end in enumerate(ends)]
    recorder.kill()
    promised = [worker.communicate()[0].splitlines() for worker in workers]
    assert [len(lines) for lines in promised] == [50, 50]
    for end in ends:
        recorder.end_channel(end.channel)
    assert recorder.restart_if_dead()
    assert not recorder.restart_if_dead()
    assert recorder.stop() == 0
    logged = leaves_of(tmp_path, "intent")
    for number, lines in enumerate(promised):
        assert [leaf for leaf in logged if f'"s-{number}"'.encode() in leaf] == lines
        assert len(list(RecordingReader(tmp_path).session(f"s-{number}"))) == 50


def test_channel_can_be_added_while_it_runs_and_durable_means_on_disk(
    tmp_path: Path, recorder: RecorderProcess
) -> None:
    recorder.start()
    end = recorder.add_channel("late")
    (sealed,) = intents("s-1", 1)

    async def run() -> None:
        client = RecorderClient(
            end.sock.dup(), os.dup(end.kick), gap=lambda lost, count: make_journal().gap("lost", lost=lost, count=count)
        )
        client.attach(asyncio.get_running_loop())
        await client.record_durable(*sealed)
        assert leaves_of(tmp_path, "intent") == [sealed[0]]
        await client.close()

    asyncio.run(run())
    recorder.end_channel(end.channel)
    assert recorder.stop() == 0
    states = [report["state"] for report in recorder.reports()]
    assert "channel_ended" in states


def test_files_are_private_and_no_secret_is_in_arguments_or_environment_P5(
    tmp_path: Path, recorder: RecorderProcess
) -> None:
    recorder.add_channel("1")
    recorder.start()
    kek = (tmp_path / "keys" / "recordings.kek").read_bytes()
    seen = b"".join(Path(f"/proc/{recorder.pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
    for form in (kek, kek.hex().encode()):
        assert form not in seen
    for path in (tmp_path, *tmp_path.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)
    (start,) = [logged.entry for logged in entries(tmp_path) if logged.entry.type == "recorder_start"]
    assert start.detail is not None
    assert (start.detail["durability"], start.detail["own_uid"]) == ("strict", 0)


def test_recorder_inherits_no_upstream_password_but_finds_its_code_P5_T31(
    recorder: RecorderProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {"SHOP_PASSWORD": "s3cret-1", "INTERLOCK_TOKEN": "s3cret-2", "PYTHON_INDEX_TOKEN": "s3cret-3"}
    for name, value in {**secrets, "PYTHONPATH": "/a/folder/of/code", "LC_ALL": "C.UTF-8"}.items():
        monkeypatch.setenv(name, value)
    recorder.start()
    inherited = Path(f"/proc/{recorder.pid}/environ").read_bytes().split(b"\0")
    assert b"PYTHONPATH=/a/folder/of/code" in inherited
    assert b"LC_ALL=C.UTF-8" in inherited
    assert not [item for item in inherited if b"s3cret" in item]


def test_recorder_that_cannot_start_says_so(tmp_path: Path, recorder: RecorderProcess) -> None:
    recorder.start()
    second = RecorderProcess(tmp_path, instance="gw", durability="strict", random=os.urandom, limits=SMALL)
    with pytest.raises(OSError, match="did not start"):
        second.start()
    second.close()
