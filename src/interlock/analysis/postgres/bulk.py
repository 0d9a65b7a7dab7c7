# ruff: noqa: ARG001, D103 - handlers share one signature, and a node kind's name says what they read
"""Statements that move or tend whole tables: COPY, LOCK, VACUUM, CLUSTER, REINDEX, REFRESH; and CALL."""

from typing import Final

from interlock.analysis.postgres.objects import note, object_name
from interlock.analysis.postgres.walk import Handler, Node, Scope, Walk, strings


def on_copy(walk: Walk, node: Node, scope: Scope) -> None:
    incoming = bool(node.get("is_from"))
    filename = node.get("filename")
    relation = node.get("relation")
    if relation:
        if incoming:
            walk.writes_relation(relation)
        else:
            walk.reads_relation(relation)
    walk.columns.update(strings(node.get("attlist")))
    if node.get("is_program"):
        walk.does("execute", "copy_program")
        walk.programs.add(filename or "")
    elif filename is not None:
        walk.does("execute", "copy")
        walk.files.add(filename)
    else:
        walk.copy = "in" if incoming else "out"
    walk.does("write" if incoming else "read", "copy_in" if incoming else "copy_out")
    walk.push(node.get("query"), scope)
    walk.push(node.get("whereClause"), scope)


def on_lock(walk: Walk, node: Node, scope: Scope) -> None:
    walk.does("read" if node.get("mode") == 1 else "write", "lock")
    for item in node.get("relations", ()):
        walk.reads_relation(item.get("RangeVar"))


def on_vacuum(walk: Walk, node: Node, scope: Scope) -> None:
    walk.does("write", "vacuum" if node.get("is_vacuumcmd") else "analyze")
    for item in node.get("rels", ()):
        relation = item.get("VacuumRelation", {})
        walk.writes_relation(relation.get("relation"))
        walk.columns.update(strings(relation.get("va_cols")))


def on_cluster(walk: Walk, node: Node, scope: Scope) -> None:
    walk.does("schema", "cluster")
    walk.writes_relation(node.get("relation"))


def on_reindex(walk: Walk, node: Node, scope: Scope) -> None:
    walk.does("schema", "reindex")
    if node.get("relation"):
        index = node.get("kind") == "REINDEX_OBJECT_INDEX"
        note(walk, "alters", "index" if index else "table", object_name(node["relation"]))
        walk.writes_relation(node["relation"])
    else:
        note(walk, "alters", node.get("kind", "").removeprefix("REINDEX_OBJECT_").lower(), node.get("name", ""))


def on_refresh(walk: Walk, node: Node, scope: Scope) -> None:
    walk.does("write", "refresh")
    walk.writes_relation(node.get("relation"))


def on_call(walk: Walk, node: Node, scope: Scope) -> None:
    walk.does("execute", "call")
    walk.dynamic = True
    walk.lifts_read_only = True
    walk.changes_catalogue = True
    call = node.get("funccall", {})
    walk.calls.add((strings(call.get("funcname")), -1, "named"))
    walk.push_children("FuncCall", call, scope, skip=("funcname",))


BULK_HANDLERS: Final[dict[str, Handler]] = {
    "CopyStmt": on_copy,
    "LockStmt": on_lock,
    "VacuumStmt": on_vacuum,
    "ClusterStmt": on_cluster,
    "ReindexStmt": on_reindex,
    "RefreshMatViewStmt": on_refresh,
    "CallStmt": on_call,
}
