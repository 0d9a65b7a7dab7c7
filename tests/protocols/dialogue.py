"""Talk with a mediator as driver, gate and upstream would: events in, commands out, in every order."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from interlock.core.action import Action
from interlock.core.commands import Answered, Ask, Close, Command, Done, Event, Mediator, Record, ToClient, ToUpstream
from interlock.core.decision import Deny, Obligations
from interlock.core.permit import GATE_MINT, Permit, SessionPermit  # noqa: TID251 - tests stand in for the gate
from interlock.core.principal import Principal, PrincipalKind
from interlock.core.resource import Resource
from interlock.core.session import Session

T = TypeVar("T", bound=Command)

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def a_session(**changes: Any) -> Session:
    """A session of an agent with the resource ``shop``."""
    principal = Principal("reviewer", "https://ci.example", PrincipalKind.AGENT, NOW + timedelta(minutes=15), "t1")
    values: dict[str, Any] = {
        "id": "s1",
        "principal": principal,
        "resource": Resource("shop", changes.pop("protocol", "postgres"), "127.0.0.1:5432"),
        "database": "shop",
        "client_address": "127.0.0.1:4000",
        "started_at": NOW,
        "expires_at": NOW + timedelta(minutes=15),
    }
    values.update(changes)
    return Session(**values)


def a_permit(action: Action, *, obligations: Obligations | None = None, stored: bytes | None = None) -> Permit:
    """What the gate would mint."""
    return Permit(mint=GATE_MINT, action_id=action.id, obligations=obligations or Obligations(), stored=stored)


def a_session_permit(session: Session) -> SessionPermit:
    """What the gate would mint at the session's start."""
    return SessionPermit(mint=GATE_MINT, session_id=session.id)


class Dialogue:
    """One mediator under test, and everything it has said."""

    def __init__(self, mediator: Mediator) -> None:
        self.mediator = mediator
        self.commands: list[Command] = []
        """Of the last step."""
        self.asked: list[Ask] = []
        self.done: list[Done] = []
        self.to_client = bytearray()
        self.to_upstream = bytearray()
        self.permits: list[Permit | SessionPermit] = []
        self.closed: str | None = None
        self.recorded: dict[str, bytes] = {}

    def gives(self, *events: Event) -> list[Command]:
        """Let events happen; returns the commands of all of them."""
        said: list[Command] = []
        for event in events:
            said += self.mediator.step(event)
        self.commands = said
        for command in said:
            self._note(command)
        return said

    def _note(self, command: Command) -> None:
        match command:
            case Ask():
                self.asked.append(command)
            case ToClient(data):
                self.to_client += data
            case ToUpstream(data, permit):
                self.to_upstream += data
                self.permits.append(permit)
            case Record(action_id, data):
                self.recorded[action_id] = self.recorded.get(action_id, b"") + data
            case Done():
                self.done.append(command)
                self.recorded[command.action_id] = self.recorded.get(command.action_id, b"") + command.data
            case Close(code):
                self.closed = code
            case _:
                pass

    def the(self, kind: type[T]) -> T:
        """The one command of this kind in the last step."""
        found = self.all(kind)
        assert len(found) == 1, f"{len(found)} of {kind.__name__} in {self.commands}"
        return found[0]

    def all(self, kind: type[T]) -> list[T]:
        """The commands of this kind in the last step."""
        return [command for command in self.commands if isinstance(command, kind)]

    def permit(self, ask: Ask | None = None, **how: Any) -> list[Command]:
        """The gate says yes to the last question."""
        ask = ask or self.asked[-1]
        return self.gives(Answered(ask.action.id, a_permit(ask.action, **how)))

    def deny(self, ask: Ask | None = None, *, code: str = "policy_denied", reason: str = "no") -> list[Command]:
        """The gate says no to the last question."""
        ask = ask or self.asked[-1]
        return self.gives(Answered(ask.action.id, Deny(code, reason, ("p1",), "h")))

    def take_upstream(self) -> bytes:
        """What went up since the last call."""
        data, self.to_upstream = self.to_upstream, bytearray()
        return bytes(data)

    def take_client(self) -> bytes:
        """What the client got since the last call."""
        data, self.to_client = self.to_client, bytearray()
        return bytes(data)


def pieces(data: bytes, size: int) -> Iterable[bytes]:
    """Cut bytes into pieces of a size."""
    return (data[at : at + size] for at in range(0, len(data), size))
