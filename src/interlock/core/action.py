"""What is asked: one action with its effects and facts."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec

FactValue = bool | int | str | tuple[str, ...]
Facts = Mapping[str, FactValue]
"""What the parser knows, by name; the names and types of each protocol are in the shipped Cedar schema."""

NO_FACTS: Final[Facts] = MappingProxyType({})


class Effect(StrEnum):
    """The shared vocabulary of policy (design section 5)."""

    READ = "read"
    WRITE = "write"
    DESTROY = "destroy"
    SCHEMA = "schema"
    ADMIN = "admin"
    EXECUTE = "execute"
    SESSION = "session"
    UNKNOWN = "unknown"


class Action(msgspec.Struct, frozen=True):
    """One thing the client wants, exactly as it would run."""

    id: str
    """Unique in the gateway: session id and number within the session."""
    kind: str
    """Protocol and statement kind, as in ``postgres.select``; ``postgres.batch`` for several at once."""
    leaves: tuple[str, ...]
    """Leaf actions, sorted, each ``<effect>/<protocol>.<kind>``; policy is asked about each."""
    facts: Facts
    text: str
    """Readable form, shown to approvers (escaped there)."""
    payload: bytes
    """The exact bytes that run: what is recorded, and what is stored and replayed if the action is held."""
    digest: str
    """SHA-256 of ``payload`` and of the settings that give it meaning, hex."""
    foreseen: tuple[str, ...] = ()
    """Leaves that this action only prepares for (a Parse): denied with them, never held for them."""
    parameters: tuple[bytes | None, ...] = ()
    """Bound parameter values as the client sent them; they are part of ``payload`` too, and shown to approvers."""

    @property
    def effects(self) -> tuple[Effect, ...]:
        """The distinct effects of the leaves, in the vocabulary's order."""
        names = {leaf.partition("/")[0] for leaf in self.leaves}
        return tuple(effect for effect in Effect if effect in names)
