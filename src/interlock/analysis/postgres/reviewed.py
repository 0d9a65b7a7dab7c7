"""Names that were read one by one: what is dangerous, and which volatile functions are harmless and why.

Only names and reasons live here; ``functions`` judges by them. A name that several overloads share is judged by its
gravest one.
"""

from types import MappingProxyType
from typing import Final

_BY_DANGER: Final = {
    "sequence": "nextval setval",
    "lock": """
        pg_advisory_lock pg_advisory_lock_shared pg_advisory_unlock pg_advisory_unlock_all pg_advisory_unlock_shared
        pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_try_advisory_lock pg_try_advisory_lock_shared
        pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared
        """,
    "settings": "set_config set_limit",
    "seed": "setseed",
    "snapshot": "pg_export_snapshot",
    "notify": "pg_notify",
    "files": """
        lo_import lo_export pg_read_file pg_read_file_old pg_read_binary_file pg_stat_file pg_ls_dir pg_ls_logdir
        pg_ls_waldir pg_ls_tmpdir pg_ls_archive_statusdir pg_ls_logicalmapdir pg_ls_logicalsnapdir pg_ls_replslotdir
        pg_ls_summariesdir pg_current_logfile pg_hba_file_rules pg_ident_file_mappings pg_show_all_file_settings
        pg_available_wal_summaries pg_wal_summary_contents
        pg_file_write pg_file_sync pg_file_rename pg_file_unlink pg_file_read pg_file_length pg_logdir_ls
        pg_get_wal_records_info pg_get_wal_record_info pg_get_wal_stats pg_get_wal_block_info
        """,
    "network": """
        dblink dblink_connect dblink_connect_u dblink_disconnect dblink_exec dblink_open dblink_fetch dblink_close
        dblink_send_query dblink_is_busy dblink_get_result dblink_get_connections dblink_cancel_query
        dblink_error_message dblink_get_notify postgres_fdw_get_connections postgres_fdw_disconnect
        postgres_fdw_disconnect_all http http_get http_post http_put http_patch http_delete http_head
        """,
    "sessions": "pg_terminate_backend pg_cancel_backend pg_log_backend_memory_contexts",
    "dynamic_sql": """
        query_to_xml query_to_xmlschema query_to_xml_and_xmlschema cursor_to_xml cursor_to_xmlschema
        table_to_xml table_to_xmlschema table_to_xml_and_xmlschema schema_to_xml schema_to_xmlschema
        schema_to_xml_and_xmlschema database_to_xml database_to_xmlschema database_to_xml_and_xmlschema
        ts_stat ts_rewrite array_in record_in range_in multirange_in domain_in pg_input_is_valid pg_input_error_info
        crosstab crosstab2 crosstab3 crosstab4 crosstabn connectby xpath_table
        dblink_build_sql_insert dblink_build_sql_update dblink_build_sql_delete
        """,
    "large_objects": """
        lo_close lo_creat lo_create lo_from_bytea lo_get lo_lseek lo_lseek64 lo_open lo_put lo_tell lo_tell64
        lo_truncate lo_truncate64 lo_unlink loread lowrite lo_manage
        """,
    "replication": """
        pg_copy_logical_replication_slot pg_copy_physical_replication_slot pg_create_logical_replication_slot
        pg_create_physical_replication_slot pg_drop_replication_slot pg_logical_emit_message
        pg_logical_slot_get_binary_changes pg_logical_slot_get_changes pg_logical_slot_peek_binary_changes
        pg_logical_slot_peek_changes pg_replication_origin_advance pg_replication_origin_create
        pg_replication_origin_drop pg_replication_origin_progress pg_replication_origin_session_is_setup
        pg_replication_origin_session_progress pg_replication_origin_session_reset pg_replication_origin_session_setup
        pg_replication_origin_xact_reset pg_replication_origin_xact_setup pg_replication_slot_advance
        pg_sync_replication_slots
        """,
    "server": """
        pg_backup_start pg_backup_stop pg_start_backup pg_stop_backup pg_create_restore_point pg_promote pg_reload_conf
        pg_rotate_logfile pg_rotate_logfile_old pg_switch_wal pg_switch_xlog pg_wal_replay_pause pg_wal_replay_resume
        pg_log_standby_snapshot pg_logfile_rotate
        """,
    "statistics": """
        pg_stat_reset pg_stat_reset_replication_slot pg_stat_reset_shared pg_stat_reset_single_function_counters
        pg_stat_reset_single_table_counters pg_stat_reset_slru pg_stat_reset_subscription_stats
        pg_stat_reset_backend_stats pg_clear_attribute_stats pg_clear_relation_stats pg_restore_attribute_stats
        pg_restore_relation_stats pg_stat_statements_reset
        """,
    "maintenance": """
        brin_desummarize_range brin_summarize_new_values brin_summarize_range gin_clean_pending_list
        pg_import_system_collations pg_prewarm autoprewarm_start_worker autoprewarm_dump_now bt_index_check
        bt_index_parent_check verify_heapam gin_index_check heap_force_kill heap_force_freeze pg_truncate_visibility_map
        pg_buffercache_evict pg_buffercache_evict_relation pg_buffercache_evict_all
        """,
    "internal": """
        RI_FKey_cascade_del RI_FKey_cascade_upd RI_FKey_check_ins RI_FKey_check_upd RI_FKey_noaction_del
        RI_FKey_noaction_upd RI_FKey_restrict_del RI_FKey_restrict_upd RI_FKey_setdefault_del RI_FKey_setdefault_upd
        RI_FKey_setnull_del RI_FKey_setnull_upd
        binary_upgrade_add_sub_rel_state binary_upgrade_create_empty_extension
        binary_upgrade_logical_slot_has_caught_up binary_upgrade_replorigin_advance binary_upgrade_set_missing_value
        binary_upgrade_set_next_array_pg_type_oid binary_upgrade_set_next_heap_pg_class_oid
        binary_upgrade_set_next_heap_relfilenode binary_upgrade_set_next_index_pg_class_oid
        binary_upgrade_set_next_index_relfilenode binary_upgrade_set_next_multirange_array_pg_type_oid
        binary_upgrade_set_next_multirange_pg_type_oid binary_upgrade_set_next_pg_authid_oid
        binary_upgrade_set_next_pg_enum_oid binary_upgrade_set_next_pg_tablespace_oid
        binary_upgrade_set_next_pg_type_oid binary_upgrade_set_next_toast_pg_class_oid
        binary_upgrade_set_next_toast_relfilenode binary_upgrade_set_record_init_privs
        pg_extension_config_dump pg_nextoid pg_stop_making_pinned_objects
        fmgr_c_validator fmgr_internal_validator fmgr_sql_validator plpgsql_call_handler plpgsql_inline_handler
        plpgsql_validator
        """,
}

