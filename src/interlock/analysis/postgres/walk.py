# ruff: noqa: ARG001, D103, PLR1730 - handlers share one signature, and a node kind's name says what they read
"""The walk over one statement's tree: queries and expressions here, all other statements in ``utility``.

It is a loop over a stack, never a recursion over the tree, so depth is bounded by the decoder alone. Each item on the
stack carries the names of the CTEs that it can see: only there is a bare name not a relation.
"""

from collections.abc import Callable
from typing import Any, Final

from interlock.analysis.postgres.bounded import Target, narrows
from interlock.analysis.postgres.nodes import PLAIN, TYPED_FIELDS, TYPED_FIELDS_OF
from interlock.analysis.postgres.parser import Grammar
from interlock.analysis.postgres.settings import HARMLESS_AT_ANY_VALUE, Assignment, assigned, constant
from interlock.analysis.postgres.statement import Call, Name, Statement

Node = dict[str, Any]
Scope = frozenset[str]
NO_CTES: Final[Scope] = frozenset()

_SAFE_OPERATORS: Final = frozenset(("=", "<>", "!=", "<", ">", "<=", ">="))
_SAFE_ARITHMETIC: Final = frozenset(("+", "-"))


class Walk:
    """What one statement's tree says, gathered while it is walked."""

    def __init__(self, grammar: Grammar, *, body_depth: int = 0) -> None:
        self.grammar: Final = grammar
        self.body_depth: Final = body_depth
        self.stack: Final[list[tuple[str, Node, Scope]]] = []
        self.kind = ""
        self.leaves: Final[set[str]] = set()
        self.calls: Final[set[tuple[Name, int, str]]] = set()
        self.reads: Final[set[Name]] = set()
        self.reads_rows = False
        """Rows of a relation are read, not only its definition."""
        self.writes: Final[set[Name]] = set()
        self.creates: Final[set[str]] = set()
        self.alters: Final[set[str]] = set()
        self.drops: Final[set[str]] = set()
        self.columns: Final[set[str]] = set()
        self.roles: Final[set[str]] = set()
        self.files: Final[set[str]] = set()
        self.programs: Final[set[str]] = set()
        self.languages: Final[set[str]] = set()
        self.body_effects: Final[set[str]] = set()
        self.body_writes: Final[set[str]] = set()
        self.bounded = True
        self.dynamic = False
        self.lifts_read_only = False
        self.parameters = 0
        self.prepares: tuple[str, Statement] | None = None
        self.executes: str | None = None
        self.deallocates: str | None = None
        self.declares: tuple[str, Statement] | None = None
        self.closes: str | None = None
        self.fetches: str | None = None
        self.sets: Final[list[Assignment]] = []
        self.copy = ""
        self.transaction = ""
        self.chains = False
        self.kept: Final[set[str]] = set()
        """Settings that ALTER ROLE, DATABASE or SYSTEM keep for later sessions."""
        self.changes_catalogue = False
        self.safe: Final[set[int]] = set()
        """Locations of constants on which no fact depends."""

    # --- the loop ---------------------------------------------------------------------------------------------------

    def run(self, wrapped: Node) -> None:
        """Walk a node ``{Kind: {...}}`` to its leaves."""
        stack = self.stack
        for kind, node in wrapped.items():
            stack.append((kind, node, NO_CTES))
        handlers = HANDLERS
        while stack:
            kind, node, scope = stack.pop()
            handler = handlers.get(kind)
            if handler is not None:
                handler(self, node, scope)
            elif kind in PLAIN:
                self.push_children(kind, node, scope)
            else:
                self.give_up()

    def push(self, wrapped: Node | None, scope: Scope) -> None:
        """Have a node ``{Kind: {...}}`` walked, if there is one."""
        if wrapped:
            for kind, node in wrapped.items():
                self.stack.append((kind, node, scope))

    def push_list(self, items: list[Node] | None, scope: Scope) -> None:
        """Have each node of a list walked."""
        if items:
            stack = self.stack
            for item in items:
                for kind, node in item.items():
                    stack.append((kind, node, scope))

    def push_children(self, parent: str, node: Node, scope: Scope, *, skip: tuple[str, ...] = ()) -> None:
        """Have all children of a node walked, but for the fields in ``skip``."""
        stack = self.stack
        for field, value in node.items():
            if type(value) is dict:
                if field in skip or not value:
                    continue
                kind = next(iter(value))
                if "A" <= kind[0] <= "Z":
                    stack.append((kind, value[kind], scope))
                    continue
                typed = TYPED_FIELDS_OF.get((parent, field)) or TYPED_FIELDS.get(field)
                if typed is None:
                    self.give_up()
                else:
                    stack.append((typed, value, scope))
            elif type(value) is list and field not in skip:
                for item in value:
                    for kind in item:
                        stack.append((kind, item[kind], scope))

    # --- what handlers add ------------------------------------------------------------------------------------------

    def give_up(self) -> None:
        """Something isn't understood: the statement is unknown, whatever else it is."""
        self.leaves.add("unknown/postgres.unparsed")

    def does(self, effect: str, word: str) -> None:
        """Add a leaf; the first one named is the statement's kind."""
        if not self.kind:
            self.kind = word
        self.leaves.add(f"{effect}/postgres.{word}")

    def reads_relation(self, relation: Node | None) -> None:
        """Add a relation that is referred to (a ``RangeVar``'s fields)."""
        if relation:
            self.reads.add(relation_name(relation))

    def writes_relation(self, relation: Node | None) -> None:
        """Add a relation whose rows are changed."""
        if relation:
            self.writes.add(relation_name(relation))

    def cast(self, type_name: Node | None) -> None:
        """Add a conversion to a type by its name."""
        if type_name:
            name = strings(type_name.get("names"))
            if name:
                self.calls.add((name, 1, "cast"))

    def safe_constant(self, wrapped: Node | None) -> None:
        """Note a constant on which no fact depends."""
        if wrapped:
            constant_node = wrapped.get("A_Const")
            if constant_node is not None:
                self.safe.add(constant_node.get("location", 0))

    def assign(self, assignment: Assignment) -> None:
        """Add a SET, RESET or set_config() of one setting."""
        self.sets.append(assignment)
        effect, word, lifts, role = assigned(assignment)
        self.does(effect, word)
        if lifts:
            self.lifts_read_only = True
        if role:
            self.roles.add(role)

    def statement(self, text: str) -> Statement:
        """Freeze what was gathered."""
        leaves = self.leaves
        if self.reads_rows:
            leaves.add("read/postgres.select")
        if self.kind.startswith(("create_", "alter_")) and self.kind not in _RUNS_ITS_QUERY:
            self.kept.update(name for name, _, _ in self.sets)
            self.sets.clear()
        if not leaves:
            self.give_up()
        return Statement(
            kind=self.kind or "unparsed",
            leaves=tuple(sorted(leaves)),
            text=text,
            calls=tuple(Call(*call) for call in sorted(self.calls)),
            read_relations=tuple(sorted(self.reads)),
            written_relations=tuple(sorted(self.writes)),
            creates=tuple(sorted(self.creates)),
            alters=tuple(sorted(self.alters)),
            drops=tuple(sorted(self.drops)),
            columns=tuple(sorted(self.columns)),
            roles=tuple(sorted(self.roles)),
            files=tuple(sorted(self.files)),
            programs=tuple(sorted(self.programs)),
            languages=tuple(sorted(self.languages)),
            body_effects=tuple(sorted(self.body_effects)),
            body_writes=tuple(sorted(self.body_writes)),
            bounded=self.bounded,
            dynamic=self.dynamic,
            lifts_read_only=self.lifts_read_only,
            parameters=self.parameters,
            prepares=self.prepares,
            executes=self.executes,
            deallocates=self.deallocates,
            declares=self.declares,
            closes=self.closes,
            fetches=self.fetches,
            sets=tuple(self.sets),
            keeps=tuple(sorted(self.kept)),
            copy=self.copy,
            transaction=self.transaction,
            chains=self.chains,
            changes_catalogue=self.changes_catalogue,
        )


