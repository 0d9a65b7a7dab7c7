from collections.abc import Iterable

import pytest

from interlock.analysis.postgres.catalogue import Catalogue
from interlock.analysis.postgres.catalogue_rows import Row
from interlock.analysis.postgres.statement import Call

NO_ROWS: dict[str, list[Row]] = {
    name: [] for name in ("functions", "operators", "casts", "types", "relations", "edges", "shipped", "event_triggers")
}


def function(oid: int, name: str, **changed: str) -> Row:
    row = {
        "oid": str(oid), "schema": "public", "name": name, "kind": "f", "volatility": "s", "language": "sql",
        "definer": "false", "owner": "app", "superuser": "false", "settings": "false", "low": "0", "high": "0",
        "extension": "false", "column": "false", "source": "",
    }  # fmt: skip
    return tuple((row | changed).values())


def relation(oid: int, name: str, kind: str = "r", schema: str = "public") -> Row:
    return (str(oid), schema, name, kind, "t" if schema.startswith("pg_temp") else "p", str(oid + 1))


def catalogue(bodies: dict[str, tuple[Call, ...]] | None = None, **rows: Iterable[Row]) -> Catalogue:
    def analyse(source: str) -> tuple[tuple[Call, ...], tuple[tuple[str, ...], ...], tuple[str, ...]] | None:
        calls = (bodies or {}).get(source)
        return None if calls is None else (calls, (), ())

    return Catalogue.from_rows({**NO_ROWS, **rows}, analyse_body=analyse)


def test_a_client_calls_a_shipped_name_that_nobody_shadows() -> None:
    empty = catalogue()
    assert empty.judge(("lower",)).harmless
    assert empty.judge(("=",), "operator", 2).harmless
    assert empty.judge(("pg_read_file",)).dangerous == "files"
    assert empty.judge(("nosuch",)).verdict == "unknown"
    assert empty.judge((), "function").verdict == "unknown"


def test_a_client_calls_anything_after_changing_the_catalogue_itself_T4() -> None:
    empty = catalogue(relations=[relation(16500, "orders")])
    for name, kind in (("lower", "function"), ("=", "operator"), ("text", "cast"), ("id", "column")):
        assert empty.judge((name,), kind, -1, True).verdict == "unknown"
    assert empty.judge(("pg_read_file",), "function", 1, True).dangerous == "files"
    assert empty.judge(("pg_catalog", "nextval"), "function", 1, True).dangerous == "sequence"
    assert empty.judge(("nextval",), "function", 1, True).verdict == "unknown"
    assert empty.relation_code(("orders",), False) == ()
    assert empty.relation_code(("orders",), False, True) == ("relation orders",)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"volatility": "v", "language": "plpgsql"},
        {"language": "plpgsql", "volatility": "i"},
        {"language": "c", "volatility": "i"},
        {"language": "c", "volatility": "v", "superuser": "true", "extension": "true"},
        {"language": "c", "volatility": "s", "superuser": "true"},
        {"language": "c", "volatility": "i", "superuser": "true", "definer": "true"},
        {"language": "c", "volatility": "i", "superuser": "true", "settings": "true"},
        {"language": "c", "volatility": "i", "superuser": "true", "kind": "p"},
    ],
)
def test_a_client_calls_a_shipped_name_that_a_user_overloaded_T4(changed: dict[str, str]) -> None:
    shadowed = catalogue(functions=[function(16500, "lower", high="1", **changed)])
    judgement = shadowed.judge(("lower",), "function", 1)
    assert (judgement.verdict, judgement.effect) == ("unknown", "execute")
    assert [facts.name for facts in judgement.candidates] == ["lower"]
    assert not shadowed.judge(("lower",)).harmless
    assert shadowed.judge(("pg_catalog", "lower"), "function", 1).harmless
    if "kind" not in changed:
        assert shadowed.judge(("lower",), "function", 2).harmless


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("citext_eq", {"language": "c", "volatility": "i"}),
        ("similarity_op", {"language": "c", "volatility": "s", "extension": "true"}),
        ("uuid_generate_v4", {"language": "c", "volatility": "v", "extension": "true"}),
    ],
)
def test_a_client_calls_a_trusted_extension(name: str, changed: dict[str, str]) -> None:
    assert catalogue(functions=[function(16500, name, superuser="true", **changed)]).judge((name,)).harmless


def test_a_client_calls_an_sql_function_whose_body_only_reads() -> None:
    functions = [
        function(16500, "good", source="good"),
        function(16501, "outer", source="outer"),
        function(16502, "bad", source="bad"),
        function(16503, "evil", volatility="v", source="good"),
        function(16504, "recursive", source="recursive"),
        function(16505, "opaque", source="?"),
    ]
    bodies: dict[str, tuple[Call, ...]] = {
        "good": (Call(("lower",), 1, "function"),),
        "outer": (Call(("good",), 0, "function"),),
        "bad": (Call(("evil",), 0, "function"),),
        "recursive": (Call(("recursive",), 0, "function"),),
    }
    made = catalogue(bodies, functions=functions)
    assert [row[2] for row in functions if made.judge((str(row[2]),)).harmless] == ["good", "outer"]
    assert not Catalogue.from_rows({**NO_ROWS, "functions": functions}).judge(("good",)).harmless


