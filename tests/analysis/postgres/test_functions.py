import pytest

from interlock.analysis.postgres.functions import EFFECT_OF_DANGER, SHIPPED_FUNCTIONS, judge_shipped
from interlock.analysis.postgres.reviewed import DANGEROUS_RELATIONS, DANGERS, VOLATILE_HARMLESS


@pytest.mark.parametrize(
    "name", ["lower", "count", "now", "random", "pg_get_viewdef", "has_table_privilege", "current_setting", "xpath"]
)
def test_somebody_calls_a_shipped_function_that_only_reads(name: str) -> None:
    assert judge_shipped((name,)).harmless
    assert judge_shipped(("pg_catalog", name)).harmless
    assert judge_shipped((name,)).effect == ""


@pytest.mark.parametrize(
    ("name", "danger", "effect"),
    [
        ("pg_read_file", "files", "execute"),
        ("lo_export", "files", "execute"),
        ("lo_get", "large_objects", "execute"),
        ("dblink_exec", "network", "execute"),
        ("query_to_xml", "dynamic_sql", "execute"),
        ("table_to_xml", "dynamic_sql", "execute"),
        ("ts_stat", "dynamic_sql", "execute"),
        ("ts_rewrite", "dynamic_sql", "execute"),
        ("domain_in", "dynamic_sql", "execute"),
        ("pg_terminate_backend", "sessions", "execute"),
        ("pg_logical_emit_message", "replication", "execute"),
        ("pg_reload_conf", "server", "execute"),
        ("pg_stat_reset", "statistics", "execute"),
        ("pg_notify", "notify", "execute"),
        ("set_config", "settings", "session"),
        ("pg_advisory_lock", "lock", "session"),
        ("nextval", "sequence", "write"),
    ],
)
def test_somebody_calls_a_dangerous_shipped_function_T4_T7(name: str, danger: str, effect: str) -> None:
    for written in ((name,), ("pg_catalog", name), ("db", "pg_catalog", name)):
        judgement = judge_shipped(written)
        assert (judgement.verdict, judgement.dangerous, judgement.effect) == ("dangerous", danger, effect)
    assert judge_shipped(("public", name)).effect == "execute", "a user's function, whatever a shipped one does"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (("frobnicate",), "function"),
        (("public", "lower"), "function"),
        (("pg_temp", "lower"), "function"),
        (("LOWER",), "function"),
        ((), "function"),
        (("public", "="), "operator"),
        (("=%=",), "operator"),
        (("public", "text"), "cast"),
        (("mood",), "cast"),
    ],
)
def test_somebody_calls_what_isnt_shipped_T4(name: tuple[str, ...], kind: str) -> None:
    judgement = judge_shipped(name, kind)
    assert (judgement.verdict, judgement.effect) == ("unknown", "execute")


def test_somebody_uses_shipped_operators_and_types() -> None:
    assert all(judge_shipped((name,), "operator").harmless for name in ("=", "#", "->>", "@@", "~~*"))
    assert all(judge_shipped(("pg_catalog", name), "cast").harmless for name in ("int4", "text", "_text", "regclass"))


def test_a_reviewer_sees_that_no_name_has_two_verdicts() -> None:
    assert not SHIPPED_FUNCTIONS & DANGERS.keys()
    assert not VOLATILE_HARMLESS.keys() & DANGERS.keys()
    assert not SHIPPED_FUNCTIONS & VOLATILE_HARMLESS.keys()
    assert set(DANGERS.values()) == set(EFFECT_OF_DANGER)
    assert set(DANGEROUS_RELATIONS.values()) <= DANGERS.keys()
