"""What the text of a statement says, before functions and catalogue are asked: the values that the walk returns."""

from dataclasses import dataclass, field

from interlock.core.action import Facts

Name = tuple[str, ...]
"""A possibly qualified name, folded as PostgreSQL folds it: ``("public", "orders")`` or ``("orders",)``."""


@dataclass(frozen=True, slots=True)
class Call:
    """One thing in a statement that runs code: a function, an operator or a cast to a type by name."""

    name: Name
    argument_count: int
    """-1 where it isn't known (CALL of a procedure by name, a trigger's function, an aggregate with ``*`` is 0)."""
    kind: str
    """What is called, and how it is judged:

    ``function``, ``operator``, ``cast``   by its name; a cast's name is the type's
    ``column``                             ``a.b``, which is ``b(a)`` where no column has that name: runs code only if
                                           a user's function of one argument has it
    ``setting``                            a set_config() with constants: the SET that it equals is in ``sets``
    ``type``                               conversion to the type with this oid, of a parameter of Parse
    ``named``                              named in code that isn't run now (a trigger's function, a body): a fact only
    """


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """One statement, read to its leaves. Identity is equality: an object is one analysis."""

    kind: str
    """``select``, ``delete``, ``set``, ``begin`` ...: the top statement's kind."""
    leaves: tuple[str, ...]
    """``<effect>/postgres.<kind>``, sorted, from the tree alone: those of CTEs, EXPLAIN ANALYZE, PREPARE are here."""
    text: str = ""
    """Its slice of the source. From a template it's the text first seen, which differs in constants only."""
    calls: tuple[Call, ...] = ()
    """To be judged by the shipped lists and the catalogue when it is settled."""
    read_relations: tuple[Name, ...] = ()
    written_relations: tuple[Name, ...] = ()
    creates: tuple[str, ...] = ()
    alters: tuple[str, ...] = ()
    drops: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    body_effects: tuple[str, ...] = ()
    body_writes: tuple[str, ...] = ()
    bounded: bool = True
    dynamic: bool = False
    lifts_read_only: bool = False
    """It may end the session's or transaction's read-only mode, for itself or for what follows."""
    parameters: int = 0
    """The highest ``$n``."""
    prepares: "tuple[str, Statement] | None" = None
    """PREPARE name AS inner; the inner statement's leaves are also in ``leaves``."""
    executes: str | None = None
    """EXECUTE name: settled with what that name stands for."""
    deallocates: str | None = None
    """DEALLOCATE name, or ``""`` for ALL (also DISCARD ALL)."""
    declares: "tuple[str, Statement] | None" = None
    """DECLARE name CURSOR FOR inner; the inner statement's leaves are also in ``leaves``."""
    closes: str | None = None
    """CLOSE name, or ``""`` for ALL (also DISCARD ALL)."""
    fetches: str | None = None
    """FETCH or MOVE: settled with what the cursor's name stands for."""
    sets: tuple[tuple[str, str | None, bool], ...] = ()
    """(name, value, is_local): the value is None for RESET, DEFAULT, FROM CURRENT or one not known; the name is ``*``
    for RESET ALL and DISCARD ALL, or for a set_config() whose name isn't constant."""
    keeps: tuple[str, ...] = ()
    """Settings that ALTER ROLE, ALTER DATABASE or ALTER SYSTEM change for later sessions."""
    copy: str = ""
    """``in`` (COPY FROM STDIN), ``out`` (COPY TO STDOUT), else empty."""
    transaction: str = ""
    """``begin``, ``commit``, ``rollback``, ``savepoint``, ``release``, ``rollback_to``, ``prepare``,
    ``commit_prepared``, ``rollback_prepared``, else empty."""
    chains: bool = False
    """COMMIT or ROLLBACK AND CHAIN: a new transaction begins at once."""
    changes_catalogue: bool = False
    """DDL, or code that might be: what the side connection sees of the catalogue may be out of date."""


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """All statements of one text, in order; none for an empty text."""

    statements: tuple[Statement, ...]
    large: bool = False
    """The text is over 16 KiB."""
    memo: dict[tuple[int, bool], "tuple[object, Settled]"] = field(default_factory=dict, repr=False)
    """Settled results by (catalogue, dirty); never touched outside ``settle``."""


@dataclass(frozen=True, slots=True)
class SyntaxRejected:
    """The grammar says no; reported to the client as PostgreSQL itself would."""

    message: str
    sqlstate: str = "42601"
    position: int = 0
    """1-based, in characters, as PostgreSQL reports it; 0 where there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """What policy is asked about. The same object comes back for the same question."""

    kind: str
    """``postgres.<kind>``; ``postgres.batch`` for several statements, ``postgres.empty`` for none."""
    leaves: tuple[str, ...]
    """Sorted."""
    facts: Facts
