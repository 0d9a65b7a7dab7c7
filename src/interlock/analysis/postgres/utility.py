# ruff: noqa: ARG001, D103, SIM905 - handlers share one signature, and a node kind's name says what they read
"""Definitions and rights: DDL, roles, GRANT and all that a line can say; registers the handlers of its neighbours.

Most are one line of a table: effects, word, verb and where their object's name stands. What a line can't say is a
function below. Their expressions (defaults, checks, conditions) are walked like those of a query.
"""

from typing import Final

from interlock.analysis.postgres.bodies import on_do, on_function_definition
from interlock.analysis.postgres.bulk import BULK_HANDLERS
from interlock.analysis.postgres.objects import add_roles, note, object_name, object_type, role_name
from interlock.analysis.postgres.session import SESSION_HANDLERS, record_setting
from interlock.analysis.postgres.settings import constant
from interlock.analysis.postgres.walk import HANDLERS, Handler, Node, Scope, Walk, strings

_SIMPLE: Final = """
CreateSchemaStmt            schema          create_schema            creates schema schemaname
CreateStmt                  schema          create_table             creates table relation
CreateSeqStmt               schema          create_sequence          creates sequence sequence
AlterSeqStmt                schema          alter_sequence           alters sequence sequence
IndexStmt                   schema          create_index             alters table relation
ViewStmt                    schema          create_view              creates view view
CompositeTypeStmt           schema          create_type              creates type typevar
CreateEnumStmt              schema          create_enum              creates type typeName
AlterEnumStmt               schema          alter_enum               alters type typeName
CreateDomainStmt            schema          create_domain            creates domain domainname
CreateStatsStmt             schema          create_statistics        creates statistics defnames
AlterStatsStmt              schema          alter_statistics         alters statistics defnames
AlterCollationStmt          schema          alter_collation          alters collation collname
AlterTSDictionaryStmt       schema          alter_text_search        alters text_search_dictionary dictname
AlterTSConfigurationStmt    schema          alter_text_search        alters text_search_configuration cfgname
AlterExtensionContentsStmt  schema          alter_extension          alters extension extname
AlterDatabaseRefreshCollStmt schema         alter_database           alters database dbname
CreatedbStmt                schema          create_database          creates database dbname
AlterDatabaseStmt           admin           alter_database           alters database dbname
AlterRoleStmt               admin           alter_role               alters role role
CreateRoleStmt              admin           create_role              creates role role
DropRoleStmt                admin,destroy   drop_role                drops role roles
CreatePolicyStmt            admin           create_policy            creates policy policy_name
AlterPolicyStmt             admin           alter_policy             alters policy policy_name
AlterEventTrigStmt          admin           alter_event_trigger      alters event_trigger trigname
CreateTableSpaceStmt        admin           create_tablespace        creates tablespace tablespacename
AlterTableSpaceOptionsStmt  admin           alter_tablespace         alters tablespace tablespacename
AlterTableMoveAllStmt       admin           alter_tablespace         alters tablespace orig_tablespacename
DropTableSpaceStmt          admin,destroy   drop_tablespace          drops tablespace tablespacename
DropdbStmt                  destroy         drop_database            drops database dbname
DropSubscriptionStmt        admin,destroy   drop_subscription        drops subscription subname
DropUserMappingStmt         admin,destroy   drop_user_mapping        drops user_mapping servername
CreateFdwStmt               admin,execute   create_foreign_data_wrapper creates foreign_data_wrapper fdwname
AlterFdwStmt                admin,execute   alter_foreign_data_wrapper alters foreign_data_wrapper fdwname
CreateForeignServerStmt     admin           create_server            creates server servername
AlterForeignServerStmt      admin           alter_server             alters server servername
CreateUserMappingStmt       admin           create_user_mapping      creates user_mapping servername
AlterUserMappingStmt        admin           alter_user_mapping       alters user_mapping servername
ImportForeignSchemaStmt     schema,execute  import_foreign_schema    creates schema local_schema
CreatePublicationStmt       admin           create_publication       creates publication pubname
AlterPublicationStmt        admin           alter_publication        alters publication pubname
CreateSubscriptionStmt      admin,execute   create_subscription      creates subscription subname
AlterSubscriptionStmt       admin,execute   alter_subscription       alters subscription subname
CreateExtensionStmt         schema,execute  create_extension         creates extension extname
AlterExtensionStmt          schema,execute  alter_extension          alters extension extname
CreatePLangStmt             admin,execute   create_language          creates language plname
CreateAmStmt                execute         create_access_method     creates access_method amname
CreateCastStmt              execute         create_cast              - - -
CreateTransformStmt         execute         create_transform         - - -
CreateConversionStmt        execute         create_conversion        creates conversion conversion_name
CreateOpClassStmt           execute         create_operator_class    creates operator_class opclassname
CreateOpFamilyStmt          execute         create_operator_family   creates operator_family opfamilyname
AlterOpFamilyStmt           execute         alter_operator_family    alters operator_family opfamilyname
AlterOperatorStmt           execute         alter_operator           alters operator opername
AlterTypeStmt               execute         alter_type               alters type typeName
AlterFunctionStmt           execute         alter_function           alters function func
CreateTrigStmt              execute         create_trigger           alters table relation
CreateEventTrigStmt         admin,execute   create_event_trigger     creates event_trigger trigname
RuleStmt                    execute         create_rule              alters table relation
AlterSystemStmt             admin           alter_system             - - -
ReassignOwnedStmt           admin           reassign_owned           - - -
DropOwnedStmt               admin,destroy   drop_owned               - - -
SecLabelStmt                admin           security_label           alters - object
CommentStmt                 schema          comment                  alters - object
AlterObjectSchemaStmt       schema          alter_object_schema      alters - -
AlterObjectDependsStmt      schema          alter_object_depends     alters - -
AlterOwnerStmt              admin           alter_owner              alters - -
CheckPointStmt              admin           checkpoint               - - -
LoadStmt                    execute         load                     - - -
NotifyStmt                  write           notify                   - - -
ListenStmt                  session         listen                   - - -
UnlistenStmt                session         unlisten                 - - -
ConstraintsSetStmt          session         set_constraints          - - -
VariableShowStmt            session         show                     - - -
"""

