"""The recorder: nothing recorded is lost, nothing is there twice, and what can't be recorded is refused."""

import asyncio
import errno
import hashlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.audit.entry import digest
from interlock.audit.framing import HEADER, MAGIC, RECORD, encode_frames
from interlock.audit.payload import PayloadKind, route
from interlock.audit.reading import RecordingReader
from interlock.audit.recorder import Channel as RecorderChannel
from interlock.audit.recorder import Recorder
from interlock.audit.store import Limits, LogLocked
from interlock.core.errors import AuditUnavailable
from tests.audit.harness import (
    ALLOW,
    Channel,
    FaultyDisk,
    KillingDisk,
    SmallDisk,
    drain,
    entries,
    good_outcome,
    intents,
    leaves_of,
    make_action,
    make_session,
    start_recorder,
)


@pytest.fixture
def channel() -> Iterator[Channel]:
    made = Channel()
    yield made
    made.close()


def read_notices(channel: Channel) -> None:
    """Let the client take what the recorder has told it so far."""
    while True:
        try:
            more = channel.ours.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        channel.client._on_readable()
        if not more:
            return


def is_available(channel: Channel) -> bool:
    return channel.client.available


def settle(recorder: Recorder, channel: Channel) -> None:
    """Run rounds, and end a refusal where there is one, as the loop does."""
    drain(recorder)
    read_notices(channel)
    if not is_available(channel):
        recorder._try_to_resume()
        read_notices(channel)


def test_what_was_recorded_is_read_back_entry_and_payload(tmp_path: Path, channel: Channel) -> None:
    recorder = start_recorder(tmp_path, [channel])
    journal = channel.journal.session(make_session())
    big = os.urandom(20_000).hex().encode()
    sealed = [
        journal.start(tls=True),
        journal.intent(make_action("s-1.1", b"SELECT secret"), ALLOW),
        journal.outcome("s-1.1", good_outcome(big)),
        journal.end("client_closed"),
    ]
    for entry, payload in sealed[:2]:
        assert channel.client.record(entry, payload)
    assert channel.client.response(journal.response_route("s-1.1"), big[:100])
    assert channel.client.response(journal.response_route("s-1.1"), big[100:])
    for entry, payload in sealed[2:]:
        channel.client.post(entry, payload)
    drain(recorder)
    recorder.stop("closing")
    assert [logged.entry.type for logged in entries(tmp_path)] == [
        "recorder_start",
        "session_start",
        "intent",
        "outcome",
        "session_end",
        "recorder_stop",
    ]
    assert leaves_of(tmp_path, "session_start", "intent", "outcome", "session_end") == [leaf for leaf, _ in sealed]
    reader = RecordingReader(tmp_path)
    assert b"".join(reader.responses("s-1", "s-1.1")) == big
    requests = [one.payload for one in reader.session("s-1") if one.payload.kind is PayloadKind.REQUEST]
    assert [request.content[52:] for request in requests] == [b"SELECT secret"]
    for path in tmp_path.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0
        if path.is_file():
            assert b"secret" not in path.read_bytes()


def killed_at(tmp_path: Path, channels: list[Channel], step: int) -> bool:
    """Run a recorder in a child that is killed at its n-th disk operation; False if it had no such operation."""
    child = os.fork()
    if child == 0:
        try:
            drain(start_recorder(tmp_path, channels, disk=KillingDisk(step)))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFEXITED(status) or os.WTERMSIG(status) == signal.SIGKILL
    return os.WIFSIGNALED(status)


def test_recorder_killed_at_every_step_loses_nothing_and_repeats_nothing_T22_P1(tmp_path: Path) -> None:
    step = 0
    killed = True
    while killed:
        step += 1
        directory = tmp_path / str(step)
        channels = [Channel(1), Channel(2)]
        sealed = {channel.number: intents(f"s-{channel.number}", 4) for channel in channels}
        for channel in channels:
            for entry, payload in sealed[channel.number][:2]:
                assert channel.client.record(entry, payload)
        killed = killed_at(directory, channels, step)
        for channel in channels:
            for entry, payload in sealed[channel.number][2:]:
                assert channel.client.record(entry, payload)
        recorder = start_recorder(directory, channels)
        drain(recorder)
        recorder.stop("closing")
        logged = leaves_of(directory, "intent")
        for channel in channels:
            session = f'"s-{channel.number}"'.encode()
            assert [leaf for leaf in logged if session in leaf] == [leaf for leaf, _ in sealed[channel.number]]
            payloads = list(RecordingReader(directory).session(f"s-{channel.number}"))
            assert [one.seq for one in payloads] == [1, 2, 3, 4]
            channel.close()
    assert step > 10


