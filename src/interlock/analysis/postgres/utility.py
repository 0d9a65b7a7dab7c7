# ruff: noqa: ARG001, D103, SIM905 - handlers share one signature, and a node kind's name says what they read
"""All statements that aren't queries: DDL, roles and rights, settings, transactions, cursors, code.

Most are one line of a table: effects, word, verb and where their object's name stands. What a line can't say is a
function below. Their expressions (defaults, checks, conditions) are walked like those of a query.
"""

from typing import Any, Final

from interlock.analysis.postgres.bodies import on_do, on_function_definition
from interlock.analysis.postgres.settings import constant, is_on
from interlock.analysis.postgres.walk import (
    HANDLERS,
    Handler,
    Node,
    Scope,
    Walk,
    relation_name,
    strings,
)

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

_NO_CATALOGUE: Final = frozenset(
    """
    SecLabelStmt CommentStmt CheckPointStmt NotifyStmt ListenStmt UnlistenStmt ConstraintsSetStmt VariableShowStmt
    AlterSystemStmt CreatedbStmt DropdbStmt CreateTableSpaceStmt
    """.split()
)


# --- names of objects -----------------------------------------------------------------------------------------------


def object_type(value: str) -> str:
    """``table`` of ``OBJECT_TABLE``."""
    return value.removeprefix("OBJECT_").lower()


def object_name(value: Any) -> str:
    """The dotted name of whatever form the grammar gives an object's name."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ".".join(part for part in (object_name(item) for item in value) if part)
    if not isinstance(value, dict):
        return ""
    if "relname" in value:
        return ".".join(relation_name(value))
    if "rolename" in value or "roletype" in value:
        return role_name(value)
    for field in ("objname", "names", "items", "sval"):
        if field in value:
            return object_name(value[field])
    if len(value) == 1:
        (inner,) = value.values()
        if isinstance(inner, dict):
            return object_name(inner)
    return ""


def role_name(role: Node) -> str:
    """The role's name, or ``public``, ``current_user`` ..."""
    role = role.get("RoleSpec", role)
    name = role.get("rolename")
    return name or str(role.get("roletype", "")).removeprefix("ROLESPEC_").lower()


def _note(walk: Walk, verb: str, kind: str, name: str) -> None:
    if name:
        getattr(walk, verb).add(f"{kind}:{name}")


def _roles(walk: Walk, node: Node) -> None:
    for field in ("role", "user", "newowner", "newrole", "authrole", "owner", "grantor"):
        value = node.get(field)
        if isinstance(value, dict):
            walk.roles.add(role_name(value))
    for field in ("roles", "grantees", "granted_roles", "grantee_roles"):
        for item in node.get(field, ()):
            name = item.get("AccessPriv", {}).get("priv_name") or role_name(item)
            walk.roles.add(name)


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
                    _note(walk, verb, named, role_name(item))
            else:
                _note(walk, verb, named, object_name(value))
        _roles(walk, node)
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
    _note(walk, "alters", "server", node.get("server_name", ""))


def _extra_trigger(walk: Walk, node: Node, scope: Scope) -> None:
    walk.calls.add((strings(node.get("funcname")), -1, "named"))
    _note(walk, "creates", "trigger", node.get("trigname", ""))


def _extra_named_rule(walk: Walk, node: Node, scope: Scope) -> None:
    _note(walk, "creates", "rule", node.get("rulename", ""))
    _extra_rule(walk, node, scope)


def _extra_index(walk: Walk, node: Node, scope: Scope) -> None:
    _note(walk, "creates", "index", node.get("idxname", ""))
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
    _note(walk, "alters", "table", object_name(node.get("table")))


def _extra_language(walk: Walk, node: Node, scope: Scope) -> None:
    walk.languages.add(node.get("plname", ""))


def _extra_create(walk: Walk, node: Node, scope: Scope) -> None:
    if node.get("inhRelations"):
        for item in node["inhRelations"]:
            _note(walk, "alters", "table", object_name(item))


def _extra_statistics(walk: Walk, node: Node, scope: Scope) -> None:
    for item in node.get("relations", ()):
        _note(walk, "alters", "table", object_name(item))


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
    _note(walk, "alters", kind, name)
    walk.changes_catalogue = True
    for item in node.get("cmds", ()):
        command = item["AlterTableCmd"]
        subtype = command["subtype"]
        column = command.get("name", "")
        definition = command.get("def") or {}
        if subtype == "AT_AddColumn":
            column = definition.get("ColumnDef", {}).get("colname", "")
            _note(walk, "creates", "column", f"{name}.{column}")
        elif subtype == "AT_DropColumn":
            _note(walk, "drops", "column", f"{name}.{column}")
        elif subtype == "AT_DropConstraint":
            _note(walk, "drops", "constraint", f"{name}.{column}")
        elif subtype in _COLUMN_COMMANDS:
            _note(walk, "alters", "column", f"{name}.{column}")
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
            _note(walk, "alters", "table", object_name(definition["PartitionCmd"].get("name")))
            walk.push(
                definition["PartitionCmd"].get("bound") and {"PartitionBoundSpec": definition["PartitionCmd"]["bound"]},
                scope,
            )
        elif "RangeVar" in definition:
            _note(walk, "alters", "table", object_name(definition))
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
        _note(walk, "drops", object_type(removed), object_name(item))


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
        _note(walk, "alters", "column", f"{name}.{node.get('subname', '')}")
        name_kind = object_type(node.get("relationType", "OBJECT_TABLE"))
        _note(walk, "alters", name_kind, name)
    else:
        _note(walk, "alters", object_type(renamed), name)


