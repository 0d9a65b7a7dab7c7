# ruff: noqa: ARG001, D103 - handlers share one signature, and a node kind's name says what they read
"""Statements about the session itself: settings, transactions, prepared statements, cursors, EXPLAIN."""

from collections.abc import Iterable
from typing import Any, Final

from interlock.analysis.postgres.objects import note, object_name, role_name
from interlock.analysis.postgres.settings import constant, is_on
from interlock.analysis.postgres.walk import Handler, Node, Scope, Walk

_TRANSACTIONS: Final = {
    "TRANS_STMT_BEGIN": ("session", "begin", "begin"),
    "TRANS_STMT_START": ("session", "start", "begin"),
    "TRANS_STMT_COMMIT": ("session", "commit", "commit"),
    "TRANS_STMT_ROLLBACK": ("session", "rollback", "rollback"),
    "TRANS_STMT_SAVEPOINT": ("session", "savepoint", "savepoint"),
    "TRANS_STMT_RELEASE": ("session", "release", "release"),
    "TRANS_STMT_ROLLBACK_TO": ("session", "rollback_to", "rollback_to"),
    "TRANS_STMT_PREPARE": ("session", "prepare_transaction", "prepare"),
    "TRANS_STMT_COMMIT_PREPARED": ("admin", "commit_prepared", "commit_prepared"),
    "TRANS_STMT_ROLLBACK_PREPARED": ("admin", "rollback_prepared", "rollback_prepared"),
}
"""COMMIT PREPARED and ROLLBACK PREPARED end a transaction that any session may have prepared: ``admin``."""


# --- settings and transactions --------------------------------------------------------------------------------------


def record_setting(walk: Walk, node: Node, *, acts: bool) -> None:
    """Read a VariableSetStmt: for this session (``acts``), or kept for later ones by ALTER ROLE, DATABASE or SYSTEM."""
    kind = node.get("kind")
    local = bool(node.get("is_local"))
    name = node.get("name", "")
    assignments: list[tuple[str, str | None, bool]] = []
    if kind == "VAR_RESET_ALL":
        assignments.append(("*", None, False))
    elif kind == "VAR_SET_MULTI":
        for item in node.get("args", ()):
            if "DefElem" not in item:
                continue
            option = item["DefElem"]
            characteristic = option.get("defname", "")
            if name == "SESSION CHARACTERISTICS":
                characteristic = "default_" + characteristic
            assignments.append(
                (characteristic, _boolean_text(characteristic, option), name != "SESSION CHARACTERISTICS")
            )
        if name == "TRANSACTION SNAPSHOT":
            assignments.append(("transaction_snapshot", "", True))
    elif kind == "VAR_SET_VALUE":
        values = [constant(item) for item in node.get("args", ())]
        known = [value for value in values if value is not None]
        assignments.append((name.lower(), ", ".join(known) if len(known) == len(values) else None, local))
    elif kind in ("VAR_SET_DEFAULT", "VAR_RESET", "VAR_SET_CURRENT"):
        assignments.append((name.lower(), None, local))
    else:
        walk.give_up()
    for assignment in assignments:
        if acts:
            walk.assign(assignment)
        else:
            probe = Walk(walk.grammar)
            probe.assign(assignment)
            walk.lifts_read_only = walk.lifts_read_only or probe.lifts_read_only
            walk.kept.add(assignment[0])


def _boolean_text(name: str, option: Node) -> str | None:
    value = constant(option.get("arg", {}))
    if name.endswith(("read_only", "deferrable")):
        return "on" if is_on(value) else "off"
    return value


def on_set(walk: Walk, node: Node, scope: Scope) -> None:
    if not walk.kind:
        kind = node.get("kind")
        multi = kind == "VAR_SET_MULTI" and node.get("name") != "SESSION CHARACTERISTICS"
        walk.kind = "set_transaction" if multi else "reset" if kind in ("VAR_RESET", "VAR_RESET_ALL") else "set"
    record_setting(walk, node, acts=True)
    for item in node.get("args", ()):
        if "A_Const" not in item and "DefElem" not in item and "TypeCast" not in item:
            walk.give_up()


def on_alter_role_set(walk: Walk, node: Node, scope: Scope) -> None:
    walk.does("admin", "alter_role_set")
    walk.roles.add(role_name(node["role"]) if node.get("role") else "all")
    record_setting(walk, node.get("setstmt", {}), acts=False)


def on_alter_database_set(walk: Walk, node: Node, scope: Scope) -> None:
    walk.does("admin", "alter_database_set")
    note(walk, "alters", "database", node.get("dbname", ""))
    record_setting(walk, node.get("setstmt", {}), acts=False)


def on_transaction(walk: Walk, node: Node, scope: Scope) -> None:
    known = _TRANSACTIONS.get(node["kind"])
    if known is None:
        walk.give_up()
        return
    effect, word, walk.transaction = known
    walk.does(effect, word)
    walk.chains = bool(node.get("chain"))
    for item in node.get("options", ()):
        option = item.get("DefElem", {})
        name = option.get("defname", "")
        value = _boolean_text(name, option)
        walk.sets.append((name, value, True))
        if name == "transaction_read_only" and value != "on":
            walk.lifts_read_only = True