class DiesConsuming(Recorder):
    """Takes a part of what it should out of the socket, and dies."""

    def _consume(self, channel: RecorderChannel) -> None:
        channel.sock.recv(channel.taken * 2 // 3)
        os.kill(os.getpid(), signal.SIGKILL)


def test_recorder_killed_while_it_consumes_finds_its_place_again_T22(tmp_path: Path, channel: Channel) -> None:
    sealed = intents("s-1", 9)
    for entry, payload in sealed[:5]:
        assert channel.client.record(entry, payload)
    child = os.fork()
    if child == 0:
        try:
            start_recorder(tmp_path, [channel], kind=DiesConsuming)
        finally:
            os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    for entry, payload in sealed[5:]:
        assert channel.client.record(entry, payload)
    recorder = start_recorder(tmp_path, [channel])
    drain(recorder)
    recorder.abandon()
    assert leaves_of(tmp_path, "intent") == [leaf for leaf, _ in sealed]


@pytest.mark.parametrize("operation", ["write", "sync"])
@pytest.mark.parametrize("persisted", [False, True])
@pytest.mark.parametrize("number", range(1, 14))
def test_disk_error_at_every_step_is_survived_in_new_files_T22_P1(
    tmp_path: Path, channel: Channel, operation: str, persisted: bool, number: int
) -> None:
    now = [0.0]
    failing = FaultyDisk(
        lambda name, count: errno.EIO if (name, count) == (operation, number + 3) else 0, persisted=persisted
    )
    sealed = intents("s-1", 6)
    for entry, payload in sealed[:3]:
        assert channel.client.record(entry, payload)
    recorder = start_recorder(tmp_path, [channel], disk=failing, monotonic=lambda: now[0])
    for entry, payload in sealed[3:]:
        settle(recorder, channel)
        assert is_available(channel)
        assert channel.client.record(entry, payload)
    settle(recorder, channel)
    recorder.stop("closing")
    assert leaves_of(tmp_path, "intent") == [leaf for leaf, _ in sealed]
    assert [one.seq for one in RecordingReader(tmp_path).session("s-1")] == [1, 2, 3, 4, 5, 6]
    codes = [logged.entry.code for logged in entries(tmp_path) if logged.entry.type == "gap"]
    assert codes in ([], ["disk_error"], ["disk_error", "resumed"])


def test_full_disk_refuses_keeps_what_is_recorded_and_resumes_when_there_is_space_T22_P1(
    tmp_path: Path, channel: Channel
) -> None:
    disk = SmallDisk(tmp_path, 150_000)
    recorder = start_recorder(tmp_path, [channel], disk=disk)
    sealed = intents("s-1", 400, os.urandom(600).hex().encode())
    recorded = []
    for entry, payload in sealed:
        if channel.client.record(entry, payload) is None:
            break
        recorded.append(entry)
        recorder.round()
        read_notices(channel)
    assert not is_available(channel)
    assert 0 < len(recorded) < len(sealed)
    assert channel.client.record(*sealed[-1]) is None
    assert channel.client.response(route("s-1", "a", PayloadKind.RESPONSE), b"x") is False

    async def durable() -> None:
        await channel.client.record_durable(*sealed[len(recorded)])

    with pytest.raises(AuditUnavailable):
        asyncio.run(durable())
    recorder._try_to_resume()
    read_notices(channel)
    assert not is_available(channel)
    disk.room = 10_000_000
    recorder._try_to_resume()
    read_notices(channel)
    assert is_available(channel)
    drain(recorder)
    recorder.stop("closing")
    assert leaves_of(tmp_path, "intent") == recorded
    gaps = [logged.entry for logged in entries(tmp_path) if logged.entry.type == "gap"]
    assert [gap.code for gap in gaps] == ["disk_full", "resumed", "audit_unavailable"]
    assert gaps[2].lost == (digest(sealed[len(recorded)][0]),)


def test_full_disk_still_records_the_refusal_in_the_reserve_T22(tmp_path: Path, channel: Channel) -> None:
    recorder = start_recorder(tmp_path, [channel], disk=SmallDisk(tmp_path, 70_000))
    for entry, payload in intents("s-1", 20, os.urandom(600).hex().encode()):
        channel.client.record(entry, payload)
        recorder.round()
        read_notices(channel)
    recorder._try_to_resume()
    recorder.abandon()
    assert [logged.entry.code for logged in entries(tmp_path) if logged.entry.type == "gap"] == ["disk_full"]
    assert not (tmp_path / "log" / "reserve").exists()


def test_hostile_worker_ends_only_its_own_channel_and_that_is_on_record_T22(tmp_path: Path) -> None:
    good, bad = Channel(1), Channel(2)
    recorder = start_recorder(tmp_path, [good, bad])
    first, second = intents("s-2", 2)
    assert bad.client.record(*first)
    bad.ours.send(HEADER.pack(MAGIC, RECORD, 0, 2000, 0, 99) + bytes(2002))
    sealed = intents("s-1", 2)
    assert good.client.record(*sealed[0])
    drain(recorder)
    assert good.client.record(*sealed[1])
    drain(recorder)
    read_notices(bad)
    assert not is_available(bad)
    assert bad.client.record(*second) is None
    recorder.stop("closing")
    assert leaves_of(tmp_path, "intent") == [sealed[0][0], first[0], sealed[1][0]]
    (ended,) = [logged.entry for logged in entries(tmp_path) if logged.entry.decision == "channel_ended"]
    assert (ended.code, ended.detail) == ("sequence", {"channel": f"{2:016x}", "worker": "2"})
    good.close()
    bad.close()


def test_worker_that_dies_inside_a_frame_leaves_its_whole_frames_and_a_note(tmp_path: Path, channel: Channel) -> None:
    recorder = start_recorder(tmp_path, [channel])
    (sealed,) = intents("s-1", 1)
    assert channel.client.record(*sealed)
    channel.ours.send(encode_frames(2, b"half", b"")[0][:10])
    channel.ours.shutdown(socket.SHUT_RDWR)
    channel.ours.close()
    drain(recorder)
    recorder.stop("closing")
    assert leaves_of(tmp_path, "intent") == [sealed[0]]
    assert [logged.entry.code for logged in entries(tmp_path) if logged.entry.type == "admin"] == ["incomplete"]


def test_two_recorders_never_own_one_log(tmp_path: Path) -> None:
    first = start_recorder(tmp_path, [])
    with pytest.raises(LogLocked):
        start_recorder(tmp_path, [])
    first.stop("closing")
    start_recorder(tmp_path, []).stop("closing")


def test_torn_tail_is_put_aside_and_said_at_the_next_start(tmp_path: Path, channel: Channel) -> None:
    recorder = start_recorder(tmp_path, [channel])
    (sealed,) = intents("s-1", 1)
    assert channel.client.record(*sealed)
    drain(recorder)
    recorder.abandon()
    path = tmp_path / "log" / "00000001.seg"
    good = path.read_bytes()
    path.write_bytes(good + b"IlkB\0\0torn")
    start_recorder(tmp_path, [channel]).stop("closing")
    assert path.read_bytes() == good
    assert (tmp_path / "log" / f"00000001.seg.torn-{len(good)}").read_bytes() == b"IlkB\0\0torn"
    start = [logged.entry for logged in entries(tmp_path) if logged.entry.type == "recorder_start"][1]
    assert start.detail is not None
    assert start.detail["torn_bytes"] == 10
    assert start.detail["previous_digest"] == hashlib.sha256(good).hexdigest()


def test_files_rotate_and_old_recordings_are_pruned_with_their_keys_while_entries_stay(
    tmp_path: Path, channel: Channel
) -> None:
    limits = Limits(segment_bytes=4000, recording_bytes=4000, reserve_bytes=4096, retain_bytes=12_000)
    recorder = start_recorder(tmp_path, [channel], limits=limits)
    sealed = intents("s-1", 60, os.urandom(400).hex().encode())
    for entry, payload in sealed:
        assert channel.client.record(entry, payload)
        recorder.round()
    recorder._prune()
    recorder.stop("closing")
    assert len(list((tmp_path / "log").glob("*.seg"))) > 10
    assert leaves_of(tmp_path, "intent") == [leaf for leaf, _ in sealed]
    kept = sorted(path.stem for path in (tmp_path / "recordings").glob("*.rec"))
    assert kept == sorted(path.stem for path in (tmp_path / "keys").glob("*.keys"))
    assert sum(path.stat().st_size for path in (tmp_path / "recordings").glob("*.rec")) <= 16_000
    pruned = [logged.entry.detail for logged in entries(tmp_path) if logged.entry.decision == "prune"]
    assert [f"{detail['recording']:08d}" for detail in pruned if detail] == [
        f"{number:08d}" for number in range(1, len(pruned) + 1)
    ]
    assert len(kept) < 8 < len(pruned)