_ADMIN_COMMANDS: Final = frozenset(
    """
    AT_ChangeOwner AT_EnableTrig AT_EnableAlwaysTrig AT_EnableReplicaTrig AT_DisableTrig AT_EnableTrigAll
    AT_DisableTrigAll AT_EnableTrigUser AT_DisableTrigUser AT_EnableRule AT_EnableAlwaysRule AT_EnableReplicaRule
    AT_DisableRule AT_EnableRowSecurity AT_DisableRowSecurity AT_ForceRowSecurity AT_NoForceRowSecurity
    """.split()
)
_DESTROY_COMMANDS: Final = frozenset(("AT_DropColumn", "AT_DropConstraint"))
_SCHEMA_COMMANDS: Final = frozenset(
    """
    AT_AddColumn AT_AddColumnToView AT_ColumnDefault AT_DropNotNull AT_SetNotNull AT_SetExpression AT_DropExpression
    AT_SetStatistics AT_SetOptions AT_ResetOptions AT_SetStorage AT_SetCompression AT_AddIndex AT_AddConstraint
    AT_AlterConstraint AT_ValidateConstraint AT_AddIndexConstraint AT_AlterColumnType AT_ClusterOn AT_DropCluster
    AT_SetLogged AT_SetUnLogged AT_DropOids AT_SetAccessMethod AT_SetTableSpace AT_SetRelOptions AT_ResetRelOptions
    AT_ReplaceRelOptions AT_AddInherit AT_DropInherit AT_AddOf AT_DropOf AT_ReplicaIdentity AT_AttachPartition
    AT_DetachPartition AT_DetachPartitionFinalize AT_AddIdentity AT_SetIdentity AT_DropIdentity
    """.split()
)
_COLUMN_COMMANDS: Final = frozenset(
    """
    AT_ColumnDefault AT_DropNotNull AT_SetNotNull AT_AlterColumnType AT_SetExpression AT_DropExpression AT_SetOptions
    AT_ResetOptions AT_SetStatistics AT_SetStorage AT_SetCompression AT_AddIdentity AT_SetIdentity AT_DropIdentity
    """.split()
)
_EXECUTE_COMMANDS: Final = frozenset(("AT_GenericOptions", "AT_AlterColumnGenericOptions"))
"""Options of a foreign table: where its rows come from, perhaps a file or a program."""

