"""What the tree says, joined with what functions, catalogue, prepared statements and cursors say."""

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final, Protocol

from interlock.analysis.postgres.functions import Judgement, judge_shipped
from interlock.analysis.postgres.statement import Analysis, Call, Name, Settled, Statement
from interlock.core.action import Facts, FactValue

_MEMO_SIZE: Final = 16
_MAX_INDIRECTION: Final = 3
_FACT_ONLY: Final = frozenset(("named",))
_FIRST_NORMAL_OID: Final = 16384
"""Below are the types that came with the server."""


class Catalogue(Protocol):
    """What was read from the upstream's catalogue; declared here by its user, implemented in ``catalogue``."""

    def judge(self, name: Name, kind: str, argument_count: int, dirty: bool) -> Judgement:  # noqa: FBT001
        """Say what a call may do; ``dirty`` = the session may have changed the catalogue since it was read."""
        ...

    def relation_code(self, relation: Name, for_write: bool, dirty: bool) -> Iterable[str]:  # noqa: FBT001
        """Name what reading or writing a relation runs that isn't known to read only."""
        ...

    @property
    def event_trigger_code(self) -> tuple[str, ...]:
        """What DDL of any kind runs besides."""
        ...


def settle(
    analysis: Analysis,
    catalogue: Catalogue | None,
    *,
    dirty: bool,
    prepared: Mapping[str, Statement],
    cursors: Mapping[str, Statement],
    interned: MutableMapping[tuple[object, ...], Settled] | None = None,
) -> Settled:
    """Join an analysis with what the session and the upstream's catalogue know.

    The result is remembered on the analysis unless it depends on prepared statements or cursors; ``interned`` makes
    equal results one object over all analyses.
    """
    key = (id(catalogue), dirty)
    remembered = analysis.memo.get(key)
    if remembered is not None and remembered[0] is catalogue:
        return remembered[1]
    joined = _Join(catalogue, dirty=dirty, prepared=prepared, cursors=cursors)
    for statement in analysis.statements:
        joined.add(statement)
    settled = joined.result(analysis)
    if interned is not None:
        identity = (settled.kind, settled.leaves, *settled.facts.values())
        settled = interned.setdefault(identity, settled)
    if not joined.depends_on_session:
        if len(analysis.memo) >= _MEMO_SIZE:
            analysis.memo.clear()
        analysis.memo[key] = (catalogue, settled)
    return settled


def with_parameter_types(analysis: Analysis, oids: Iterable[int]) -> Analysis:
    """The analysis of a text whose parameters have these types: a user's type runs code though no text names it.

    Trust: ``oids`` are the client's, from Parse.
    """
    calls = tuple(Call((str(oid),), 1, "type") for oid in sorted(set(oids)) if oid >= _FIRST_NORMAL_OID)
    if not calls:
        return analysis
    statements = tuple(replace(one, calls=one.calls + calls) for one in analysis.statements)
    return Analysis(statements, analysis.large)