Handler = Callable[[Walk, Node, Scope], None]
_RUNS_ITS_QUERY: Final = frozenset(("create_table_as", "create_materialized_view"))
"""All other definitions only keep their expressions: a set_config() in a view sets nothing yet."""


# --- names ----------------------------------------------------------------------------------------------------------


def relation_name(relation: Node) -> Name:
    """The name of a ``RangeVar``, as written."""
    schema = relation.get("schemaname")
    if not schema:
        return (relation.get("relname", ""),)
    catalog = relation.get("catalogname")
    return (catalog, schema, relation["relname"]) if catalog else (schema, relation["relname"])


def strings(items: list[Node] | None) -> Name:
    """The strings of a list of ``String`` nodes."""
    return tuple(item["String"].get("sval", "") for item in items or () if "String" in item)


# --- queries --------------------------------------------------------------------------------------------------------


def common_tables(walk: Walk, node: Node, scope: Scope) -> Scope:
    """Have a statement's CTEs walked; returns the scope that the rest of the statement sees."""
    clause = node.get("withClause")
    if not clause:
        return scope
    tables = [item["CommonTableExpr"] for item in clause.get("ctes", ())]
    if clause.get("recursive"):
        scope |= {table["ctename"] for table in tables}
    for table in tables:
        walk.push_children("CommonTableExpr", table, scope)
        scope |= {table["ctename"]}
    return scope