_DROP_WORDS: Final = {
    "OBJECT_TABLE": "drop_table",
    "OBJECT_FOREIGN_TABLE": "drop_table",
    "OBJECT_VIEW": "drop_view",
    "OBJECT_MATVIEW": "drop_view",
    "OBJECT_INDEX": "drop_index",
    "OBJECT_SEQUENCE": "drop_sequence",
    "OBJECT_SCHEMA": "drop_schema",
    "OBJECT_EXTENSION": "drop_extension",
    "OBJECT_FUNCTION": "drop_function",
    "OBJECT_PROCEDURE": "drop_function",
    "OBJECT_ROUTINE": "drop_function",
    "OBJECT_AGGREGATE": "drop_function",
    "OBJECT_TYPE": "drop_type",
    "OBJECT_DOMAIN": "drop_type",
}
_ADMIN_DROPS: Final = frozenset(
    """
    OBJECT_POLICY OBJECT_TRIGGER OBJECT_RULE OBJECT_EVENT_TRIGGER OBJECT_PUBLICATION OBJECT_FOREIGN_SERVER OBJECT_FDW
    OBJECT_LANGUAGE
    """.split()
)
_EXECUTE_DEFINITIONS: Final = frozenset(
    ("OBJECT_AGGREGATE", "OBJECT_OPERATOR", "OBJECT_TYPE", "OBJECT_TSPARSER", "OBJECT_TSTEMPLATE")
)
_DEFINE_WORDS: Final = {
    "OBJECT_AGGREGATE": "create_aggregate",
    "OBJECT_OPERATOR": "create_operator",
    "OBJECT_TYPE": "create_type",
    "OBJECT_COLLATION": "create_collation",
    "OBJECT_TSPARSER": "create_text_search",
    "OBJECT_TSTEMPLATE": "create_text_search",
    "OBJECT_TSDICTIONARY": "create_text_search",
    "OBJECT_TSCONFIGURATION": "create_text_search",
}

_NO_CATALOGUE: Final = frozenset(
    """
    SecLabelStmt CommentStmt CheckPointStmt NotifyStmt ListenStmt UnlistenStmt ConstraintsSetStmt VariableShowStmt
    AlterSystemStmt CreatedbStmt DropdbStmt CreateTableSpaceStmt
    """.split()
)


# --- statements of the table ----------------------------------------------------------------------------------------


def _simple(kind: str, effects: tuple[str, ...], word: str, verb: str, object_kind: str, field: str) -> Handler:
    def handle(walk: Walk, node: Node, scope: Scope) -> None:
        for effect in effects:
            walk.does(effect, word)
        if verb != "-":
            value = node.get(field)
            if value is None:
                value = node.get("relation", node.get("object"))
            named = object_kind
            if named == "-":
                named = object_type(node.get("objtype") or node.get("objectType") or "")
            if isinstance(value, list) and field == "roles":
                for item in value:
                    note(walk, verb, named, role_name(item))
            else:
                note(walk, verb, named, object_name(value))
        add_roles(walk, node)
        if kind not in _NO_CATALOGUE:
            walk.changes_catalogue = True
        extra = _EXTRAS.get(kind)
        if extra is not None:
            extra(walk, node, scope)
        walk.push_children(kind, node, scope, skip=_SKIPPED)

    return handle


_SKIPPED: Final = (
    "relation", "view", "sequence", "typevar", "object", "role", "options", "setstmt", "relations", "funcname", "func",
    "table", "actions", "constrrel", "inhRelations",
)  # fmt: skip