DANGERS: Final = MappingProxyType({name: danger for danger, names in _BY_DANGER.items() for name in names.split()})
"""Name -> danger. Those that only extensions have are here too, so that a reader of the log sees why."""

_VOLATILE_BY_REASON: Final = {
    "reads the clock": "clock_timestamp timeofday",
    "draws a random number": "gen_random_uuid random random_normal array_sample array_shuffle uuidv4 uuidv7",
    "waits; time limits are the gateway's and the server's": "pg_sleep pg_sleep_for pg_sleep_until",
    "shows what the client itself sent": "current_query",
    "reads a sequence without moving it": "currval lastval pg_sequence_last_value pg_get_sequence_data",
    "reads a row's version": "currtid2",
    "reads sizes": """
        pg_database_size pg_indexes_size pg_relation_size pg_table_size pg_tablespace_size pg_total_relation_size
        """,
    "reads the partition hierarchy": "pg_partition_ancestors pg_partition_tree",
    "reads versions of collations": "pg_collation_actual_version pg_database_collation_actual_version",
    "reads the server's state": """
        pg_blocking_pids pg_safe_snapshot_blocking_pids pg_lock_status pg_prepared_xact pg_control_checkpoint
        pg_control_init pg_control_recovery pg_control_system pg_current_wal_flush_lsn pg_current_wal_insert_lsn
        pg_current_wal_lsn pg_get_backend_memory_contexts pg_get_multixact_members pg_get_shmem_allocations
        pg_get_shmem_allocations_numa pg_get_wal_replay_pause_state pg_get_wal_resource_managers pg_is_in_recovery
        pg_is_wal_replay_paused pg_isolation_test_session_is_blocked pg_jit_available pg_last_committed_xact
        pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_notification_queue_usage
        pg_show_replication_origin_status pg_get_aios pg_get_loaded_modules pg_get_wait_events
        pg_get_wal_summarizer_state
        """,
    "reads the state of transactions": """
        pg_xact_commit_timestamp pg_xact_commit_timestamp_origin pg_xact_status txid_status
        """,
    "reads statistics": """
        pg_stat_get_recovery_prefetch pg_stat_get_xact_blocks_fetched pg_stat_get_xact_blocks_hit
        pg_stat_get_xact_function_calls pg_stat_get_xact_function_self_time pg_stat_get_xact_function_total_time
        pg_stat_get_xact_numscans pg_stat_get_xact_tuples_deleted pg_stat_get_xact_tuples_fetched
        pg_stat_get_xact_tuples_hot_updated pg_stat_get_xact_tuples_inserted pg_stat_get_xact_tuples_newpage_updated
        pg_stat_get_xact_tuples_returned pg_stat_get_xact_tuples_updated pg_stat_have_stats pg_stat_get_backend_io
        pg_stat_get_backend_wal pg_stat_get_io
        """,
    "concerns only what this session sees of statistics": "pg_stat_clear_snapshot pg_stat_force_next_flush",
    "works only as a trigger, and changes at most the row at hand": """
        suppress_redundant_updates_trigger tsvector_update_trigger tsvector_update_trigger_column unique_key_recheck
        """,
    "describes how a method works; its argument can't be made in SQL": """
        amvalidate bernoulli system brinhandler bthandler ginhandler gisthandler hashhandler spghandler
        heap_tableam_handler dsnowball_init dsnowball_lexize
        """,
}

