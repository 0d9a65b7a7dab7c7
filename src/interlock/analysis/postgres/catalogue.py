"""What a database's users have made that runs code: read once, judged by name, and never believed to be complete.

    rows of SNAPSHOT_QUERIES -> Catalogue.from_rows -> judge (a call), relation_code (a table read or written)

A name isn't resolved as PostgreSQL would, which needs argument types and the search path: every object of that name
that could be chosen counts, and the gravest decides. What the snapshot doesn't have (it is older than the object, or
the session's own transaction made it) is ``unknown``.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, final

from interlock.analysis.postgres.catalogue_queries import (
    BEGIN_QUERY,
    CHANGE_QUERY,
    END_QUERY,
    SETUP_QUERY,
    SNAPSHOT_QUERIES,
)
from interlock.analysis.postgres.catalogue_rows import (
    FIRST_NORMAL_OID,
    FunctionRow,
    RelationRow,
    Row,
    Rows,
    decode_rows,
)
from interlock.analysis.postgres.functions import HARMLESS, UNKNOWN, Judgement, judge_shipped
from interlock.analysis.postgres.reviewed import (
    CALLS_CASTS_TO_JSON,
    CALLS_TYPE_INPUT,
    DANGEROUS_RELATIONS,
    DANGERS,
    EXTENSION_VOLATILE_HARMLESS,
)
from interlock.analysis.postgres.statement import Call, Name

__all__ = [
    "BEGIN_QUERY",
    "CHANGE_QUERY",
    "END_QUERY",
    "SETUP_QUERY",
    "SNAPSHOT_QUERIES",
    "Catalogue",
    "RelationFacts",
]

BodyAnalysis = tuple[tuple[Call, ...], tuple[Name, ...], tuple[str, ...]]
AnalyseBody = Callable[[str], BodyAnalysis | None]
"""The body of an SQL function -> calls, relations read and columns mentioned; None unless it does nothing but read."""

_MAX_NAMED: Final = 20
_MEMO_SIZE: Final = 10_000
_NOTHING: Final = "C0"
"""A node without edges: no code of users' making."""
_JSON: Final = frozenset({"json", "jsonb"})


@dataclass(frozen=True, slots=True)
class RelationFacts:
    """What the relations that a name could mean are."""

    known: bool
    view: bool
    materialized_view: bool
    foreign_table: bool
    partitioned: bool
    temporary: bool
    system: bool