def _extra_role(walk: Walk, node: Node, scope: Scope) -> None:
    if isinstance(node.get("role"), str):
        walk.roles.add(node["role"])


def _extra_rule(walk: Walk, node: Node, scope: Scope) -> None:
    walk.push_list(node.get("actions"), scope)


def _extra_import(walk: Walk, node: Node, scope: Scope) -> None:
    note(walk, "alters", "server", node.get("server_name", ""))


def _extra_trigger(walk: Walk, node: Node, scope: Scope) -> None:
    walk.calls.add((strings(node.get("funcname")), -1, "named"))
    note(walk, "creates", "trigger", node.get("trigname", ""))


def _extra_named_rule(walk: Walk, node: Node, scope: Scope) -> None:
    note(walk, "creates", "rule", node.get("rulename", ""))
    _extra_rule(walk, node, scope)


def _extra_index(walk: Walk, node: Node, scope: Scope) -> None:
    note(walk, "creates", "index", node.get("idxname", ""))
    walk.writes_relation(None)


def _extra_load(walk: Walk, node: Node, scope: Scope) -> None:
    walk.files.add(node.get("filename", ""))


def _extra_tablespace(walk: Walk, node: Node, scope: Scope) -> None:
    walk.files.add(node.get("location", "") if isinstance(node.get("location"), str) else "")
    walk.files.discard("")


def _extra_system(walk: Walk, node: Node, scope: Scope) -> None:
    setting = node.get("setstmt", {})
    record_setting(walk, setting, acts=False)


def _extra_policy(walk: Walk, node: Node, scope: Scope) -> None:
    note(walk, "alters", "table", object_name(node.get("table")))


def _extra_language(walk: Walk, node: Node, scope: Scope) -> None:
    walk.languages.add(node.get("plname", ""))


def _extra_create(walk: Walk, node: Node, scope: Scope) -> None:
    if node.get("inhRelations"):
        for item in node["inhRelations"]:
            note(walk, "alters", "table", object_name(item))


def _extra_statistics(walk: Walk, node: Node, scope: Scope) -> None:
    for item in node.get("relations", ()):
        note(walk, "alters", "table", object_name(item))


_EXTRAS: Final[dict[str, Handler]] = {
    "CreateRoleStmt": _extra_role,
    "RuleStmt": _extra_named_rule,
    "ImportForeignSchemaStmt": _extra_import,
    "CreateTrigStmt": _extra_trigger,
    "CreateEventTrigStmt": _extra_trigger,
    "IndexStmt": _extra_index,
    "LoadStmt": _extra_load,
    "CreateTableSpaceStmt": _extra_tablespace,
    "AlterSystemStmt": _extra_system,
    "CreatePolicyStmt": _extra_policy,
    "AlterPolicyStmt": _extra_policy,
    "CreatePLangStmt": _extra_language,
    "CreateStmt": _extra_create,
    "CreateStatsStmt": _extra_statistics,
}


# --- tables, views, objects -----------------------------------------------------------------------------------------


def on_alter_table(walk: Walk, node: Node, scope: Scope) -> None:
    walk.kind = walk.kind or "alter_table"
    kind = object_type(node.get("objtype", "OBJECT_TABLE"))
    name = object_name(node.get("relation"))
    note(walk, "alters", kind, name)
    walk.changes_catalogue = True
    for item in node.get("cmds", ()):
        command = item["AlterTableCmd"]
        subtype = command["subtype"]
        column = command.get("name", "")
        definition = command.get("def") or {}
        if subtype == "AT_AddColumn":
            column = definition.get("ColumnDef", {}).get("colname", "")
            note(walk, "creates", "column", f"{name}.{column}")
        elif subtype == "AT_DropColumn":
            note(walk, "drops", "column", f"{name}.{column}")
        elif subtype == "AT_DropConstraint":
            note(walk, "drops", "constraint", f"{name}.{column}")
        elif subtype in _COLUMN_COMMANDS:
            note(walk, "alters", "column", f"{name}.{column}")
        if "newowner" in command:
            walk.roles.add(role_name(command["newowner"]))
        if subtype in _ADMIN_COMMANDS:
            walk.does("admin", "alter_owner" if subtype == "AT_ChangeOwner" else "alter_table")
        elif subtype in _DESTROY_COMMANDS:
            walk.does("destroy", "drop_column" if subtype == "AT_DropColumn" else "alter_table")
        elif subtype in _EXECUTE_COMMANDS:
            walk.does("execute", "alter_table")
            _foreign_options(walk, [definition])
        elif subtype in _SCHEMA_COMMANDS:
            walk.does("schema", "alter_table")
        else:
            walk.give_up()
        if "PartitionCmd" in definition:
            note(walk, "alters", "table", object_name(definition["PartitionCmd"].get("name")))
            walk.push(
                definition["PartitionCmd"].get("bound") and {"PartitionBoundSpec": definition["PartitionCmd"]["bound"]},
                scope,
            )
        elif "RangeVar" in definition:
            note(walk, "alters", "table", object_name(definition))
        else:
            walk.push(definition, scope)


