import importlib
from typing import Any

from interlock.analysis.postgres import session, utility
from interlock.analysis.postgres.nodes import ANALYSED, PLAIN, TYPED_FIELDS, TYPED_FIELDS_OF
from interlock.analysis.postgres.walk import HANDLERS

pg_query_pb2: Any = importlib.import_module("postgast.pg_query_pb2")
"""The library's own definitions; imported by name because their type stubs don't parse."""

MESSAGES = pg_query_pb2.DESCRIPTOR.message_types_by_name
ENUMS = pg_query_pb2.DESCRIPTOR.enum_types_by_name
NOT_NODES = {"Node", "ScanToken", "ScanResult", "SummaryResult"}
LATER_FIELDS = {("IntoClause", "viewQuery"), ("CallStmt", "funcexpr")}
"""Filled by parse analysis only."""


def values(enum: str) -> set[str]:
    return {name for name in ENUMS[enum].values_by_name if not name.endswith("UNDEFINED")}


def test_each_node_kind_of_the_grammar_is_classified_once_P2() -> None:
    kinds = set(MESSAGES) - NOT_NODES
    handled = set(HANDLERS)
    assert PLAIN | ANALYSED | handled == kinds
    assert not PLAIN & ANALYSED
    assert not PLAIN & handled
    assert not ANALYSED & handled


def test_each_field_that_holds_an_unwrapped_node_has_its_kind_P2() -> None:
    for name, message in MESSAGES.items():
        if name in NOT_NODES | ANALYSED:
            continue
        for field in message.fields:
            nested = field.message_type
            if nested is None or nested.name == "Node" or (name, field.json_name) in LATER_FIELDS:
                continue
            assert not field.is_repeated, (name, field.json_name)
            kind = TYPED_FIELDS_OF.get((name, field.json_name)) or TYPED_FIELDS.get(field.json_name)
            assert kind == nested.name, (name, field.json_name)


def test_each_alter_table_command_is_classified_P2() -> None:
    known = utility._ADMIN_COMMANDS | utility._DESTROY_COMMANDS | utility._SCHEMA_COMMANDS | utility._EXECUTE_COMMANDS
    internal = {name for name in values("AlterTableType") if name.startswith(("AT_ReAdd", "AT_Cooked"))}
    assert known | internal == values("AlterTableType")


def test_each_kind_of_transaction_statement_is_classified_P2() -> None:
    assert set(session._TRANSACTIONS) == values("TransactionStmtKind")