@final
class Catalogue:
    """One consistent reading of a database's catalogue; never changes, so its answers are remembered."""

    __slots__ = (
        "_analyse_body",
        "_attribute_memo",
        "_casts_to",
        "_edges",
        "_events",
        "_functions",
        "_functions_named",
        "_json_casts",
        "_judged",
        "_operators",
        "_operators_named",
        "_relation_memo",
        "_relations",
        "_relations_named",
        "_safe",
        "_tainted",
        "_type_nodes",
        "_types_named",
        "version",
    )

    def __init__(self, rows: Rows, *, version: str, analyse_body: AnalyseBody | None = None) -> None:
        self.version: Final = version
        self._analyse_body = analyse_body
        self._functions = {row.oid: row for row in rows.functions}
        self._functions_named: dict[str, list[FunctionRow]] = {}
        for function in rows.functions:
            self._functions_named.setdefault(function.facts.name, []).append(function)
        self._operators = {row.oid: row for row in rows.operators}
        self._operators_named: dict[str, list[str]] = {}
        self._relations = {row.oid: row for row in rows.relations}
        self._relations_named: dict[str, list[RelationRow]] = {}
        self._types_named: dict[str, list[str]] = {}
        self._edges: dict[str, list[tuple[str, str]]] = {}
        self._casts_to: dict[str, list[str]] = {}
        self._safe: dict[int, bool] = {}
        self._judged: dict[tuple[Name, str, int], Judgement] = {}
        self._relation_memo: dict[tuple[Name, bool], tuple[str, ...]] = {}
        self._attribute_memo: frozenset[str] | None = None
        self._type_nodes: frozenset[str] | None = None
        for edge in rows.edges:
            self._edges.setdefault(edge.source, []).append((edge.phase, edge.target))
        for operator in rows.operators:
            self._operators_named.setdefault(operator.name, []).append(f"O{operator.oid}")
            self._edges.setdefault(f"O{operator.oid}", []).append(("r", _code(operator.code, operator.code_name)))
        for kind in rows.types:
            self._types_named.setdefault(kind.name, []).append(f"T{kind.oid}")
            if kind.relation:
                self._edges.setdefault(f"T{kind.oid}", []).append(("r", f"R{kind.relation}"))
        for relation in rows.relations:
            self._relations_named.setdefault(relation.name, []).append(relation)
            if relation.oid >= FIRST_NORMAL_OID and relation.row_type:
                self._types_named.setdefault(relation.name, []).append(f"T{relation.row_type}")
                self._edges.setdefault(f"T{relation.row_type}", []).append(("r", f"R{relation.oid}"))
        tainted: list[str] = []
        for cast in rows.casts:
            code = _code(cast.code, cast.code_name)
            self._casts_to.setdefault(cast.target_name, []).append(code)
            for end in (cast.source, cast.target):
                if end >= FIRST_NORMAL_OID:
                    self._edges.setdefault(f"T{end}", []).append(("r", code))
            if max(cast.source, cast.target) < FIRST_NORMAL_OID:
                tainted.append(code)
        self._events = rows.event_triggers
        self._tainted = self._code_of(tainted, for_write=False)
        """Code that a cast between two shipped types runs: any statement could use it without naming it."""
        self._json_casts = self._code_of(
            [code for name in sorted(_JSON) for code in self._casts_to.get(name, ())], for_write=False
        )

    @classmethod
    def from_rows(cls, rows: Mapping[str, Iterable[Row]], *, analyse_body: AnalyseBody | None = None) -> "Catalogue":
        """Make a catalogue of the answers to ``SNAPSHOT_QUERIES``, by the query's name.

        Trust: the rows are from the upstream, unverified.

        Raises:
            UpstreamProtocolError: an answer is missing, or a row hasn't the shape its query gives.
            LimitExceeded: too many rows, or too much text.
        """
        typed, text = decode_rows(rows)
        digest = hashlib.sha256()
        for name in sorted(text):
            for line in sorted(text[name]):
                digest.update(repr((name, line)).encode("utf-8", "surrogatepass"))
        return cls(typed, version=digest.hexdigest(), analyse_body=analyse_body)

    # --- calls ------------------------------------------------------------------------------------------------------

    def judge(
        self,
        name: Name,
        kind: str = "function",
        argument_count: int = -1,
        dirty: bool = False,  # noqa: FBT001, FBT002
    ) -> Judgement:
        """Say what a call by this name may run.

        Trust: ``name`` is the client's, folded as PostgreSQL folds it. ``kind`` is ``function``, ``operator``,
        ``cast`` (to the type of that name) or ``column`` (``x.f``, which means ``f(x)`` where no column is called so).
        ``argument_count`` is -1 where it isn't known. ``dirty`` = the session may have changed the catalogue since it
        was read: then nothing is harmless.
        """
        if dirty:
            shipped = judge_shipped(name, kind)
            return shipped if _settled_by_name(name, shipped) else UNKNOWN
        key = (name, kind, argument_count)
        judged = self._judged.get(key)
        if judged is None:
            judged = self._judge(name, kind, argument_count)
            if len(self._judged) >= _MEMO_SIZE:
                self._judged.clear()
            self._judged[key] = judged
        return judged

    @property
    def attribute_functions(self) -> frozenset[str]:
        """Names that may run a function not known to be harmless when written as a column: ``x.f`` for ``f(x)``."""
        if self._attribute_memo is None:
            names = {
                row.facts.name for row in self._functions.values() if row.reads_as_column and not self._is_safe(row)
            }
            types = {name for name in self._types_named if self._type_code(name)}
            self._attribute_memo = frozenset(names | types)
        return self._attribute_memo

    @property
    def user_operators(self) -> frozenset[str]:
        """Names of operators of users' making that aren't known to be harmless."""
        return frozenset(name for name, nodes in self._operators_named.items() if self._code_of(nodes, for_write=False))

    @property
    def user_casts(self) -> frozenset[str]:
        """Names of types to which a cast of a user's making leads that isn't known to be harmless."""
        return frozenset(name for name, codes in self._casts_to.items() if self._code_of(codes, for_write=False))

    @property
    def event_trigger_code(self) -> tuple[str, ...]:
        """What DDL of any kind runs besides: the functions of enabled event triggers."""
        return self._code_of([f"F{trigger.function}" for trigger in self._events], for_write=True)

    def _judge(self, name: Name, kind: str, argument_count: int) -> Judgement:
        shipped = judge_shipped(name, kind)
        if not name or _settled_by_name(name, shipped):
            return shipped
        if kind == "column":
            return UNKNOWN if name[-1] in self.attribute_functions else shipped
        if kind == "type":
            return self._judge_type(name[-1])
        if self._tainted:
            return UNKNOWN
        if kind == "operator":
            return self._judge_operator(name, shipped)
        if kind == "cast":
            return self._judge_cast(name, shipped)
        return self._judge_function(name, argument_count, shipped)

    def _judge_operator(self, name: Name, shipped: Judgement) -> Judgement:
        nodes = [
            node
            for node in self._operators_named.get(name[-1], ())
            if _in_schema(name, self._operators[int(node[1:])].schema)
        ]
        if self._code_of(nodes, for_write=False):
            return UNKNOWN
        return HARMLESS if nodes else shipped

    def _judge_cast(self, name: Name, shipped: Judgement) -> Judgement:
        last = name[-1]
        if self._type_code(last) or self._code_of(self._casts_to.get(last, ()), for_write=False):
            return UNKNOWN
        if last.startswith("_") and (self._type_code(last.lstrip("_")) or last.lstrip("_") in self.user_casts):
            return UNKNOWN
        return HARMLESS if last in self._types_named else shipped

    def _judge_function(self, name: Name, argument_count: int, shipped: Judgement) -> Judgement:
        last = name[-1]
        possible = [
            row
            for row in self._functions_named.get(last, ())
            if _in_schema(name, row.facts.schema) and _takes(row, argument_count)
        ]
        grave = tuple(
            row.facts for row in possible if not (self._is_safe(row) or (shipped.danger and _of_trusted_extension(row)))
        )
        if grave:
            return Judgement("unknown", candidates=grave)
        if self._type_code(last) or (last in self._casts_to and self._code_of(self._casts_to[last], for_write=False)):
            return UNKNOWN
        if last in CALLS_CASTS_TO_JSON and self._json_casts:
            return UNKNOWN
        if last in CALLS_TYPE_INPUT and any(self._type_code(other) for other in self._types_named):
            return UNKNOWN
        return HARMLESS if possible and not shipped.danger else shipped

    def _judge_type(self, oid: str) -> Judgement:
        """Judge what values of a type by its oid run: its input, checks and casts. An array's isn't in the snapshot."""
        node = f"T{oid}"
        if self._type_nodes is None:
            self._type_nodes = frozenset(one for nodes in self._types_named.values() for one in nodes)
        if node not in self._type_nodes or self._code_of([node], for_write=False):
            return UNKNOWN
        return HARMLESS

    def _type_code(self, name: str) -> tuple[str, ...]:
        return self._code_of(self._types_named.get(name, ()), for_write=False)

    def _is_safe(self, row: FunctionRow) -> bool:
        """Whether the function is known to read only; one that is being asked about already (recursion) isn't."""
        known = self._safe.get(row.oid)
        if known is None:
            self._safe[row.oid] = False
            known = self._safe[row.oid] = self._reads_only(row)
        return known

    def _reads_only(self, row: FunctionRow) -> bool:
        facts = row.facts
        if facts.security_definer or row.has_settings or facts.name in DANGERS:
            return False
        if facts.kind == "aggregate":
            return not self._code_of([f"F{row.oid}"], for_write=False, open_aggregates=True)
        if facts.kind not in {"function", "window"}:
            return False
        if facts.language in {"c", "internal"}:
            if not facts.owner_is_superuser:
                return False
            if facts.volatility == "immutable":
                return True
            return row.of_extension and (facts.volatility == "stable" or facts.name in EXTENSION_VOLATILE_HARMLESS)
        return facts.language == "sql" and facts.volatility != "volatile" and self._body_reads_only(row)

    def _body_reads_only(self, row: FunctionRow) -> bool:
        if self._analyse_body is None or not row.source:
            return False
        analysis = self._analyse_body(row.source)
        if analysis is None:
            return False
        calls, relations, columns = analysis
        return (
            all(self.judge(call.name, call.kind, call.argument_count).harmless for call in calls)
            and not any(self.relation_code(relation, for_write=False) for relation in relations)
            and self.attribute_functions_of(columns) == ()
        )

    def attribute_functions_of(self, columns: Iterable[str]) -> tuple[str, ...]:
        """Those of the mentioned columns that may be calls of functions not known to be harmless."""
        return tuple(
            column
            for column in columns
            if any(row.reads_as_column and not self._is_safe(row) for row in self._functions_named.get(column, ()))
            or self._type_code(column)
        )

    # --- relations --------------------------------------------------------------------------------------------------

    def relation_code(self, relation: Name, for_write: bool, dirty: bool = False) -> tuple[str, ...]:  # noqa: FBT001, FBT002
        """Name what reading or writing this relation runs that isn't known to read only; empty = nothing.

        Views, rules, policies, defaults, constraints, domains, generated columns, index and statistics expressions,
        partition keys, triggers, casts and operator classes of the columns' types, cascading foreign keys, partitions
        and children are followed. A relation that the snapshot doesn't have, a foreign table, and a write to the
        system's own tables are code too. REFRESH and ANALYZE are writes.
        """
        if dirty:
            return (f"relation {'.'.join(relation)}",)
        key = (relation, for_write)
        code = self._relation_memo.get(key)
        if code is None:
            code = self._relation_code(relation, for_write=for_write)
            if len(self._relation_memo) >= _MEMO_SIZE:
                self._relation_memo.clear()
            self._relation_memo[key] = code
        return code

    def relation_facts(self, relation: Name) -> RelationFacts:
        """Say what this relation is; where several could be meant, what any of them is."""
        rows = self._relations_called(relation)
        kinds = {row.kind for row in rows}
        return RelationFacts(
            known=bool(rows),
            view="v" in kinds,
            materialized_view="m" in kinds,
            foreign_table="f" in kinds,
            partitioned="p" in kinds,
            temporary=any(row.persistence == "t" for row in rows),
            system=any(row.oid < FIRST_NORMAL_OID for row in rows),
        )

    def _relations_called(self, relation: Name) -> list[RelationRow]:
        if not relation:
            return []
        return [row for row in self._relations_named.get(relation[-1], ()) if _in_schema(relation, row.schema)]

    def _relation_code(self, relation: Name, *, for_write: bool) -> tuple[str, ...]:
        rows = self._relations_called(relation)
        if not rows:
            return (f"relation {'.'.join(relation)}",)
        found = set(self._tainted)
        for row in rows:
            if row.oid < FIRST_NORMAL_OID:
                if for_write:
                    found.add(f"relation {row.schema}.{row.name}")
                elif row.schema == "pg_catalog" and row.name in DANGEROUS_RELATIONS:
                    found.add(f"pg_catalog.{DANGEROUS_RELATIONS[row.name]}")
        found.update(self._code_of([f"R{row.oid}" for row in rows], for_write=for_write))
        return tuple(sorted(found))[:_MAX_NAMED]

    def _code_of(self, nodes: Iterable[str], *, for_write: bool, open_aggregates: bool = False) -> tuple[str, ...]:
        """Walk from these nodes along what they run, and name what isn't known to read only."""
        found: set[str] = set()
        waiting = [(node, for_write) for node in nodes]
        seen = set(waiting)
        while waiting:
            node, writing = waiting.pop()
            sort, rest = node[0], node[1:]
            if sort == "S":
                if not (writing and DANGERS.get(rest) == "sequence"):
                    found.add(f"pg_catalog.{rest}")
                continue
            if sort == "N":
                found.add(rest)
                continue
            if sort == "F":
                row = self._functions.get(int(rest))
                if row is None:
                    found.add(f"function {rest}")
                    continue
                if not (open_aggregates and row.facts.kind == "aggregate"):
                    if not self._is_safe(row):
                        found.add(f"{row.facts.schema}.{row.facts.name}")
                    continue
            elif sort == "O" and node not in self._edges:
                found.add(f"operator {rest}")
            elif sort == "R":
                relation = self._relations.get(int(rest))
                if relation is not None and relation.kind == "f":
                    found.add(f"foreign table {relation.schema}.{relation.name}")
            for phase, target in self._edges.get(node, ()):
                step = (target, writing)
                if (phase == "r" or writing) and step not in seen:
                    seen.add(step)
                    waiting.append(step)
        return tuple(sorted(found))