def on_select(walk: Walk, node: Node, scope: Scope) -> None:
    if not walk.kind or "fromClause" in node:
        walk.does("read", "select")
    if "withClause" in node:
        scope = common_tables(walk, node, scope)
    if "intoClause" in node:
        into = node["intoClause"]
        walk.does("schema", "select_into")
        walk.changes_catalogue = True
        walk.creates.add("table:" + ".".join(relation_name(into.get("rel", {}))))
    for clause in node.get("lockingClause", ()):
        if "LockingClause" in clause:
            walk.does("write", "lock")
    for row in node.get("valuesLists", ()):
        for item in row.get("List", {}).get("items", ()):
            walk.safe_constant(item)
    for item in node.get("targetList", ()):
        walk.safe_constant(item.get("ResTarget", {}).get("val"))
    walk.safe_constant(node.get("limitCount"))
    walk.safe_constant(node.get("limitOffset"))
    walk.push_children("SelectStmt", node, scope, skip=("withClause", "intoClause", "lockingClause"))


def on_range_var(walk: Walk, node: Node, scope: Scope) -> None:
    name = relation_name(node)
    if len(name) == 1 and name[0] in scope:
        return
    walk.reads.add(name)
    walk.reads_rows = True


def on_insert(walk: Walk, node: Node, scope: Scope) -> None:
    walk.does("write", "insert")
    walk.writes_relation(node.get("relation"))
    returns(walk, node)
    scope = common_tables(walk, node, scope)
    walk.push_children("InsertStmt", node, scope, skip=("withClause", "relation"))


def on_update(walk: Walk, node: Node, scope: Scope) -> None:
    target = Target(node["relation"], node.get("fromClause", []))
    bounded = narrows(node.get("whereClause"), target)
    walk.does("write" if bounded else "destroy", "update")
    walk.bounded = walk.bounded and bounded
    walk.writes_relation(node["relation"])
    returns(walk, node)
    scope = common_tables(walk, node, scope)
    for item in node.get("targetList", ()):
        value = item.get("ResTarget", {}).get("val")
        walk.safe_constant(value)
        if value and "A_Expr" in value:
            _safe_operands(walk, value["A_Expr"], _SAFE_ARITHMETIC)
    walk.push_children("UpdateStmt", node, scope, skip=("withClause", "relation"))


def on_delete(walk: Walk, node: Node, scope: Scope) -> None:
    target = Target(node["relation"], node.get("usingClause", []))
    bounded = narrows(node.get("whereClause"), target)
    walk.does("write" if bounded else "destroy", "delete")
    walk.bounded = walk.bounded and bounded
    walk.writes_relation(node["relation"])
    returns(walk, node)
    scope = common_tables(walk, node, scope)
    walk.push_children("DeleteStmt", node, scope, skip=("withClause", "relation"))


def on_merge(walk: Walk, node: Node, scope: Scope) -> None:
    source = node.get("sourceRelation")
    target = Target(node["relation"], [source] if source else [])
    joined = narrows(node.get("joinCondition"), target)
    bounded = True
    for item in node.get("mergeWhenClauses", ()):
        clause = item["MergeWhenClause"]
        if clause.get("commandType") not in ("CMD_UPDATE", "CMD_DELETE"):
            continue
        matched = clause.get("matchKind") == "MERGE_WHEN_MATCHED" and joined
        if not matched and not narrows(clause.get("condition"), target):
            bounded = False
    walk.does("write" if bounded else "destroy", "merge")
    walk.bounded = walk.bounded and bounded
    walk.writes_relation(node["relation"])
    returns(walk, node)
    scope = common_tables(walk, node, scope)
    walk.push_children("MergeStmt", node, scope, skip=("withClause", "relation"))


