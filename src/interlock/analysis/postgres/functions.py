"""What PostgreSQL's own functions do, by name: the shipped list, judged without any catalogue.

    name as called -> judge_shipped -> Judgement (verdict, danger, the effect that calling it adds)

``shipped_*.txt`` beside this file hold the names of ``pg_catalog`` in the supported versions; ``reviewed`` those that
were read one by one. A name that is in neither is ``unknown``, and an unknown call is ``execute``: doubt goes to the
graver effect. What a user's own functions, operators and casts do, and whether one of them could be chosen instead of
a shipped one, is ``catalogue``'s to say.
"""

from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from interlock.analysis.postgres.reviewed import DANGERS, VOLATILE_HARMLESS

EFFECT_OF_DANGER: Final = MappingProxyType(
    {
        "sequence": "write",
        "lock": "session",
        "settings": "session",
        "seed": "session",
        "snapshot": "session",
        "notify": "execute",
        "files": "execute",
        "network": "execute",
        "sessions": "execute",
        "dynamic_sql": "execute",
        "large_objects": "execute",
        "replication": "execute",
        "server": "execute",
        "statistics": "execute",
        "maintenance": "execute",
        "internal": "execute",
    }
)
"""The effect that a call with this danger adds.

``pg_notify`` is ``execute`` because it reaches other sessions; advisory locks, the random seed and snapshots concern
who holds the session. ``settings`` is ``set_config``, which the walk reads as the SET that it equals.
"""


@dataclass(frozen=True, slots=True)
class FunctionFacts:
    """What the catalogue says of one function of a user's making."""

    schema: str
    name: str
    kind: str
    """``function``, ``aggregate``, ``window`` or ``procedure``."""
    volatility: str
    """``immutable``, ``stable`` or ``volatile``."""
    language: str
    security_definer: bool
    owner: str
    owner_is_superuser: bool


@dataclass(frozen=True, slots=True)
class Judgement:
    """What calling a thing by this name may do."""

    verdict: str
    """``harmless``, ``dangerous`` or ``unknown``."""
    danger: str = ""
    """A key of ``EFFECT_OF_DANGER`` where the verdict is ``dangerous``."""
    candidates: tuple[FunctionFacts, ...] = ()
    """Functions of users' making that could be what runs and aren't known to be harmless."""

    @property
    def harmless(self) -> bool:
        """True if the call only reads and reaches nothing outside its own session."""
        return self.verdict == "harmless"

    @property
    def dangerous(self) -> str:
        """The danger, or the empty string."""
        return self.danger

    @property
    def effect(self) -> str:
        """The effect that the call adds to its statement; empty where it adds none."""
        if self.verdict == "harmless":
            return ""
        return EFFECT_OF_DANGER.get(self.danger, "execute")


HARMLESS: Final = Judgement("harmless")
UNKNOWN: Final = Judgement("unknown")


def _read(name: str) -> frozenset[str]:
    text = files("interlock.analysis.postgres").joinpath(f"shipped_{name}.txt").read_text(encoding="utf-8")
    return frozenset(word for line in text.splitlines() if not line.startswith("# ") for word in line.split())


SHIPPED_FUNCTIONS: Final = _read("functions")
SHIPPED_OPERATORS: Final = _read("operators")
SHIPPED_TYPES: Final = _read("types")
_DANGEROUS: Final = MappingProxyType({name: Judgement("dangerous", danger) for name, danger in DANGERS.items()})


def judge_shipped(name: tuple[str, ...], kind: str = "function") -> Judgement:
    """Say what PostgreSQL's own function, operator or type by this name does when called.

    Trust: ``name`` is the client's, folded as PostgreSQL folds it: ``("lower",)`` or ``("pg_catalog", "lower")``.
    ``kind`` is ``function``, ``operator``, ``cast`` or ``column`` (``x.f`` can mean ``f(x)``). Any schema but
    ``pg_catalog`` makes it a user's: ``unknown``, unless the name alone is a danger as grave. ``type`` is a parameter's
    type by its oid, which only a catalogue can say something of.
    """
    if not name:
        return UNKNOWN
    last = name[-1]
    shipped = len(name) == 1 or name[-2] == "pg_catalog"
    if kind == "operator":
        return HARMLESS if shipped and last in SHIPPED_OPERATORS else UNKNOWN
    if kind == "cast":
        return HARMLESS if shipped and last in SHIPPED_TYPES else UNKNOWN
    if kind == "column":
        # Some shipped functions take anything, so a row too; no real column is called like the dangerous ones of them.
        return _DANGEROUS.get(last, HARMLESS) if last.startswith("pg_") else HARMLESS
    danger = _DANGEROUS.get(last)
    if danger is not None and (shipped or danger.effect == "execute"):
        return danger
    if shipped and (last in SHIPPED_FUNCTIONS or last in VOLATILE_HARMLESS):
        return HARMLESS
    return UNKNOWN
