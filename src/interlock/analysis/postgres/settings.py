# ruff: noqa: SIM905 - a list of names reads best as one
"""What setting a parameter does: the effect, and whether it may end read-only mode."""

from typing import Any, Final

Assignment = tuple[str, str | None, bool]
"""(name, value or None, is local); the name is ``*`` for all of them, or for one that isn't known."""

READ_ONLY: Final = frozenset(("transaction_read_only", "default_transaction_read_only"))

ADMIN: Final = frozenset(
    """
    session_replication_role row_security allow_system_table_mods allow_in_place_tablespaces zero_damaged_pages
    ignore_system_indexes ignore_checksum_failure session_preload_libraries local_preload_libraries
    shared_preload_libraries dynamic_library_path jit_provider lo_compat_privileges event_triggers
    createrole_self_grant commit_delay update_process_title track_activities track_counts track_functions
    track_io_timing track_wal_io_timing track_cost_delay_timing deadlock_timeout max_stack_depth temp_file_limit
    backtrace_functions exit_on_error restart_after_crash is_superuser compute_query_id extension_control_path
    """.split()
)
ADMIN_PREFIXES: Final = ("log_", "wal_", "debug_", "auto_explain.", "pgaudit.", "trace_", "plpgsql.variable_conflict")

HARMLESS_AT_ANY_VALUE: Final = frozenset(
    """
    application_name client_min_messages
    statement_timeout lock_timeout idle_in_transaction_session_timeout idle_session_timeout transaction_timeout
    extra_float_digits bytea_output intervalstyle datestyle timezone
    jit jit_above_cost jit_inline_above_cost jit_optimize_above_cost work_mem
    geqo geqo_threshold geqo_effort geqo_pool_size geqo_generations geqo_selection_bias geqo_seed
    enable_async_append enable_bitmapscan enable_distinct_reordering enable_gathermerge enable_group_by_reordering
    enable_hashagg enable_hashjoin enable_incremental_sort enable_indexonlyscan enable_indexscan enable_material
    enable_memoize enable_mergejoin enable_nestloop enable_parallel_append enable_parallel_hash
    enable_partition_pruning enable_partitionwise_aggregate enable_partitionwise_join enable_presorted_aggregate
    enable_self_join_elimination enable_seqscan enable_sort enable_tidscan
    """.split()
)
"""Settings read one by one: whatever their value, they change form, plan or patience of this session and no rights.

A ``set_config()`` of one of them needs no known value. Not here: what names code or roles (search_path, role), what
policy reads (read-only modes), what the gateway's own reading of text hangs on (client_encoding,
standard_conforming_strings), what lifts protection (row_security, session_replication_role), and all unknown names.
"""

_TRUE: Final = frozenset(("on", "t", "tr", "tru", "true", "y", "ye", "yes", "1"))


def constant(node: dict[str, Any]) -> str | None:
    """The text of a constant, or None if it isn't one (NULL isn't)."""
    while "TypeCast" in node:
        cast = node["TypeCast"]
        names = cast.get("typeName", {}).get("names", [])
        if not names or names[-1].get("String", {}).get("sval") not in ("text", "varchar", "bool", "boolean"):
            return None
        node = cast.get("arg", {})
    value = node.get("A_Const")
    if value is None or value.get("isnull"):
        return None
    for kind in ("sval", "fval", "bsval"):
        if kind in value:
            return str(value[kind].get(kind, ""))
    if "boolval" in value:
        return "on" if value["boolval"].get("boolval") else "off"
    if "ival" in value:
        return str(value["ival"].get("ival", 0))
    return None


def is_on(value: str | None) -> bool:
    """Tell whether PostgreSQL takes a value for a true boolean; doubt is no."""
    return value is not None and value.strip().lower() in _TRUE


def assigned(assignment: Assignment) -> tuple[str, str, bool, str]:
    """(effect, word, lifts read-only, role) of one assignment."""
    name, value, _ = assignment
    if name == "*":
        return "session", "reset", True, ""
    if name == "role":
        return "admin", "set_role", False, value or "none"
    if name == "session_authorization":
        return "admin", "set_session_authorization", False, value or "default"
    lifts = name in READ_ONLY and not is_on(value)
    effect = "admin" if name in ADMIN or name.startswith(ADMIN_PREFIXES) else "session"
    return effect, "set" if value is not None else "reset", lifts, ""