def returns(walk: Walk, node: Node) -> None:
    """RETURNING hands out rows of the target: that is reading it."""
    if node.get("returningClause"):
        walk.reads_relation(node.get("relation"))
        walk.reads_rows = True


# --- expressions ----------------------------------------------------------------------------------------------------


def on_column(walk: Walk, node: Node, scope: Scope) -> None:
    fields = node.get("fields", ())
    if not fields:
        return
    last = fields[-1].get("String")
    if last is not None:
        name = last.get("sval", "")
        walk.columns.add(name)
        if len(fields) > 1:
            walk.calls.add(((name,), 1, "column"))
    else:
        walk.columns.add("*")


def on_indirection(walk: Walk, node: Node, scope: Scope) -> None:
    for item in node.get("indirection", ()):
        if "String" in item:
            name = item["String"].get("sval", "")
            walk.columns.add(name)
            walk.calls.add(((name,), 1, "column"))
    walk.push_children("A_Indirection", node, scope)


def on_res_target(walk: Walk, node: Node, scope: Scope) -> None:
    walk.push(node.get("val"), scope)
    walk.push_list(node.get("indirection"), scope)


def on_assigned_target(walk: Walk, items: list[Node] | None) -> None:
    """Note the columns that INSERT, UPDATE and MERGE name on the left."""
    for item in items or ():
        name = item.get("ResTarget", {}).get("name")
        if name:
            walk.columns.add(name)


def on_nothing(walk: Walk, node: Node, scope: Scope) -> None:
    """A leaf of the tree without effect or fact."""


def on_parameter(walk: Walk, node: Node, scope: Scope) -> None:
    number = node.get("number", 0)
    if number > walk.parameters:
        walk.parameters = number


_OPERATORS_OF: Final = {
    "AEXPR_IN": None,
    "AEXPR_BETWEEN": (">=", "<="),
    "AEXPR_NOT_BETWEEN": ("<", ">"),
    "AEXPR_BETWEEN_SYM": (">=", "<="),
    "AEXPR_NOT_BETWEEN_SYM": ("<", ">"),
}


def on_expression(walk: Walk, node: Node, scope: Scope) -> None:
    left, right = node.get("lexpr"), node.get("rexpr")
    kind = node["kind"]
    operators = _OPERATORS_OF.get(kind)
    count = 2 if left else 1
    if operators is None:
        name = node["name"]
        if len(name) == 1:
            walk.calls.add(((name[0]["String"].get("sval", ""),), count, "operator"))
        else:
            walk.calls.add((strings(name), count, "operator"))
    else:
        for operator in operators:
            walk.calls.add(((operator,), 2, "operator"))
    if left and right:
        _safe_operands(walk, node, _SAFE_OPERATORS)
        if "List" in right and "ColumnRef" in left and operators is None:
            for item in right["List"].get("items", ()):
                walk.safe_constant(item)
    stack = walk.stack
    if left:
        for child in left:
            stack.append((child, left[child], scope))
    if right:
        for child in right:
            stack.append((child, right[child], scope))


def _safe_operands(walk: Walk, node: Node, operators: frozenset[str]) -> None:
    """A constant compared with (or added to) a plain column changes no fact, whatever it is."""
    if node["kind"] != "AEXPR_OP" or len(node["name"]) != 1 or node["name"][0]["String"].get("sval") not in operators:
        return
    left, right = node.get("lexpr"), node.get("rexpr")
    if left and right:
        if "ColumnRef" in left:
            walk.safe_constant(right)
        elif "ColumnRef" in right:
            walk.safe_constant(left)


def on_function(walk: Walk, node: Node, scope: Scope) -> None:
    name = strings(node.get("funcname"))
    args = node.get("args", [])
    if name[-1] == "set_config" and (len(name) == 1 or name[0] == "pg_catalog"):
        values = [constant(arg) for arg in args]
        if len(args) == 3 and None not in values and not node.get("func_variadic"):
            walk.calls.add((name, 3, "setting"))
            setting, value, local = (str(value) for value in values)
            is_local = local.strip().lower() in ("t", "true", "on", "yes", "1")
            walk.assign((setting.lower(), value, is_local))
        elif _is_harmless_setting(values) and not node.get("func_variadic"):
            # asyncpg's `set_config('jit', $1, false)`: the value comes later, and doesn't matter
            walk.calls.add((name, 3, "setting"))
            walk.sets.append((str(values[0]).lower(), None, False))
            walk.does("session", "set")
        else:
            walk.calls.add((name, len(args), "setting"))
            walk.sets.append(("*", None, False))
            walk.lifts_read_only = True
            walk.does("execute", "set")
    else:
        walk.calls.add((name, -1 if node.get("func_variadic") else len(args), "function"))
    walk.push_children("FuncCall", node, scope, skip=("funcname",))


