"""One worker process: ``python -m interlock.app.worker BUS``, where BUS is the descriptor of its end of the bus.

Everything else it is told on the bus, so nothing but a number is in the process list. It serves clients until it is
told to drain or the supervisor is gone; then it ends every session on record.
"""

import asyncio
import logging
import secrets
import signal
import socket
import sys
from typing import Final, final

import uvloop

from interlock.app.bus import (
    Answer,
    ApprovalChanged,
    BusBroken,
    Cancel,
    Discard,
    Drain,
    Kill,
    Link,
    Listening,
    Message,
    Prepare,
    Report,
    Revoked,
    Start,
    Switch,
)
from interlock.app.hardening import harden, raise_descriptor_limit, rest_collector
from interlock.app.house import House, new_id, open_house, read_clock
from interlock.app.logs import set_up_logging
from interlock.app.protocols import PROTOCOLS, Speaker
from interlock.app.rules import CurrentAuthenticator, Rules, build_rules
from interlock.core.errors import InterlockError
from interlock.core.principal import Principal
from interlock.core.resource import Resource
from interlock.core.session import Session
from interlock.gate.gate import Gate
from interlock.storage import SqlSessionRegistry
from interlock.transport.cancel import CancelKeys
from interlock.transport.listener import Listener
from interlock.transport.services import Services
from interlock.transport.sessions import Sessions

_log = logging.getLogger("interlock.app")

REPORT_SECONDS: Final = 2.0
DRAIN_STEP_SECONDS: Final = 0.05
STOPPING: Final = ("gateway_stopped", "the gateway is stopping; connect again")


