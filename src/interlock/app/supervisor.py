"""The supervisor: starts recorder and workers, keeps both alive, routes between workers, serves the control socket.

    bind -> recorder -> workers -> "ready postgres=HOST:PORT" -> SIGHUP: reload; SIGTERM: drain, then the end

It holds what must survive a worker's death: the listening sockets (waiting connections are served by the next
worker) and both ends of every recorder channel (what is in the kernel is recorded, P1). It sees no client's byte.
"""

import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Final, final

from interlock import __version__
from interlock.app.bus import (
    Answer,
    ApprovalChanged,
    BusBroken,
    Cancel,
    Discard,
    Drain,
    FromWorker,
    Kill,
    Link,
    Listening,
    Prepare,
    Report,
    Revoked,
    Snapshot,
    Start,
    Switch,
    ToWorker,
)
from interlock.app.house import House, open_house, read_clock
from interlock.app.rules import CurrentAuthenticator, Rules, read_snapshot, verify_reloadable
from interlock.audit.launch import RecorderProcess, WorkerEnd
from interlock.audit.store import Limits as RecorderLimits
from interlock.config import Config
from interlock.control.handles import HandleIssuer
from interlock.control.operations import Operations
from interlock.control.recording import RecordedChanges
from interlock.control.server import ControlServer
from interlock.control.tailing import LogTail
from interlock.core.errors import ConfigError, InterlockError, PolicyError, StorageError
from interlock.storage import migrate
from interlock.transport.listener import bind

_log = logging.getLogger("interlock.app")

START_SECONDS: Final = 60.0
ANSWER_SECONDS: Final = 15.0
BACKOFF_SECONDS: Final = 0.1
MAX_BACKOFF_SECONDS: Final = 5.0
STABLE_SECONDS: Final = 30.0
RECORDER_POLL_SECONDS: Final = 0.1
UPKEEP_SECONDS: Final = 15.0
MAX_FAILED_STARTS: Final = 3
"""A worker that never listened and ends so often ends the gateway: something is wrong that no restart mends."""


class StartFailed(InterlockError):
    """The gateway can't start."""

    code = "start"


@final
class Slot:
    """One worker's place: its sockets stay, its process comes and goes."""

    def __init__(self, index: int, listeners: Mapping[str, socket.socket]) -> None:
        self.index: Final = index
        self.listeners: Final = listeners
        self.link: Link | None = None
        self.process: asyncio.subprocess.Process | None = None
        self.listening: Final = asyncio.Event()
        self.connections = 0
        self.sessions = 0
        self.restarts = 0