def on_drop(walk: Walk, node: Node, scope: Scope) -> None:
    removed = node["removeType"]
    word = _DROP_WORDS.get(removed, "drop")
    walk.does("destroy", word)
    if removed in _ADMIN_DROPS:
        walk.does("admin", word)
    walk.changes_catalogue = True
    for item in node.get("objects", ()):
        note(walk, "drops", object_type(removed), object_name(item))


def on_truncate(walk: Walk, node: Node, scope: Scope) -> None:
    walk.does("destroy", "truncate")
    walk.bounded = False
    for item in node.get("relations", ()):
        walk.writes_relation(item.get("RangeVar"))


def on_rename(walk: Walk, node: Node, scope: Scope) -> None:
    renamed = node["renameType"]
    walk.does(
        "admin" if renamed in ("OBJECT_ROLE", "OBJECT_DATABASE", "OBJECT_POLICY", "OBJECT_TABLESPACE") else "schema",
        "rename",
    )
    walk.changes_catalogue = True
    name = object_name(node.get("relation", node.get("object"))) or node.get("subname", "")
    if renamed == "OBJECT_ROLE":
        walk.roles.update((node.get("subname", ""), node.get("newname", "")))
    if renamed in ("OBJECT_COLUMN", "OBJECT_ATTRIBUTE"):
        note(walk, "alters", "column", f"{name}.{node.get('subname', '')}")
        name_kind = object_type(node.get("relationType", "OBJECT_TABLE"))
        note(walk, "alters", name_kind, name)
    else:
        note(walk, "alters", object_type(renamed), name)


def on_define(walk: Walk, node: Node, scope: Scope) -> None:
    kind = node["kind"]
    word = _DEFINE_WORDS.get(kind)
    if word is None:
        walk.give_up()
        return
    shell = kind == "OBJECT_TYPE" and not node.get("definition")
    walk.does("execute" if kind in _EXECUTE_DEFINITIONS and not shell else "schema", word)
    walk.changes_catalogue = True
    note(walk, "creates", object_type(kind), object_name(node.get("defnames")))


def on_create_range(walk: Walk, node: Node, scope: Scope) -> None:
    names = {item["DefElem"].get("defname", "") for item in node.get("params", ()) if "DefElem" in item}
    walk.does("execute" if names & {"canonical", "subtype_diff"} else "schema", "create_range")
    walk.changes_catalogue = True
    note(walk, "creates", "type", object_name(node.get("typeName")))


def on_alter_domain(walk: Walk, node: Node, scope: Scope) -> None:
    walk.does("destroy" if node.get("subtype") == "X" else "schema", "alter_domain")
    walk.changes_catalogue = True
    note(walk, "alters", "domain", object_name(node.get("typeName")))
    walk.push(node.get("def"), scope)


def on_create_foreign_table(walk: Walk, node: Node, scope: Scope) -> None:
    walk.does("schema", "create_foreign_table")
    walk.does("execute", "create_foreign_table")
    walk.changes_catalogue = True
    base = node.get("base", {})
    note(walk, "creates", "foreign_table", object_name(base.get("relation")))
    _foreign_options(walk, node.get("options", []))
    walk.push_list(base.get("tableElts"), scope)
    walk.push_list(base.get("constraints"), scope)