@final
class Worker:
    """The worker's own objects, and what the supervisor may ask of them."""

    def __init__(self, start: Start, house: House, rules: Rules, link: Link) -> None:
        self._start: Final = start
        self._house: Final = house
        self._rules = rules
        self._prepared: Rules | None = None
        self._link: Final = link
        self._sessions: Final = Sessions()
        self._keys: Final = CancelKeys(
            start.worker,
            random_bytes=secrets.token_bytes,
            monotonic=asyncio.get_running_loop().time,
            forward=lambda worker, pid, secret: link.send(Cancel(worker, pid, secret)),
        )
        self._authenticator: Final = CurrentAuthenticator(
            lambda current: current.make_authenticator(house.handles, house.revocations), rules
        )
        self._gate: Final = Gate(
            authenticator=self._authenticator,
            decider=rules.make_decider(),
            approvals=house.approvals,
            recorder=house.recorder,
            journal=house.journal,
            registry=SqlSessionRegistry(house.sessions, worker=start.worker, now=read_clock),
            resources=rules.resources,
            limits=rules.gate_limits,
            now=read_clock,
            new_id=new_id,
            upstream_user=self._find_upstream_user,
        )
        self._speakers: Final[dict[str, Speaker]] = {}
        self._listeners: Final[list[Listener]] = []
        for protocol, descriptor in start.listeners.items():
            speaker = PROTOCOLS[protocol](house, lambda: self._rules, self._keys)
            services = Services(
                protocol=protocol,
                gate=self._gate,
                dialler=speaker.dialler,
                catalogues=speaker.catalogues,
                offload=speaker.offload,
                cancel_keys=self._keys,
                sessions=self._sessions,
                limits=rules.config.limits,
                now=read_clock,
            )
            self._speakers[protocol] = speaker
            self._listeners.append(
                Listener(
                    socket.socket(fileno=descriptor),
                    door=speaker.door,
                    services=services,
                    make_mediator=speaker.make_mediator,
                )
            )

    async def run(self) -> None:
        """Serve until drained or alone."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(listener.serve(), name="listener") for listener in self._listeners]
            tasks += [group.create_task(speaker.watch(), name="watch") for speaker in self._speakers.values()]
            tasks.append(group.create_task(self._report_often(), name="report"))
            rest_collector()
            self._link.send(Listening())
            try:
                await self._obey()
            finally:
                for task in tasks:
                    task.cancel()
        for speaker in self._speakers.values():
            speaker.close()

    async def _obey(self) -> None:
        """Do what the supervisor says; returns when the worker shall end."""
        while True:
            try:
                message = await self._link.receive()
            except BusBroken:
                _log.warning("supervisor_gone")
                await self._drain(0.0)
                return
            if isinstance(message, Drain):
                await self._drain(message.seconds)
                return
            try:
                self._take(message)
            except InterlockError as error:
                _log.warning("bus_message_failed", extra={"kind": type(message).__name__, "code": error.code})

    def _take(self, message: Message) -> None:
        match message:
            case Cancel():
                self._keys.accept(message.pid, message.secret)
            case Kill():
                found = self._sessions.kill(message.session_id, code=message.kill_code, message=message.message)
                self._link.send(Answer(message.request, int(found)))
            case Revoked():
                count = self._sessions.kill_where(
                    lambda session: _concerns(message, session.principal),
                    code="revoked",
                    message="access was revoked",
                )
                self._link.send(Answer(message.request, count))
            case ApprovalChanged():
                self._house.approvals.notify(message.approval_id)
            case Prepare():
                self._link.send(self._prepare(message))
            case Switch():
                self._switch(message)
            case Discard():
                self._prepared = None
            case _:
                _log.warning("bus_message_unexpected", extra={"kind": type(message).__name__})

    def _prepare(self, message: Prepare) -> Answer:
        try:
            self._prepared = build_rules(message.snapshot)
        except InterlockError as error:
            return Answer(message.request, error=str(error))
        return Answer(message.request, 1)

    def _switch(self, message: Switch) -> None:
        prepared, self._prepared = self._prepared, None
        if prepared is None or prepared.generation != message.generation:
            self._link.send(Answer(message.request, error="that generation isn't prepared"))
            return
        self._rules = prepared
        self._gate.reload(decider=prepared.make_decider(), resources=prepared.resources, limits=prepared.gate_limits)
        self._authenticator.switch(prepared)
        for speaker in self._speakers.values():
            speaker.switch(prepared)
        self._link.send(Answer(message.request, 1))

    def _find_upstream_user(self, resource: Resource, principal: Principal) -> str:
        return self._rules.find_upstream_user(resource, principal)

    async def _drain(self, seconds: float) -> None:
        """Accept no more; sessions end as their statements do, all of them in time."""
        for listener in self._listeners:
            listener.stop_accepting()
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while len(self._sessions) and loop.time() < until:
            self._sessions.kill_idle(code=STOPPING[0], message=STOPPING[1])
            await asyncio.sleep(DRAIN_STEP_SECONDS)
        self._sessions.kill_where(_is_any, code=STOPPING[0], message=STOPPING[1])
        await asyncio.sleep(DRAIN_STEP_SECONDS)

    async def _report_often(self) -> None:
        while True:
            connections = sum(listener.connections for listener in self._listeners)
            self._link.send(Report(connections, len(self._sessions)))
            await asyncio.sleep(REPORT_SECONDS)


def _is_any(session: Session) -> bool:  # noqa: ARG001 - matches every session
    return True


def _concerns(revoked: Revoked, principal: Principal) -> bool:
    """True if the revocation names the principal, an actor of it, its token or the person behind it."""
    match revoked.kind:
        case "token":
            return principal.token_id == revoked.value
        case "principal":
            return revoked.value in {principal.id, *(f"{actor.issuer}|{actor.subject}" for actor in principal.actors)}
        case "person":
            return principal.person == revoked.value
        case _:
            return False


async def work(bus: socket.socket) -> int:
    """Live as a worker on this end of a bus; the exit status."""
    link = await Link.open(bus)
    first = await link.receive()
    if not isinstance(first, Start):
        return 1
    set_up_logging(first.name, first.log_level)
    # The supervisor speaks for everybody: a terminal's Ctrl-C reaches the whole process group.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, _ignore)
    try:
        rules = build_rules(first.snapshot)
        raise_descriptor_limit(2 * rules.config.limits.connections + 512)
        house = await open_house(
            rules.config,
            instance=first.instance,
            name=first.name,
            recorder_fd=first.recorder_fd,
            kick_fd=first.kick_fd,
        )
    except InterlockError as error:
        _log.error("worker_cannot_start", extra={"code": error.code, "reason": str(error)})
        return 3
    try:
        await Worker(first, house, rules, link).run()
    finally:
        await house.close()
        link.close()
    return 0


def _ignore() -> None:
    """Nothing: the supervisor decides."""


def main() -> None:
    """Run as a process of its own."""
    harden()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        status = runner.run(work(socket.socket(fileno=int(sys.argv[1]))))
    sys.exit(status)


if __name__ == "__main__":
    main()