def on_discard(walk: Walk, node: Node, scope: Scope) -> None:
    walk.does("session", "discard")
    if node.get("target") == "DISCARD_ALL":
        walk.sets.append(("*", None, False))
        walk.lifts_read_only = True
        walk.deallocates = ""
        walk.closes = ""
    elif node.get("target") == "DISCARD_TEMP":
        walk.does("destroy", "discard")


# --- prepared statements, cursors, EXPLAIN --------------------------------------------------------------------------


def on_prepare(walk: Walk, node: Node, scope: Scope) -> None:
    walk.does("session", "prepare")
    inner = nested(walk, node.get("query"), node.get("argtypes", ()))
    walk.prepares = (node.get("name", ""), inner)


def on_declare(walk: Walk, node: Node, scope: Scope) -> None:
    walk.does("session", "declare")
    inner = nested(walk, node.get("query"))
    walk.declares = (node.get("portalname", ""), inner)


def nested(walk: Walk, query: Node | None, types: Iterable[Node] = ()) -> Any:
    """Walk a statement inside a statement on its own, and add all of it to the outer one.

    ``types`` are those of its parameters: whatever is given for one is converted to it, which runs its code.

    What it sets isn't set yet: that is in the inner statement's ``sets``, and only named by the outer one.
    """
    inner = Walk(walk.grammar, body_depth=walk.body_depth)
    inner.run(query or {})
    for item in types:
        inner.cast(item.get("TypeName"))
    statement = inner.statement("")
    absorb(walk, inner)
    return statement


def absorb(walk: Walk, inner: Walk) -> None:
    """Add what another walk gathered."""
    for name in ("leaves", "calls", "reads", "writes", "creates", "alters", "drops", "columns", "roles", "files",
                 "programs", "languages", "body_effects", "body_writes", "kept"):  # fmt: skip
        getattr(walk, name).update(getattr(inner, name))
    walk.bounded = walk.bounded and inner.bounded
    walk.dynamic = walk.dynamic or inner.dynamic
    walk.lifts_read_only = walk.lifts_read_only or inner.lifts_read_only
    walk.parameters = max(walk.parameters, inner.parameters)
    walk.changes_catalogue = walk.changes_catalogue or inner.changes_catalogue
    walk.reads_rows = walk.reads_rows or inner.reads_rows
    walk.kept.update(name for name, _, _ in inner.sets)
    if inner.executes is not None:
        walk.executes = inner.executes


def on_execute(walk: Walk, node: Node, scope: Scope) -> None:
    if not walk.kind:
        walk.kind = "execute"
    walk.leaves.add("session/postgres.execute")
    if walk.executes is not None and walk.executes != node.get("name", ""):
        walk.give_up()
    walk.executes = node.get("name", "")
    walk.push_list(node.get("params"), scope)


def on_deallocate(walk: Walk, node: Node, scope: Scope) -> None:
    walk.does("session", "deallocate")
    walk.deallocates = "" if node.get("isall") or not node.get("name") else node["name"]


def on_close(walk: Walk, node: Node, scope: Scope) -> None:
    walk.does("session", "close")
    walk.closes = node.get("portalname", "")


def on_fetch(walk: Walk, node: Node, scope: Scope) -> None:
    walk.does("read", "move" if node.get("ismove") else "fetch")
    walk.fetches = node.get("portalname", "")


def on_explain(walk: Walk, node: Node, scope: Scope) -> None:
    """EXPLAIN plans, which runs what functions planning folds; with ANALYZE it runs everything."""
    walk.does("read", "explain")
    if _analyzes(node.get("options", [])):
        walk.push(node.get("query"), scope)
        return
    inner = Walk(walk.grammar, body_depth=walk.body_depth)
    inner.run(node.get("query") or {})
    walk.calls.update(call for call in inner.calls if call[2] != "named")
    walk.reads.update(inner.reads | inner.writes)
    walk.columns.update(inner.columns)
    walk.parameters = max(walk.parameters, inner.parameters)
    if any(leaf.startswith("unknown/") for leaf in inner.leaves):
        walk.give_up()
    if any(call[2] == "setting" for call in inner.calls) or any(name == "*" for name, _, _ in inner.sets):
        walk.does("execute", "explain")
        walk.lifts_read_only = True


def _analyzes(options: list[Node]) -> bool:
    for item in options:
        option = item.get("DefElem", {})
        if option.get("defname", "").lower() in ("analyze", "analyse"):
            argument = option.get("arg")
            value = (object_name(argument) or constant(argument) or _number(argument)) if argument else "on"
            if value.lower() not in ("off", "false", "0"):
                return True
    return False


def _number(node: Node) -> str:
    return str(node.get("Integer", {}).get("ival", 0)) if "Integer" in node else "on"


SESSION_HANDLERS: Final[dict[str, Handler]] = {
    "VariableSetStmt": on_set,
    "AlterRoleSetStmt": on_alter_role_set,
    "AlterDatabaseSetStmt": on_alter_database_set,
    "TransactionStmt": on_transaction,
    "DiscardStmt": on_discard,
    "PrepareStmt": on_prepare,
    "DeclareCursorStmt": on_declare,
    "ExecuteStmt": on_execute,
    "DeallocateStmt": on_deallocate,
    "ClosePortalStmt": on_close,
    "FetchStmt": on_fetch,
    "ExplainStmt": on_explain,
}