def on_define(walk: Walk, node: Node, scope: Scope) -> None:
    kind = node["kind"]
    word = _DEFINE_WORDS.get(kind)
    if word is None:
        walk.give_up()
        return
    shell = kind == "OBJECT_TYPE" and not node.get("definition")
    walk.does("execute" if kind in _EXECUTE_DEFINITIONS and not shell else "schema", word)
    walk.changes_catalogue = True
    _note(walk, "creates", object_type(kind), object_name(node.get("defnames")))


def on_create_range(walk: Walk, node: Node, scope: Scope) -> None:
    names = {item["DefElem"].get("defname", "") for item in node.get("params", ()) if "DefElem" in item}
    walk.does("execute" if names & {"canonical", "subtype_diff"} else "schema", "create_range")
    walk.changes_catalogue = True
    _note(walk, "creates", "type", object_name(node.get("typeName")))


def on_alter_domain(walk: Walk, node: Node, scope: Scope) -> None:
    walk.does("destroy" if node.get("subtype") == "X" else "schema", "alter_domain")
    walk.changes_catalogue = True
    _note(walk, "alters", "domain", object_name(node.get("typeName")))
    walk.push(node.get("def"), scope)


def on_create_foreign_table(walk: Walk, node: Node, scope: Scope) -> None:
    walk.does("schema", "create_foreign_table")
    walk.does("execute", "create_foreign_table")
    walk.changes_catalogue = True
    base = node.get("base", {})
    _note(walk, "creates", "foreign_table", object_name(base.get("relation")))
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
    _note(walk, "creates", "matview" if matview else "table", object_name(into.get("rel")))
    walk.push(node.get("query"), scope)


def on_schema(walk: Walk, node: Node, scope: Scope) -> None:
    """CREATE SCHEMA with elements: each is a statement of its own."""
    _SCHEMA(walk, {key: value for key, value in node.items() if key != "schemaElts"}, scope)
    if not node.get("schemaname"):
        _note(walk, "creates", "schema", role_name(node.get("authrole", {})))
    walk.push_list(node.get("schemaElts"), scope)


# --- rights ---------------------------------------------------------------------------------------------------------


def on_grant(walk: Walk, node: Node, scope: Scope) -> None:
    walk.does("admin", "grant" if node.get("is_grant") else "revoke")
    walk.changes_catalogue = True
    _roles(walk, node)
    for item in node.get("objects", ()):
        _note(walk, "alters", object_type(node.get("objtype", "")), object_name(item))


def on_grant_role(walk: Walk, node: Node, scope: Scope) -> None:
    walk.does("admin", "grant_role" if node.get("is_grant") else "revoke_role")
    walk.changes_catalogue = True
    _roles(walk, node)


def on_default_privileges(walk: Walk, node: Node, scope: Scope) -> None:
    walk.does("admin", "alter_default_privileges")
    walk.changes_catalogue = True
    _roles(walk, node.get("action", {}))


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
    _note(walk, "alters", "database", node.get("dbname", ""))
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
    inner = nested(walk, node.get("query"))
    walk.prepares = (node.get("name", ""), inner)


def on_declare(walk: Walk, node: Node, scope: Scope) -> None:
    walk.does("session", "declare")
    inner = nested(walk, node.get("query"))
    walk.declares = (node.get("portalname", ""), inner)


def nested(walk: Walk, query: Node | None) -> Any:
    """Walk a statement inside a statement on its own, and add all of it to the outer one.

    What it sets isn't set yet: that is in the inner statement's ``sets``, and only named by the outer one.
    """
    inner = Walk(walk.grammar, body_depth=walk.body_depth)
    inner.run(query or {})
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


# --- data in bulk, maintenance, code --------------------------------------------------------------------------------


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


def on_constraint(walk: Walk, node: Node, scope: Scope) -> None:
    walk.reads_relation(node.get("pktable"))
    walk.push_children("Constraint", node, scope, skip=("pktable",))


def on_table_like(walk: Walk, node: Node, scope: Scope) -> None:
    walk.reads_relation(node.get("relation"))


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
        _note(walk, "alters", "index" if index else "table", object_name(node["relation"]))
        walk.writes_relation(node["relation"])
    else:
        _note(walk, "alters", node.get("kind", "").removeprefix("REINDEX_OBJECT_").lower(), node.get("name", ""))


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


def _build() -> None:
    for line in _SIMPLE.strip().splitlines():
        kind, effects, word, verb, object_kind, field = line.split()
        HANDLERS[kind] = _simple(kind, tuple(effects.split(",")), word, verb, object_kind, field)


_build()
_SCHEMA: Final = HANDLERS["CreateSchemaStmt"]
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
        "CopyStmt": on_copy,
        "Constraint": on_constraint,
        "TableLikeClause": on_table_like,
        "LockStmt": on_lock,
        "VacuumStmt": on_vacuum,
        "ClusterStmt": on_cluster,
        "ReindexStmt": on_reindex,
        "RefreshMatViewStmt": on_refresh,
        "CallStmt": on_call,
        "DoStmt": on_do,
        "CreateFunctionStmt": on_function_definition,
        "AlterTableCmd": on_alter_table,
        "PartitionCmd": on_alter_table,
    }
)