def _foreign_options(walk: Walk, options: list[Node]) -> None:
    for item in options:
        nested = item.get("List", {}).get("items")
        if nested:
            _foreign_options(walk, nested)
        option = item.get("DefElem", {})
        if option.get("defname") in ("program", "filename"):
            value = object_name(option.get("arg")) or constant(option.get("arg", {})) or ""
            (walk.programs if option["defname"] == "program" else walk.files).add(value)


def on_create_table_as(walk: Walk, node: Node, scope: Scope) -> None:
    into = node.get("into", {})
    matview = node.get("objtype") == "OBJECT_MATVIEW"
    walk.does("schema", "create_materialized_view" if matview else "create_table_as")
    walk.changes_catalogue = True
    note(walk, "creates", "matview" if matview else "table", object_name(into.get("rel")))
    walk.push(node.get("query"), scope)


def on_schema(walk: Walk, node: Node, scope: Scope) -> None:
    """CREATE SCHEMA with elements: each is a statement of its own."""
    _SCHEMA(walk, {key: value for key, value in node.items() if key != "schemaElts"}, scope)
    if not node.get("schemaname"):
        note(walk, "creates", "schema", role_name(node.get("authrole", {})))
    walk.push_list(node.get("schemaElts"), scope)


# --- rights ---------------------------------------------------------------------------------------------------------


def on_grant(walk: Walk, node: Node, scope: Scope) -> None:
    walk.does("admin", "grant" if node.get("is_grant") else "revoke")
    walk.changes_catalogue = True
    add_roles(walk, node)
    for item in node.get("objects", ()):
        note(walk, "alters", object_type(node.get("objtype", "")), object_name(item))


def on_grant_role(walk: Walk, node: Node, scope: Scope) -> None:
    walk.does("admin", "grant_role" if node.get("is_grant") else "revoke_role")
    walk.changes_catalogue = True
    add_roles(walk, node)


def on_default_privileges(walk: Walk, node: Node, scope: Scope) -> None:
    walk.does("admin", "alter_default_privileges")
    walk.changes_catalogue = True
    add_roles(walk, node.get("action", {}))


def on_constraint(walk: Walk, node: Node, scope: Scope) -> None:
    walk.reads_relation(node.get("pktable"))
    walk.push_children("Constraint", node, scope, skip=("pktable",))


def on_table_like(walk: Walk, node: Node, scope: Scope) -> None:
    walk.reads_relation(node.get("relation"))


def _build() -> None:
    for line in _SIMPLE.strip().splitlines():
        kind, effects, word, verb, object_kind, field = line.split()
        HANDLERS[kind] = _simple(kind, tuple(effects.split(",")), word, verb, object_kind, field)


_build()
_SCHEMA: Final = HANDLERS["CreateSchemaStmt"]
HANDLERS.update(SESSION_HANDLERS)
HANDLERS.update(BULK_HANDLERS)
HANDLERS.update(
    {
        "CreateSchemaStmt": on_schema,
        "AlterTableStmt": on_alter_table,
        "DropStmt": on_drop,
        "TruncateStmt": on_truncate,
        "RenameStmt": on_rename,
        "DefineStmt": on_define,
        "CreateRangeStmt": on_create_range,
        "AlterDomainStmt": on_alter_domain,
        "CreateForeignTableStmt": on_create_foreign_table,
        "CreateTableAsStmt": on_create_table_as,
        "GrantStmt": on_grant,
        "GrantRoleStmt": on_grant_role,
        "AlterDefaultPrivilegesStmt": on_default_privileges,
        "Constraint": on_constraint,
        "TableLikeClause": on_table_like,
        "DoStmt": on_do,
        "CreateFunctionStmt": on_function_definition,
        "AlterTableCmd": on_alter_table,
        "PartitionCmd": on_alter_table,
    }
)