def test_a_superuser_makes_a_cast_between_shipped_types_that_any_statement_could_use_T4() -> None:
    made = catalogue(
        functions=[function(16500, "f")],
        casts=[("23", "int4", "16", "bool", "16500", "f")],
        relations=[relation(16600, "orders")],
    )
    assert not made.judge(("=",), "operator").harmless
    assert not made.judge(("lower",)).harmless
    assert made.relation_code(("orders",), for_write=False) == ("public.f",)
    assert made.user_casts == {"bool"}


def test_a_client_names_a_relation_that_several_schemas_or_none_have_T4() -> None:
    made = catalogue(
        functions=[function(16500, "f", volatility="v")],
        relations=[
            relation(16600, "orders"),
            relation(16700, "orders", "v", "evil"),
            relation(16800, "orders", "r", "pg_temp_3"),
        ],
        edges=[("R16700", "r", "F16500"), ("R16800", "w", "F16500")],
    )  # fmt: skip
    assert made.relation_code(("orders",), for_write=False) == ("public.f",)
    assert made.relation_code(("public", "orders"), for_write=False) == ()
    assert made.relation_code(("public", "orders"), for_write=True) == ()
    assert made.relation_code(("db", "evil", "orders"), for_write=False) == ("public.f",)
    assert made.relation_code(("pg_temp", "orders"), for_write=False) == ()
    assert made.relation_code(("pg_temp", "orders"), for_write=True) == ("public.f",)
    assert made.relation_code(("nosuch",), for_write=False) == ("relation nosuch",)
    assert made.relation_facts(("orders",)).view
    assert made.relation_facts(("orders",)).temporary
    assert not made.relation_facts(("nosuch",)).known


def test_a_client_reads_a_foreign_table_behind_two_views_that_read_each_other_T7() -> None:
    made = catalogue(
        relations=[relation(16600, "v", "v"), relation(16700, "w", "v"), relation(16800, "far", "f")],
        edges=[("R16600", "r", "R16700"), ("R16700", "r", "R16600"), ("R16700", "r", "R16800")],
    )
    assert made.relation_code(("v",), for_write=False) == ("foreign table public.far",)
    assert made.relation_facts(("far",)).foreign_table


def test_an_operator_makes_ddl_run_code_by_event_triggers_T4() -> None:
    made = catalogue(functions=[function(16500, "f")], event_triggers=[("e", "ddl_command_start", "16500")])
    assert made.event_trigger_code == ("public.f",)


def test_the_version_tells_catalogues_apart_but_not_the_order_of_rows() -> None:
    one, two = relation(16600, "a"), relation(16700, "b")
    assert catalogue(relations=[one, two]).version == catalogue(relations=[two, one]).version
    assert catalogue(relations=[one]).version != catalogue(relations=[two]).version


@pytest.mark.parametrize("name", ["setseed", "nextval", "pg_advisory_lock", "pg_export_snapshot"])
def test_a_user_overloads_a_name_whose_danger_is_mild_and_it_counts_as_code_T4(name: str) -> None:
    """PostgreSQL takes a user's ``setseed(text)`` for ``setseed('1')``, wherever its schema is in the search path."""
    mine = catalogue(functions=[function(16500, name, volatility="v", low="1", high="1")])
    assert mine.judge((name,), "function", 1).effect == "execute"
    assert mine.judge(("public", name), "function", 1).effect == "execute"
    assert mine.judge(("pg_catalog", name), "function", 1).effect in {"session", "write"}
    assert catalogue().judge((name,), "function", 1).effect in {"session", "write"}


def test_a_user_overloads_set_config_and_it_is_no_mere_setting_T4() -> None:
    mine = catalogue(functions=[function(16500, "set_config", volatility="v", low="3", high="3")])
    assert mine.judge(("set_config",), "setting", 3).effect == "execute"
    assert catalogue().judge(("set_config",), "setting", 3).dangerous == "settings"


def test_a_parameter_has_a_domain_whose_check_runs_code_T4() -> None:
    mine = catalogue(
        functions=[function(16500, "purge", volatility="v", language="plpgsql")],
        types=[("16600", "public", "trap", "0"), ("16601", "public", "colour", "0")],
        relations=[relation(16700, "orders")],
        edges=[("T16600", "r", "F16500")],
    )
    assert mine.judge(("16600",), "type", 1).effect == "execute"
    assert mine.judge(("16601",), "type", 1).harmless
    assert mine.judge(("16701",), "type", 1).harmless
    assert mine.judge(("16602",), "type", 1).effect == "execute", "an array's type isn't in the snapshot"
    assert mine.judge(("16601",), "type", 1, True).effect == "execute"