VOLATILE_HARMLESS: Final = MappingProxyType(
    {name: reason for reason, names in _VOLATILE_BY_REASON.items() for name in names.split()}
)
"""Volatile, and harmless all the same: name -> why."""

_EXTENSION_VOLATILE: Final = """
    gen_random_bytes gen_random_uuid gen_salt uuid_generate_v1 uuid_generate_v1mc uuid_generate_v4
    pgp_sym_encrypt pgp_sym_encrypt_bytea pgp_pub_encrypt pgp_pub_encrypt_bytea
    pg_stat_statements pg_stat_statements_info pgstattuple pgstatindex pgstattuple_approx pg_relpages
    pg_buffercache_pages pg_buffercache_summary pg_freespace pg_visibility pg_visibility_map pg_visibility_map_summary
    pgrowlocks
    normal_rand
    """
EXTENSION_VOLATILE_HARMLESS: Final = frozenset(_EXTENSION_VOLATILE.split())
"""Volatile C functions of PostgreSQL's own extensions that only read or draw a random number.

They count only where an extension brought them and a superuser owns them.
"""

DANGEROUS_RELATIONS: Final = MappingProxyType(
    {
        "pg_file_settings": "pg_show_all_file_settings",
        "pg_hba_file_rules": "pg_hba_file_rules",
        "pg_ident_file_mappings": "pg_ident_file_mappings",
    }
)
"""System views that run a dangerous function: view -> function."""

_CALLS_CASTS_TO_JSON: Final = """
    to_json to_jsonb row_to_json array_to_json json_build_object json_build_array jsonb_build_object jsonb_build_array
    json_agg jsonb_agg json_agg_strict jsonb_agg_strict json_object_agg jsonb_object_agg json_object_agg_strict
    jsonb_object_agg_strict json_object_agg_unique jsonb_object_agg_unique json_object_agg_unique_strict
    jsonb_object_agg_unique_strict
    """
CALLS_CASTS_TO_JSON: Final = frozenset(_CALLS_CASTS_TO_JSON.split())
"""Shipped functions that run a user's cast to json, where the value's type has one."""

_CALLS_TYPE_INPUT: Final = """
    json_populate_record json_populate_recordset jsonb_populate_record jsonb_populate_recordset json_to_record
    jsonb_populate_record_valid json_to_recordset jsonb_to_record jsonb_to_recordset
    """
CALLS_TYPE_INPUT: Final = frozenset(_CALLS_TYPE_INPUT.split())
"""Shipped functions that make values of a type given by the call, and so run its domains' checks."""
