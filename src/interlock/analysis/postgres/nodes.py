# ruff: noqa: SIM905 - a list of names reads best as one
"""How each node kind of the grammar is read: the table that must be complete.

``PLAIN`` kinds have no effect of their own: their children are read. ``ANALYSED`` kinds exist in the library's
definitions but only after parse analysis, never in a raw tree: one that turns up makes its statement ``unknown``.
Kinds with a handler are in ``walk`` and ``utility``; a test compares all three with the library's own list.
"""

from typing import Final

TYPED_FIELDS: Final = {
    "alias": "Alias",
    "argType": "TypeName",
    "authrole": "RoleSpec",
    "base": "CreateStmt",
    "bound": "PartitionBoundSpec",
    "bsval": "BitString",
    "boolval": "Boolean",
    "collClause": "CollateClause",
    "constrrel": "RangeVar",
    "constructor": "JsonAggConstructor",
    "context_item": "JsonValueExpr",
    "cycle_clause": "CTECycleClause",
    "datatype": "TypeName",
    "expr": "JsonValueExpr",
    "extname": "String",
    "format": "JsonFormat",
    "fromsql": "ObjectWithArgs",
    "func": "ObjectWithArgs",
    "funccall": "FuncCall",
    "fval": "Float",
    "grantor": "RoleSpec",
    "identitySequence": "RangeVar",
    "infer": "InferClause",
    "into": "IntoClause",
    "intoClause": "IntoClause",
    "ival": "Integer",
    "join_using_alias": "Alias",
    "larg": "SelectStmt",
    "newowner": "RoleSpec",
    "newrole": "RoleSpec",
    "ofTypename": "TypeName",
    "onConflictClause": "OnConflictClause",
    "on_empty": "JsonBehavior",
    "on_error": "JsonBehavior",
    "opername": "ObjectWithArgs",
    "output": "JsonOutput",
    "over": "WindowDef",
    "owner": "RoleSpec",
    "partbound": "PartitionBoundSpec",
    "partspec": "PartitionSpec",
    "pathspec": "JsonTablePathSpec",
    "pktable": "RangeVar",
    "pubtable": "PublicationTable",
    "rarg": "SelectStmt",
    "rel": "RangeVar",
    "relation": "RangeVar",
    "returnType": "TypeName",
    "returning": "JsonReturning",
    "returningClause": "ReturningClause",
    "role": "RoleSpec",
    "search_clause": "CTESearchClause",
    "sequence": "RangeVar",
    "setstmt": "VariableSetStmt",
    "sourcetype": "TypeName",
    "storedtype": "TypeName",
    "sval": "String",
    "table": "RangeVar",
    "targettype": "TypeName",
    "tosql": "ObjectWithArgs",
    "typeName": "TypeName",
    "type_name": "TypeName",
    "typevar": "RangeVar",
    "user": "RoleSpec",
    "value": "JsonValueExpr",
    "view": "RangeVar",
    "withClause": "WithClause",
}
"""Fields whose value is a node without its kind's name around it, where the field's name alone tells the kind."""

TYPED_FIELDS_OF: Final = {
    ("PartitionCmd", "name"): "RangeVar",
    ("CreateOpClassItem", "name"): "ObjectWithArgs",
    ("JsonArgument", "val"): "JsonValueExpr",
    ("PLAssignStmt", "val"): "SelectStmt",
    ("JsonArrayAgg", "arg"): "JsonValueExpr",
    ("JsonObjectAgg", "arg"): "JsonKeyValue",
    ("AlterDefaultPrivilegesStmt", "action"): "GrantStmt",
}

PLAIN: Final = frozenset(
    """
    AccessPriv Alias ATAlterConstraint A_ArrayExpr A_Indices A_Star BitString BoolExpr Boolean
    BooleanTest CTECycleClause CTESearchClause CaseExpr CaseWhen CoalesceExpr CollateClause ColumnDef
    CreateOpClassItem CurrentOfExpr DefElem Float FunctionParameter GroupingFunc GroupingSet IndexElem InferClause
    Integer JsonAggConstructor JsonArgument JsonArrayAgg JsonArrayConstructor JsonArrayQueryConstructor
    JsonBehavior JsonFormat JsonFuncExpr JsonIsPredicate JsonKeyValue JsonObjectAgg JsonObjectConstructor
    JsonParseExpr JsonReturning JsonScalarExpr JsonSerializeExpr JsonTable JsonTablePathSpec
    JsonValueExpr List MergeSupportFunc MinMaxExpr MultiAssignRef NamedArgExpr NullTest ObjectWithArgs
    PartitionBoundSpec PartitionElem PartitionRangeDatum PartitionSpec PublicationObjSpec
    PublicationTable RangeFunction RangeSubselect RangeTableFunc ReplicaIdentityStmt ReturnStmt
    ReturningClause ReturningOption RowExpr SQLValueFunction SetToDefault StatsElem String
    TriggerTransition VacuumRelation WindowDef XmlExpr
    """.split()
)

ANALYSED: Final = frozenset(
    """
    Aggref AlternativeSubPlan ArrayCoerceExpr ArrayExpr CallContext CaseTestExpr CoerceToDomain CoerceToDomainValue
    CoerceViaIO ConvertRowtypeExpr CollateExpr DistinctExpr FieldSelect FieldStore FromExpr FuncExpr InferenceElem
    InlineCodeBlock IntList JsonConstructorExpr JsonExpr JsonTablePath JsonTablePathScan JsonTableSiblingJoin
    MergeAction NextValueExpr NullIfExpr OidList OnConflictExpr OpExpr Param ParseResult PLAssignStmt Query
    RTEPermissionInfo RangeTblEntry RangeTblFunction RangeTblRef RawStmt RelabelType ReturningExpr RowCompareExpr
    RowMarkClause ScalarArrayOpExpr SetOperationStmt SortGroupClause SubPlan SubscriptingRef TableFunc
    TableSampleClause TargetEntry Var WindowClause WindowFunc WindowFuncRunCondition WithCheckOption
    """.split()
)