def _is_harmless_setting(values: list[str | None]) -> bool:
    """Tell whether ``set_config``'s arguments name a setting whose value doesn't matter; doubt is no."""
    if len(values) != 3 or values[0] is None or values[2] is None:
        return False
    return values[0].lower() in HARMLESS_AT_ANY_VALUE


def on_type_cast(walk: Walk, node: Node, scope: Scope) -> None:
    walk.cast(node.get("typeName"))
    walk.push(node.get("arg"), scope)


def on_typed(walk: Walk, node: Node, scope: Scope) -> None:
    """JSON_TABLE's and XMLTABLE's columns, RETURNING types, XMLSERIALIZE: their values are converted."""
    walk.cast(node.get("typeName"))
    walk.push_children("", node, scope, skip=("typeName",))


def on_sublink(walk: Walk, node: Node, scope: Scope) -> None:
    operator = strings(node.get("operName"))
    if operator:
        walk.calls.add((operator, 2, "operator"))
    elif node["subLinkType"] == "ANY_SUBLINK":
        walk.calls.add((("=",), 2, "operator"))
    walk.push_children("SubLink", node, scope, skip=("operName",))


def on_sort(walk: Walk, node: Node, scope: Scope) -> None:
    operator = strings(node.get("useOp"))
    if operator:
        walk.calls.add((operator, 2, "operator"))
    walk.push(node.get("node"), scope)


def on_join(walk: Walk, node: Node, scope: Scope) -> None:
    if node.get("usingClause") or node.get("isNatural"):
        walk.calls.add((("=",), 2, "operator"))
        walk.columns.update(strings(node.get("usingClause")))
    walk.push_children("JoinExpr", node, scope, skip=("usingClause",))


def on_sample(walk: Walk, node: Node, scope: Scope) -> None:
    walk.calls.add((strings(node.get("method")), 1, "function"))
    walk.push_children("RangeTableSample", node, scope, skip=("method",))


def on_insert_columns(walk: Walk, node: Node, scope: Scope) -> None:
    on_assigned_target(walk, node.get("cols"))
    on_insert(walk, node, scope)


def on_update_columns(walk: Walk, node: Node, scope: Scope) -> None:
    on_assigned_target(walk, node.get("targetList"))
    on_update(walk, node, scope)


def on_conflict(walk: Walk, node: Node, scope: Scope) -> None:
    on_assigned_target(walk, node.get("targetList"))
    walk.push_children("OnConflictClause", node, scope)


def on_merge_columns(walk: Walk, node: Node, scope: Scope) -> None:
    on_assigned_target(walk, node.get("targetList"))
    walk.push_children("MergeWhenClause", node, scope)


QUERY_HANDLERS: Final[dict[str, Handler]] = {
    "SelectStmt": on_select,
    "InsertStmt": on_insert_columns,
    "UpdateStmt": on_update_columns,
    "DeleteStmt": on_delete,
    "MergeStmt": on_merge,
    "MergeWhenClause": on_merge_columns,
    "OnConflictClause": on_conflict,
    "RangeVar": on_range_var,
    "ColumnRef": on_column,
    "A_Indirection": on_indirection,
    "ResTarget": on_res_target,
    "A_Const": on_nothing,
    "ParamRef": on_parameter,
    "A_Expr": on_expression,
    "FuncCall": on_function,
    "TypeCast": on_type_cast,
    "TypeName": on_nothing,
    "RoleSpec": on_nothing,
    "LockingClause": on_nothing,
    "IntoClause": on_nothing,
    "WithClause": on_nothing,
    "CommonTableExpr": on_nothing,
    "JsonTableColumn": on_typed,
    "JsonOutput": on_typed,
    "RangeTableFuncCol": on_typed,
    "XmlSerialize": on_typed,
    "SubLink": on_sublink,
    "SortBy": on_sort,
    "JoinExpr": on_join,
    "RangeTableSample": on_sample,
}

HANDLERS: Final[dict[str, Handler]] = dict(QUERY_HANDLERS)
"""All handlers; ``utility`` adds those of the other statements when it is imported."""