class _Join:
    def __init__(
        self,
        catalogue: Catalogue | None,
        *,
        dirty: bool,
        prepared: Mapping[str, Statement],
        cursors: Mapping[str, Statement],
    ) -> None:
        self.catalogue = catalogue
        self.dirty = dirty
        self.prepared = prepared
        self.cursors = cursors
        self.depends_on_session = False
        self.own_prepared: dict[str, Statement | None] = {}
        self.own_cursors: dict[str, Statement | None] = {}
        self.forgot_all = False
        self.closed_all = False
        self.leaves: set[str] = set()
        self.all: list[Statement] = []
        self.functions: set[str] = set()
        self.unresolved: set[str] = set()
        self.lifts_read_only = False

    def add(self, statement: Statement) -> None:
        """Add the next statement of the batch, and what it stands for."""
        self._add_one(statement, statement.kind, 0)
        if statement.prepares is not None:
            self.own_prepared[statement.prepares[0]] = statement.prepares[1]
        if statement.declares is not None:
            self.own_cursors[statement.declares[0]] = statement.declares[1]
        if statement.deallocates is not None:
            if statement.deallocates:
                self.own_prepared[statement.deallocates] = None
            else:
                self.forgot_all = True
                self.own_prepared.clear()
        if statement.closes is not None:
            if statement.closes:
                self.own_cursors[statement.closes] = None
            else:
                self.closed_all = True
                self.own_cursors.clear()
        if statement.changes_catalogue:
            self.dirty = True

    def _add_one(self, statement: Statement, kind: str, depth: int) -> None:
        self.all.append(statement)
        self.leaves.update(statement.leaves)
        self.lifts_read_only = self.lifts_read_only or statement.lifts_read_only
        for call in statement.calls:
            self._judge(call, kind)
        if self.catalogue is not None:
            if statement.changes_catalogue:
                self._runs(self.catalogue.event_trigger_code, kind)
            for relation in statement.read_relations:
                self._runs(self.catalogue.relation_code(relation, False, self.dirty), kind)
            for relation in statement.written_relations:
                self._runs(self.catalogue.relation_code(relation, True, self.dirty), kind)
        if statement.executes is not None:
            self.depends_on_session = True
            inner = None if depth >= _MAX_INDIRECTION else self._prepared(statement.executes)
            if inner is None:
                self.leaves.add("unknown/postgres.execute")
                self.lifts_read_only = True
            else:
                self._add_one(inner, kind, depth + 1)
        if statement.fetches is not None:
            self.depends_on_session = True
            inner = None if depth >= _MAX_INDIRECTION else self._cursor(statement.fetches)
            if inner is None:
                self.leaves.add(f"execute/postgres.{kind}")
            else:
                self._add_one(inner, kind, depth + 1)

    def _prepared(self, name: str) -> Statement | None:
        if name in self.own_prepared:
            return self.own_prepared[name]
        return None if self.forgot_all else self.prepared.get(name)

    def _cursor(self, name: str) -> Statement | None:
        if name in self.own_cursors:
            return self.own_cursors[name]
        return None if self.closed_all else self.cursors.get(name)

    def _judge(self, call: Call, kind: str) -> None:
        text = ".".join(call.name)
        if call.kind in ("function", "setting", "named"):
            self.functions.add(text)
        if call.kind in _FACT_ONLY:
            return
        if self.catalogue is not None:
            judgement = self.catalogue.judge(call.name, call.kind, call.argument_count, self.dirty)
        elif call.kind == "column":
            return
        else:
            judgement = judge_shipped(call.name, call.kind)
        if judgement.harmless or (call.kind == "setting" and judgement.dangerous == "settings"):
            return
        effect = judgement.effect
        self.leaves.add(f"{effect}/postgres.{kind}")
        if effect == "execute":
            self.unresolved.add(text if call.kind in ("function", "setting") else f"{call.kind} {text}")
            self.lifts_read_only = True

    def _runs(self, functions: Iterable[str], kind: str) -> None:
        for name in functions:
            self.unresolved.add(name)
            self.leaves.add(f"execute/postgres.{kind}")
            self.lifts_read_only = True

    def result(self, analysis: Analysis) -> Settled:
        """Freeze leaves and facts, in the schema's order; each fact is always there."""
        statements = self.all
        kinds = {statement.kind for statement in statements}
        facts: dict[str, FactValue] = {
            "statement_count": len(analysis.statements),
            "kinds": tuple(sorted(kinds)),
            "reads": _dotted(statement.read_relations for statement in statements),
            "writes": _dotted(statement.written_relations for statement in statements),
            "creates": _union(statement.creates for statement in statements),
            "alters": _union(statement.alters for statement in statements),
            "drops": _union(statement.drops for statement in statements),
            "columns": _union(statement.columns for statement in statements),
            "functions": tuple(sorted(self.functions)),
            "unresolved_functions": tuple(sorted(self.unresolved)),
            "roles": _union(statement.roles for statement in statements),
            "settings": _union(
                [*(name for name, _, _ in statement.sets), *statement.keeps] for statement in statements
            ),
            "files": _union(statement.files for statement in statements),
            "programs": _union(statement.programs for statement in statements),
            "languages": _union(statement.languages for statement in statements),
            "bounded": all(statement.bounded for statement in statements),
            "dynamic": any(statement.dynamic for statement in statements),
            "lifts_read_only": self.lifts_read_only,
            "body_effects": _union(statement.body_effects for statement in statements),
            "body_writes": _union(statement.body_writes for statement in statements),
            "parameters": max((statement.parameters for statement in statements), default=0),
            "large": analysis.large,
        }
        count = len(analysis.statements)
        kind = "empty" if not count else analysis.statements[0].kind if count == 1 else "batch"
        leaves = tuple(sorted(self.leaves)) or ("session/postgres.empty",)
        frozen: Facts = MappingProxyType(facts)
        return Settled(kind=f"postgres.{kind}", leaves=leaves, facts=frozen)


def _dotted(groups: Iterable[Iterable[Name]]) -> tuple[str, ...]:
    return tuple(sorted({".".join(name) for group in groups for name in group}))


def _union(groups: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(sorted({item for group in groups for item in group}))