@final
class Supervisor:
    """The whole gateway of one machine."""

    def __init__(self, config: Config, snapshot: Snapshot, rules: Rules, *, say: Callable[[str], None]) -> None:
        """``say`` prints the line that tells whoever started the gateway that it is ready."""
        self._config: Final = config
        self._snapshot = snapshot
        self._rules = rules
        self._say: Final = say
        self._instance: Final = secrets.token_hex(8)
        self._started_at: Final = read_clock()
        self._recorder: Final = RecorderProcess(
            config.gateway.data_dir,
            instance=self._instance,
            durability=config.gateway.durability.value,
            random=secrets.token_bytes,
            limits=RecorderLimits(
                segment_bytes=config.recorder.segment_bytes,
                segment_seconds=config.recorder.segment_seconds,
                reserve_bytes=config.recorder.reserve_bytes,
                retain_seconds=config.recordings.keep_days * 86400,
                retain_bytes=config.recordings.keep_bytes,
            ),
            user=config.recorder.user,
        )
        self._slots: Final[list[Slot]] = []
        self._requests: Final[dict[int, asyncio.Future[Answer]]] = {}
        self._next_request: Final = count(1).__next__
        self._reloading: Final = asyncio.Lock()
        self._stopping: Final = asyncio.Event()
        self._failure: InterlockError | None = None
        self._house: House | None = None
        self._authenticator: CurrentAuthenticator | None = None

    # --- life -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Live until told to stop.

        Raises:
            InterlockError: it can't start, or can't go on.
        """
        gateway = self._config.gateway
        _make_private(gateway.data_dir)
        await migrate(gateway.state_path)
        addresses = self._bind_all()
        end = self._recorder.add_channel("supervisor")
        try:
            self._recorder.start()
        except OSError as error:
            self._recorder.close()
            raise StartFailed(str(error)) from error
        try:
            await self._live(end, addresses)
        finally:
            self._close_listeners()
            self._recorder.close()
        if self._failure is not None:
            raise self._failure

    async def _live(self, end: WorkerEnd, addresses: Mapping[str, str]) -> None:
        house = self._house = await open_house(
            self._config,
            instance=self._instance,
            name="supervisor",
            recorder_fd=os.dup(end.sock.fileno()),
            kick_fd=os.dup(end.kick),
        )
        control: ControlServer | None = None
        try:
            await self._sweep(house, None)
            control = self._make_control(house)
            await control.start()
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._keep_worker(slot), name=f"worker {slot.index}") for slot in self._slots
                ]
                background = [
                    group.create_task(self._keep_recorder(), name="recorder"),
                    group.create_task(self._keep_up(house), name="upkeep"),
                    group.create_task(self._announce(addresses), name="ready"),
                ]
                self._take_signals(group)
                await self._stopping.wait()
                _log.info("stopping")
                self._close_listeners()
                await self._drain(tasks)
                for task in (*tasks, *background):
                    task.cancel()
            await self._sweep(house, None)
        finally:
            if control is not None:
                await control.close()
            await house.close()

    def stop(self, failure: InterlockError | None = None) -> None:
        """End the gateway; ``failure`` says that it can't go on."""
        self._failure = self._failure or failure
        self._stopping.set()

    def _take_signals(self, group: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)

        def on_hangup() -> None:
            _ = group.create_task(self._reload_on_signal(), name="reload")

        loop.add_signal_handler(signal.SIGHUP, on_hangup)

    async def _announce(self, addresses: Mapping[str, str]) -> None:
        """Say that clients can come, once every worker listens."""
        try:
            async with asyncio.timeout(START_SECONDS):
                for slot in self._slots:
                    await slot.listening.wait()
        except TimeoutError:
            self.stop(StartFailed("the workers didn't start in time; see the log above"))
            return
        self._say("ready " + " ".join(f"{protocol}={address}" for protocol, address in addresses.items()))

    async def _drain(self, tasks: list[asyncio.Task[None]]) -> None:
        """Let workers end their sessions; those that take too long are killed by their keepers' end."""
        seconds = float(self._config.gateway.shutdown_seconds)
        self._broadcast(Drain(seconds))
        _, late = await asyncio.wait(tasks, timeout=seconds + START_SECONDS / 4)
        if late:
            _log.warning("workers_killed", extra={"count": len(late)})

    # --- sockets ----------------------------------------------------------------------------------------------------

    def _bind_all(self) -> dict[str, str]:
        """Bind every listener once a worker; returns the addresses by protocol.

        Raises:
            StartFailed: an address can't be bound.
        """
        workers = self._config.gateway.workers or len(os.sched_getaffinity(0))
        addresses: dict[str, str] = {}
        sockets: list[dict[str, socket.socket]] = [{} for _ in range(workers)]
        for listener in self._config.listeners:
            host, port = listener.address.host, listener.address.port
            for made in sockets:
                try:
                    sock = made[listener.protocol] = bind(host, port)
                except OSError as error:
                    msg = f"[listeners.{listener.protocol}] {listener.address}: can't listen: {error.strerror}"
                    raise StartFailed(msg) from error
                port = sock.getsockname()[1]
            addresses[listener.protocol] = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._slots.extend(Slot(index, made) for index, made in enumerate(sockets))
        return addresses

    def _close_listeners(self) -> None:
        for slot in self._slots:
            for sock in slot.listeners.values():
                sock.close()

    # --- workers ----------------------------------------------------------------------------------------------------

    async def _keep_worker(self, slot: Slot) -> None:
        """Run a worker, and another when it ends, until the gateway stops."""
        loop = asyncio.get_running_loop()
        backoff, failed = BACKOFF_SECONDS, 0
        while not self._stopping.is_set():
            started = loop.time()
            status = await self._run_worker(slot)
            if self._stopping.is_set():
                return
            _log.warning("worker_ended", extra={"worker": slot.index, "status": status})
            failed = 0 if slot.listening.is_set() else failed + 1
            if failed >= MAX_FAILED_STARTS:
                self.stop(StartFailed(f"worker {slot.index} ends before it listens; see the log above"))
                return
            if self._house is not None:
                await self._sweep(self._house, slot.index)
            backoff = (
                BACKOFF_SECONDS if loop.time() - started > STABLE_SECONDS else min(backoff * 2, MAX_BACKOFF_SECONDS)
            )
            slot.restarts += 1
            await asyncio.sleep(backoff)

    async def _run_worker(self, slot: Slot) -> int:
        """One life of a worker, from its start to its end; returns its exit status."""
        name = f"worker-{slot.index}.{slot.restarts}"
        ours, theirs = socket.socketpair()
        end = self._recorder.add_channel(name)
        listeners = {protocol: sock.fileno() for protocol, sock in slot.listeners.items()}
        try:
            process = slot.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "interlock.app.worker",
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno(), end.sock.fileno(), end.kick, *listeners.values()],
            )
        finally:
            theirs.close()
        link = slot.link = await Link.open(ours)
        link.send(
            Start(
                worker=slot.index,
                name=name,
                instance=self._instance,
                log_level=_log.getEffectiveLevel(),
                recorder_fd=end.sock.fileno(),
                kick_fd=end.kick,
                listeners=listeners,
                snapshot=self._snapshot,
            )
        )
        try:
            async with asyncio.TaskGroup() as group:
                hearing = group.create_task(self._hear(slot, link), name=f"bus {slot.index}")
                status = await process.wait()
                hearing.cancel()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            link.close()
            slot.link = slot.process = None
            slot.connections = slot.sessions = 0
            self._recorder.end_channel(end.channel)
        return status

    async def _hear(self, slot: Slot, link: Link) -> None:
        """Take what a worker says until it is gone."""
        while True:
            try:
                message = await link.receive()
            except BusBroken:
                return
            self._take(slot, message)

    def _take(self, slot: Slot, message: FromWorker | ToWorker) -> None:
        match message:
            case Listening():
                slot.listening.set()
                _log.info("worker_listens", extra={"worker": slot.index})
            case Answer():
                waiting = self._requests.pop(message.request, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
            case Cancel():
                if message.worker < len(self._slots):
                    target = self._slots[message.worker].link
                    if target is not None and message.worker != slot.index:
                        target.send(message)
            case Report():
                slot.connections, slot.sessions = message.connections, message.sessions
            case _:
                _log.warning("bus_message_unexpected", extra={"kind": type(message).__name__})

    def _broadcast(self, message: ToWorker) -> None:
        for slot in self._slots:
            if slot.link is not None:
                slot.link.send(message)

    async def _ask_all(self, make: Callable[[int], ToWorker]) -> list[Answer | None]:
        """Ask every worker; None for one that is gone or doesn't answer (its sessions are gone with it)."""
        loop = asyncio.get_running_loop()
        waiting: list[asyncio.Future[Answer]] = []
        for slot in self._slots:
            if slot.link is not None and slot.listening.is_set():
                request = self._next_request()
                waiting.append(loop.create_future())
                self._requests[request] = waiting[-1]
                slot.link.send(make(request))
        if waiting:
            await asyncio.wait(waiting, timeout=ANSWER_SECONDS)
        for future in waiting:
            if not future.done():
                future.cancel()
        return [None if future.cancelled() else future.result() for future in waiting]

    # --- recorder and state -----------------------------------------------------------------------------------------

    async def _keep_recorder(self) -> None:
        """Start the recorder again if it dies; what it had not consumed is still in the sockets."""
        while True:
            await asyncio.sleep(RECORDER_POLL_SECONDS)
            try:
                if self._recorder.restart_if_dead():
                    _log.warning("recorder_restarted")
            except OSError:
                _log.error("recorder_does_not_start")  # nothing is permitted meanwhile (fail closed)
            for report in self._recorder.reports():
                _log.info("recorder_report", extra={"state": report.get("state", "")})

    async def _keep_up(self, house: House) -> None:
        """End holds whose time is over, whoever waits for them, and forget what is long past."""
        while True:
            await asyncio.sleep(UPKEEP_SECONDS)
            try:
                now = read_clock()
                for hold in await house.approvals.expire(now):
                    self._broadcast(ApprovalChanged(hold.id))
                await house.handles.forget_before(now)
                await house.revocations.forget_before(now)
            except StorageError as error:
                _log.warning("upkeep_failed", extra={"code": error.code})

    async def _sweep(self, house: House, worker: int | None) -> None:
        """After a worker's end (None: all of them): its sessions are over, and what they held is withdrawn."""
        try:
            now = read_clock()
            await house.sessions.end_worker(worker, code="worker_ended", now=now)
            live = {session.id for session in await house.sessions.find_all(limit=100_000)}
            for hold in await house.approvals.abandon(now=now, lives=live.__contains__):
                house.recorder.post(
                    *house.journal.approval(
                        "withdrawn",
                        approval_id=hold.id,
                        action_id=hold.action_id,
                        session_id=hold.session_id,
                        groups=hold.groups,
                        code="session_ended",
                    )
                )
        except StorageError as error:
            _log.warning("sweep_failed", extra={"code": error.code})

    # --- control ----------------------------------------------------------------------------------------------------

    def _make_control(self, house: House) -> ControlServer:
        self._authenticator = CurrentAuthenticator(
            lambda rules: rules.make_authenticator(house.handles, house.revocations), self._rules
        )
        operations = Operations(
            admin=self,
            sessions=house.sessions,
            holds=house.approvals,
            authenticator=self._authenticator,
            revocations=house.revocations,
            handles=HandleIssuer(
                store=house.handles,
                max_seconds=self._config.tokens.handle_seconds,
                random=secrets.token_bytes,
            ),
            log=LogTail(self._config.gateway.data_dir),
            changes=RecordedChanges(journal=house.journal, append=house.recorder.record_durable),
            now=read_clock,
        )
        return ControlServer(self._config.gateway.control_socket, operations)

    async def kill(self, session_id: str, *, code: str, message: str) -> bool:
        """End a live session; False if no worker has it."""
        answers = await self._ask_all(lambda request: Kill(request, session_id, code, message))
        return any(answer is not None and answer.count for answer in answers)

    async def notify_approval(self, approval_id: str) -> None:
        """A hold changed: the worker that waits for it looks again."""
        self._broadcast(ApprovalChanged(approval_id))

    async def revoked(self, kind: str, value: str) -> int:
        """A revocation is in force: end the sessions it concerns; how many."""
        answers = await self._ask_all(lambda request: Revoked(request, kind, value))
        return sum(answer.count for answer in answers if answer is not None)

    async def reload(self) -> Mapping[str, object]:
        """Read configuration and policies again, all or nothing; what is in force now.

        Raises:
            ConfigError: the old configuration stays.
            PolicyError: the old policies stay.
        """
        async with self._reloading:
            generation = self._snapshot.generation + 1
            snapshot, rules = await asyncio.to_thread(read_snapshot, self._config.file, generation)
            verify_reloadable(self._rules.config, rules.config)
            prepared = await self._ask_all(lambda request: Prepare(request, snapshot))
            if not all(answer is not None and not answer.error for answer in prepared):
                self._broadcast(Discard(generation))
                reason = next((a.error for a in prepared if a is not None and a.error), "a worker didn't answer")
                raise ConfigError(str(self._config.file), "", f"a worker can't use it: {reason}")
            # From here on a worker that dies comes back with the new generation.
            self._snapshot, self._rules = snapshot, rules
            if self._authenticator is not None:
                self._authenticator.switch(rules)
            switched = await self._ask_all(lambda request: Switch(request, generation))
            for slot, answer in zip([s for s in self._slots if s.link is not None], switched, strict=False):
                if (answer is None or answer.error) and slot.process is not None:
                    _log.warning("worker_replaced", extra={"worker": slot.index})
                    slot.process.kill()  # it must not go on with rules that are no longer in force
        _log.info("reloaded", extra={"generation": generation, "policy_hash": rules.policy_set.hash})
        return {"generation": generation, "policy_hash": rules.policy_set.hash}

    async def status(self) -> Mapping[str, object]:
        """How the gateway is."""
        return {
            "version": __version__,
            "mode": self._config.gateway.mode.value,
            "started_at": self._started_at.isoformat(),
            "uptime_seconds": int((read_clock() - self._started_at).total_seconds()),
            "generation": self._snapshot.generation,
            "policy_hash": self._rules.policy_set.hash,
            "recorder": {"running": self._recorder.pid is not None, "own_user": self._config.recorder.user},
            "workers": [
                {
                    "worker": slot.index,
                    "running": slot.process is not None and slot.listening.is_set(),
                    "connections": slot.connections,
                    "sessions": slot.sessions,
                    "restarts": slot.restarts,
                }
                for slot in self._slots
            ],
        }

    async def _reload_on_signal(self) -> None:
        house = self._house
        assert house is not None
        try:
            await house.recorder.record_durable(*house.journal.admin("reload", person="local:signal"))
            await self.reload()
        except (ConfigError, PolicyError, InterlockError) as error:
            _log.error("reload_failed", extra={"code": error.code, "reason": str(error)})
            house.recorder.post(*house.journal.admin("reload_failed", person="local:signal", code=error.code))


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
