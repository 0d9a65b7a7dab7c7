"""The table of leaf actions and of facts that the schema is built from.

A leaf is ``<effect>/<protocol>.<kind>`` and belongs to exactly one effect. A kind that this table doesn't have is asked
about as ``<effect>/<protocol>.other``: policies on the effect still decide it. An effect or protocol that the table
doesn't have is never asked about: it is denied.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from interlock.core.action import Effect, FactValue

CONNECT: Final = "session/connect"
"""Asked when a session opens; its obligations decide ``@read_only``."""

POSTGRES_KINDS: Final = tuple(
    sorted(
        """
        select insert update delete merge truncate values table copy copy_in copy_out copy_program explain show call do
        prepare execute deallocate declare fetch move close begin start commit rollback savepoint release rollback_to
        prepare_transaction commit_prepared rollback_prepared set_transaction set_constraints set reset discard listen
        notify unlisten lock checkpoint vacuum analyze cluster reindex refresh load comment security_label grant revoke
        grant_role revoke_role reassign_owned drop_owned set_role set_session_authorization alter_system
        import_foreign_schema
        create_table create_table_as select_into create_view create_index create_sequence create_schema create_database
        create_role create_extension create_function create_procedure create_trigger create_event_trigger create_rule
        create_policy create_type create_domain create_enum create_range create_aggregate create_operator
        create_operator_class create_operator_family create_cast create_conversion create_collation create_language
        create_access_method create_transform create_tablespace create_foreign_data_wrapper create_server
        create_foreign_table create_user_mapping create_publication create_subscription create_statistics
        create_text_search create_materialized_view
        alter alter_table alter_column drop_column alter_view alter_index alter_sequence alter_schema alter_database
        alter_role alter_role_set alter_database_set alter_extension alter_function alter_type alter_domain alter_enum
        alter_owner alter_object_schema alter_object_depends alter_operator alter_operator_family alter_policy
        alter_event_trigger alter_trigger alter_default_privileges alter_tablespace alter_foreign_data_wrapper
        alter_server alter_user_mapping alter_publication alter_subscription alter_statistics alter_collation
        alter_text_search alter_materialized_view rename
        drop drop_table drop_view drop_index drop_sequence drop_schema drop_database drop_role drop_extension
        drop_function drop_type drop_tablespace drop_user_mapping drop_subscription
        function_call parse describe bind empty batch unparsed replication other
        """.split()  # noqa: SIM905 a table to read, not a list to scroll
    )
)
"""Statement kinds, and what a client can ask for outside SQL."""

KINDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({"postgres": POSTGRES_KINDS})

BOOL: Final = "Bool"
LONG: Final = "Long"
STRINGS: Final = "Set<String>"

POSTGRES_FACTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "statement_count": LONG,
        "kinds": STRINGS,
        "reads": STRINGS,
        "writes": STRINGS,
        "creates": STRINGS,
        "alters": STRINGS,
        "drops": STRINGS,
        "columns": STRINGS,
        "functions": STRINGS,
        "unresolved_functions": STRINGS,
        "roles": STRINGS,
        "settings": STRINGS,
        "files": STRINGS,
        "programs": STRINGS,
        "languages": STRINGS,
        "bounded": BOOL,
        "dynamic": BOOL,
        "lifts_read_only": BOOL,
        "body_effects": STRINGS,
        "body_writes": STRINGS,
        "parameters": LONG,
        "large": BOOL,
    }
)

FACTS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType({"postgres": POSTGRES_FACTS})

CONNECT_FACTS: Final[Mapping[str, FactValue]] = MappingProxyType(
    {
        name: () if kind == STRINGS else (name == "bounded" if kind == BOOL else 0)
        for name, kind in POSTGRES_FACTS.items()
    }
)
"""Connecting has no statement: the facts are those of an empty text."""


def _known() -> dict[str, str]:
    leaves = {CONNECT: CONNECT}
    for protocol, kinds in KINDS.items():
        for effect in Effect:
            for kind in kinds:
                leaf = f"{effect.value}/{protocol}.{kind}"
                leaves[leaf] = leaf
    return leaves


KNOWN_LEAVES: Final[Mapping[str, str]] = MappingProxyType(_known())


def schema_leaf(leaf: str) -> str | None:
    """The schema's leaf that stands for this one, or None for an effect or protocol that the schema doesn't have."""
    known = KNOWN_LEAVES.get(leaf)
    if known is not None:
        return known
    effect, slash, rest = leaf.partition("/")
    protocol, dot, kind = rest.partition(".")
    if not (slash and dot and kind):
        return None
    return KNOWN_LEAVES.get(f"{effect}/{protocol}.other")


def leaf_ancestors(leaf: str) -> frozenset[str]:
    """The schema leaf and all action groups that it is in."""
    effect, _, rest = leaf.partition("/")
    protocol, dot, _ = rest.partition(".")
    if not dot:
        return frozenset((leaf, effect))
    return frozenset((leaf, f"{effect}/{protocol}", effect, protocol))


def leaf_protocol(leaf: str) -> str:
    """``postgres`` of ``read/postgres.select``; that of connecting too, until a second protocol's facts are here."""
    protocol, dot, _ = leaf.partition("/")[2].partition(".")
    return protocol if dot else "postgres"
