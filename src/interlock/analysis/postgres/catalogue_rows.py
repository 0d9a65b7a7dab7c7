"""The upstream's answers to the snapshot queries -> typed rows, or an error: nothing of them is believed unseen."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from interlock.analysis.postgres.functions import FunctionFacts
from interlock.core.errors import LimitExceeded, UpstreamProtocolError

Row = Sequence[str | None]
MAX_ROWS: Final = 1_000_000
MAX_TEXT: Final = 256 * 1024 * 1024
MAX_FIELD: Final = 64 * 1024

_COLUMNS: Final = {
    "functions": 15,
    "operators": 5,
    "casts": 6,
    "types": 4,
    "relations": 6,
    "edges": 3,
    "shipped": 3,
    "event_triggers": 3,
}
_KINDS: Final = {"f": "function", "a": "aggregate", "w": "window", "p": "procedure"}
_VOLATILITIES: Final = {"i": "immutable", "s": "stable", "v": "volatile"}
_BOOLEANS: Final = {"true": True, "false": False}
FIRST_NORMAL_OID: Final = 16384


@dataclass(frozen=True, slots=True)
class FunctionRow:
    """One function of a user's making."""

    oid: int
    facts: FunctionFacts
    has_settings: bool
    """It has SET clauses, or says so."""
    arguments_min: int
    arguments_max: int
    """-1 where variadic."""
    of_extension: bool
    reads_as_column: bool
    """``x.f`` can mean ``f(x)``: one argument is enough, and it takes a row or anything."""
    source: str
    """The body, where it might be analysed; else empty."""


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """One operator of a user's making; ``code_name`` is its function's name."""

    oid: int
    schema: str
    name: str
    code: int
    code_name: str


@dataclass(frozen=True, slots=True)
class CastRow:
    """One cast by function, of a user's making."""

    source: int
    source_name: str
    target: int
    target_name: str
    code: int
    code_name: str


@dataclass(frozen=True, slots=True)
class TypeRow:
    """One type of a user's making that isn't an array or a table's row; ``relation`` is a composite's class, or 0."""

    oid: int
    schema: str
    name: str
    relation: int


@dataclass(frozen=True, slots=True)
class RelationRow:
    """One table, view, materialised view, foreign table, partitioned table or sequence, the system's included."""

    oid: int
    schema: str
    name: str
    kind: str
    persistence: str
    row_type: int


@dataclass(frozen=True, slots=True)
class Edge:
    """Reading (``r``) or only writing (``w``) ``source`` runs or reaches ``target``.

    Layout of both: a letter and an oid, or for ``N`` and ``S`` a text. R relation, T type, F function, O operator,
    C operator class, S dangerous shipped function, N another thing that runs code, by its description.
    """

    source: str
    phase: str
    target: str


@dataclass(frozen=True, slots=True)
class EventTriggerRow:
    """One enabled event trigger: DDL of any kind runs its function."""

    name: str
    event: str
    function: int


@dataclass(frozen=True, slots=True)
class Rows:
    """All that the snapshot queries said."""

    functions: tuple[FunctionRow, ...]
    operators: tuple[OperatorRow, ...]
    casts: tuple[CastRow, ...]
    types: tuple[TypeRow, ...]
    relations: tuple[RelationRow, ...]
    edges: tuple[Edge, ...]
    event_triggers: tuple[EventTriggerRow, ...]


def decode_rows(rows: Mapping[str, Iterable[Row]]) -> tuple[Rows, Mapping[str, list[tuple[str, ...]]]]:
    """Check and type the rows; also give them back as checked text, by the query's name.

    Trust: the rows are from the upstream, unverified. Every query must have its answer.

    Raises:
        UpstreamProtocolError: an answer is missing or too many, or a row hasn't the shape its query gives.
        LimitExceeded: too many rows, or too much text.
    """
    if set(rows) != set(_COLUMNS):
        _refuse("answers")
    text: dict[str, list[tuple[str, ...]]] = {}
    rows_left, text_left = MAX_ROWS, MAX_TEXT
    for name, columns in _COLUMNS.items():
        checked: list[tuple[str, ...]] = []
        for row in rows[name]:
            line = _text_row(row, columns, name)
            rows_left -= 1
            text_left -= sum(map(len, line))
            if rows_left < 0:
                raise LimitExceeded(name="catalogue_rows", limit=MAX_ROWS, got=MAX_ROWS + 1)
            if text_left < 0:
                raise LimitExceeded(name="catalogue_text", limit=MAX_TEXT, got=MAX_TEXT - text_left)
            checked.append(line)
        text[name] = checked
    typed = Rows(
        functions=tuple(_function(line) for line in text["functions"]),
        operators=tuple(OperatorRow(_oid(a), b, c, _oid(d), e) for a, b, c, d, e in text["operators"]),
        casts=tuple(CastRow(_oid(a), b, _oid(c), d, _oid(e), f) for a, b, c, d, e, f in text["casts"]),
        types=tuple(TypeRow(_oid(a), b, c, _oid(d)) for a, b, c, d in text["types"]),
        relations=tuple(RelationRow(_oid(a), b, c, d, e, _oid(f)) for a, b, c, d, e, f in text["relations"]),
        edges=tuple(_edge(line) for name in ("edges", "shipped") for line in text[name]),
        event_triggers=tuple(EventTriggerRow(a, b, _oid(c)) for a, b, c in text["event_triggers"]),
    )
    return typed, text


def _text_row(row: Row, columns: int, name: str) -> tuple[str, ...]:
    if len(row) != columns:
        _refuse(name)
    line: list[str] = []
    for field in row:
        if field is None:
            _refuse(name)
        if len(field) > MAX_FIELD:
            raise LimitExceeded(name="catalogue_field", limit=MAX_FIELD, got=len(field))
        line.append(field)
    return tuple(line)


def _function(line: tuple[str, ...]) -> FunctionRow:
    (oid, schema, name, kind, volatility, language, definer, owner, superuser, settings, low, high, extension, column,
     source) = line  # fmt: skip
    try:
        facts = FunctionFacts(
            schema=schema,
            name=name,
            kind=_KINDS[kind],
            volatility=_VOLATILITIES[volatility],
            language=language,
            security_definer=_BOOLEANS[definer],
            owner=owner,
            owner_is_superuser=_BOOLEANS[superuser],
        )
        return FunctionRow(
            oid=_oid(oid),
            facts=facts,
            has_settings=_BOOLEANS[settings],
            arguments_min=_number(low),
            arguments_max=-1 if high == "-1" else _number(high),
            of_extension=_BOOLEANS[extension],
            reads_as_column=_BOOLEANS[column],
            source=source,
        )
    except KeyError:
        _refuse("functions")


def _edge(line: tuple[str, ...]) -> Edge:
    source, phase, target = line
    if phase not in {"r", "w"} or source[:1] not in set("RTFC") or target[:1] not in set("RTFOCSN"):
        _refuse("edges")
    _oid(source[1:])
    if target[0] not in "SN":
        _oid(target[1:])
    elif len(target) == 1:
        _refuse("edges")
    return Edge(source, phase, target)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        _refuse("numbers")
    return int(text)


def _oid(text: str) -> int:
    number = _number(text)
    if number > 0xFFFF_FFFF:
        _refuse("oids")
    return number


def _refuse(what: str) -> NoReturn:
    msg = f"the catalogue's {what} have another shape than asked for"
    raise UpstreamProtocolError(msg)