def _code(oid: int, name: str) -> str:
    """The node of a cast's or operator's function: the user's by oid, a shipped one by its name if it is dangerous."""
    if oid >= FIRST_NORMAL_OID:
        return f"F{oid}"
    return _NOTHING if judge_shipped((name,)).harmless else f"S{name}"


def _of_trusted_extension(row: FunctionRow) -> bool:
    """Whether this may be the very function that was read and listed by its name, as pg_trgm's ``set_limit``."""
    return row.of_extension and row.facts.owner_is_superuser and row.facts.language == "c"


def _settled_by_name(name: Name, shipped: Judgement) -> bool:
    """Whether a danger stands whatever users have made: nothing is graver, or nothing else can be meant.

    A user's ``setseed(text)`` is chosen for ``setseed('1')`` though ``pg_catalog`` comes first.
    """
    return bool(shipped.danger) and (shipped.effect == "execute" or "pg_catalog" in name[-2:-1])


def _in_schema(name: Name, schema: str) -> bool:
    """Whether an object in ``schema`` could be meant by ``name``; ``pg_temp`` means any session's."""
    if len(name) < 2:
        return True
    return name[-2] == schema or (name[-2] == "pg_temp" and schema.startswith("pg_temp"))


def _takes(row: FunctionRow, count: int) -> bool:
    """Whether a call with so many arguments could mean this function."""
    if count < 0 or row.facts.kind != "function" or row.arguments_max < 0:
        return True
    return row.arguments_min <= count <= row.arguments_max
