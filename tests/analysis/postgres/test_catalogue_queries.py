"""Code hidden wherever PostgreSQL lets it hide, on real servers: each case first proves that it really deletes (T4)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from interlock.analysis.postgres.catalogue import (
    BEGIN_QUERY,
    CHANGE_QUERY,
    END_QUERY,
    SETUP_QUERY,
    SNAPSHOT_QUERIES,
    Catalogue,
)
from interlock.analysis.postgres.functions import (
    SHIPPED_FUNCTIONS,
    SHIPPED_OPERATORS,
    SHIPPED_TYPES,
    judge_shipped,
)
from interlock.analysis.postgres.reviewed import DANGEROUS_RELATIONS
from tests.servers.embedded import EmbeddedPostgres

pytestmark = pytest.mark.integration

Connection = psycopg.Connection[tuple[Any, ...]]

MISCHIEF = """
CREATE TABLE victim (id int);
INSERT INTO victim VALUES (1);
CREATE TABLE plain (id int PRIMARY KEY, note text, UNIQUE (note), CHECK (id < 1000));
INSERT INTO plain VALUES (1, 'a'), (2, 'b');
CREATE FUNCTION g() RETURNS int LANGUAGE plpgsql VOLATILE AS 'BEGIN DELETE FROM public.victim; RETURN 1; END';
CREATE FUNCTION f(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM public.g(); RETURN x; END';
CREATE FUNCTION yes(x int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM public.g(); RETURN true; END';
CREATE FUNCTION tg() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM public.victim; RETURN NEW; END';
"""


def read_catalogue(connection: Connection) -> Catalogue:
    connection.execute(SETUP_QUERY.encode())
    connection.execute(BEGIN_QUERY.encode())
    rows = {name: connection.execute(sql.encode()).fetchall() for name, sql in SNAPSHOT_QUERIES}
    connection.execute(END_QUERY.encode())
    connection.execute(b"RESET search_path")
    return Catalogue.from_rows(rows)


def open_as_superuser(server: Any, database: str) -> Connection:
    if isinstance(server, EmbeddedPostgres):
        return server.connect(database)
    return psycopg.connect(host=str(server.folder), port=server.port, user="postgres", dbname=database, autocommit=True)


@pytest.fixture(params=["postgres", "embedded"])
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    server = request.getfixturevalue(request.param)
    with open_as_superuser(server, "postgres") as administrator:
        administrator.execute("DROP DATABASE IF EXISTS hiding")
        administrator.execute("CREATE DATABASE hiding TEMPLATE template0")
        with open_as_superuser(server, "hiding") as opened:
            opened.execute(MISCHIEF)
            yield opened
        administrator.execute("DROP DATABASE hiding")


@dataclass(frozen=True)
class Hiding:
    place: str
    setup: str
    statement: str
    reads: str = ""
    writes: str = ""
    call: tuple[str, str] = ("", "")
    """name, kind"""


CASES = [
    Hiding("select", "", "SELECT f(1)", call=("f", "function")),
    Hiding("order by", "", "SELECT 1 FROM plain ORDER BY f(id)", call=("f", "function")),
    Hiding("column notation", "CREATE FUNCTION h(plain) RETURNS int LANGUAGE sql AS 'SELECT public.g()';",
           "SELECT p.h FROM plain p", call=("h", "column")),
    Hiding("column notation, polymorphic",
           "CREATE FUNCTION h(anyelement) RETURNS int LANGUAGE sql AS 'SELECT public.g()';",
           "SELECT p.h FROM plain p", call=("h", "column")),
    Hiding("overload of a shipped name", "CREATE FUNCTION lower(int) RETURNS int LANGUAGE sql AS 'SELECT public.g()';",
           "SELECT lower(1)", call=("lower", "function")),
    Hiding("variadic overload",
           "CREATE FUNCTION length(VARIADIC int[]) RETURNS int LANGUAGE sql AS 'SELECT public.g()';",
           "SELECT length(1, 2, 3)", call=("length", "function")),
    Hiding("security definer that says it's immutable",
           "CREATE FUNCTION s() RETURNS int LANGUAGE plpgsql IMMUTABLE SECURITY DEFINER AS"
           " 'BEGIN PERFORM public.g(); RETURN 1; END';", "SELECT s()", call=("s", "function")),
    Hiding("aggregate", "CREATE FUNCTION st(int, int) RETURNS int LANGUAGE sql AS 'SELECT public.g()';"
           "CREATE AGGREGATE total(int) (SFUNC = st, STYPE = int, INITCOND = '0');",
           "SELECT total(id) FROM plain", call=("total", "function")),
    Hiding("operator", "CREATE FUNCTION eq(int, int) RETURNS bool LANGUAGE sql AS 'SELECT public.g() = 1';"
           "CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = eq);", "SELECT 1 === 2",
           call=("===", "operator")),
    Hiding("operator of a shipped name", "CREATE FUNCTION eq(plain, int) RETURNS bool LANGUAGE sql"
           " AS 'SELECT public.g() = 1'; CREATE OPERATOR = (LEFTARG = plain, RIGHTARG = int, FUNCTION = eq);",
           "SELECT p = 1 FROM plain p", call=("=", "operator")),
    Hiding("explicit cast to a type", "CREATE TYPE box2 AS (a int); CREATE FUNCTION mk(int) RETURNS box2 LANGUAGE sql"
           " AS 'SELECT ROW(public.g())::box2'; CREATE CAST (int AS box2) WITH FUNCTION mk(int);",
           "SELECT 1::box2", call=("box2", "cast")),
    Hiding("functional notation of a cast", "CREATE TYPE box2 AS (a int); CREATE FUNCTION mk(int) RETURNS box2"
           " LANGUAGE sql AS 'SELECT ROW(public.g())::box2'; CREATE CAST (int AS box2) WITH FUNCTION mk(int);",
           "SELECT CAST(1 AS box2)", call=("box2", "function")),
    Hiding("explicit cast from a type", "CREATE TYPE box2 AS (a int); CREATE FUNCTION un(box2) RETURNS int LANGUAGE sql"
           " AS 'SELECT public.g()'; CREATE CAST (box2 AS int4) WITH FUNCTION un(box2);",
           "SELECT ROW(1)::box2::int", call=("int4", "cast")),
    Hiding("implicit cast of a column", "CREATE TYPE mood AS ENUM ('ok'); CREATE FUNCTION un(mood) RETURNS int LANGUAGE"
           " sql AS 'SELECT public.g()'; CREATE CAST (mood AS int4) WITH FUNCTION un(mood) AS IMPLICIT;"
           "CREATE TABLE moods (m mood); INSERT INTO moods VALUES ('ok');",
           "SELECT abs(m) FROM moods", reads="moods", writes="moods"),
    Hiding("cast to json", "CREATE TYPE mood AS ENUM ('ok'); CREATE FUNCTION j(mood) RETURNS json LANGUAGE sql"
           " AS $$ SELECT to_json(public.g()) $$; CREATE CAST (mood AS json) WITH FUNCTION j(mood);"
           "CREATE TABLE moods (m mood); INSERT INTO moods VALUES ('ok');",
           "SELECT to_json(m) FROM moods", reads="moods", call=("to_json", "function")),
    Hiding("domain", "CREATE DOMAIN small AS int CHECK (yes(VALUE));", "SELECT 1::small", call=("small", "cast")),
    Hiding("domain over an array of a domain", "CREATE DOMAIN small AS int CHECK (yes(VALUE));"
           "CREATE DOMAIN smalls AS small[] CHECK (array_length(VALUE, 1) < 9);",
           "SELECT '{1}'::smalls", call=("smalls", "cast")),
    Hiding("domain in a composite", "CREATE DOMAIN small AS int CHECK (yes(VALUE)); CREATE TYPE pair AS (a small);",
           "SELECT '(1)'::pair", call=("pair", "cast")),
    Hiding("domain reached by json", "CREATE DOMAIN small AS int CHECK (yes(VALUE));",
           """SELECT * FROM json_to_record('{"a":1}') AS r(a small)""", call=("json_to_record", "function")),
    Hiding("domain of a column", "CREATE DOMAIN small AS int CHECK (yes(VALUE)); CREATE TABLE t (a small);",
           "INSERT INTO t VALUES (1)", writes="t"),
    Hiding("default", "CREATE TABLE t (a int, b int DEFAULT f(1));", "INSERT INTO t (a) VALUES (1)", writes="t"),
    Hiding("check", "CREATE TABLE t (a int CHECK (yes(a)));", "INSERT INTO t VALUES (1)", writes="t"),
    Hiding("index expression", "CREATE TABLE t (a int); CREATE INDEX ON t (f(a));", "INSERT INTO t VALUES (1)",
           writes="t"),
    Hiding("index predicate", "CREATE TABLE t (a int); CREATE INDEX ON t (a) WHERE yes(a);", "INSERT INTO t VALUES (1)",
           writes="t"),
    Hiding("index expression folded by a mere select's planner",
           "CREATE TABLE t (a int); INSERT INTO t VALUES (1); CREATE INDEX ON t ((f(1) + a));",
           "SELECT 1 FROM t WHERE a = 1", reads="t"),
    Hiding("generated column", "CREATE TABLE t (a int, b int GENERATED ALWAYS AS (f(a)) STORED);",
           "INSERT INTO t VALUES (1)", writes="t"),
    Hiding("partition key", "CREATE TABLE t (a int) PARTITION BY RANGE (f(a)); CREATE TABLE t1 PARTITION OF t"
           " FOR VALUES FROM (0) TO (9);", "INSERT INTO t VALUES (1)", writes="t"),
    Hiding("partition key, written through the partition", "CREATE TABLE t (a int) PARTITION BY RANGE (f(a));"
           "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (9);", "INSERT INTO t1 VALUES (1)", writes="t1"),
    Hiding("trigger", "CREATE TABLE t (a int); CREATE TRIGGER tt BEFORE INSERT ON t FOR EACH ROW"
           " EXECUTE FUNCTION tg();", "INSERT INTO t VALUES (1)", writes="t"),
    Hiding("trigger's condition", "CREATE TABLE t (a int); CREATE TRIGGER tt BEFORE UPDATE ON t FOR EACH ROW"
           " WHEN (yes(1)) EXECUTE FUNCTION suppress_redundant_updates_trigger(); INSERT INTO t VALUES (1);",
           "UPDATE t SET a = 2 WHERE a = 1", writes="t"),
    Hiding("trigger of a partition", "CREATE TABLE t (a int) PARTITION BY RANGE (a); CREATE TABLE t1 PARTITION OF t"
           " FOR VALUES FROM (0) TO (9); CREATE TRIGGER tt BEFORE INSERT ON t1 FOR EACH ROW EXECUTE FUNCTION tg();",
           "INSERT INTO t VALUES (1)", writes="t"),
    Hiding("trigger of a child", "CREATE TABLE t (a int); CREATE TABLE t1 () INHERITS (t); INSERT INTO t1 VALUES (1);"
           "CREATE TRIGGER tt BEFORE UPDATE ON t1 FOR EACH ROW EXECUTE FUNCTION tg();",
           "UPDATE t SET a = 2 WHERE a = 1", writes="t"),
    Hiding("trigger behind a cascading key", "CREATE TABLE t (a int PRIMARY KEY); CREATE TABLE c (a int REFERENCES t"
           " ON DELETE CASCADE); INSERT INTO t VALUES (1); INSERT INTO c VALUES (1);"
           "CREATE TRIGGER tt AFTER DELETE ON c FOR EACH ROW EXECUTE FUNCTION tg();",
           "DELETE FROM t WHERE a = 1", writes="t"),
    Hiding("instead-of trigger of a view", "CREATE VIEW v AS SELECT id + 1 AS id FROM plain; CREATE TRIGGER tt INSTEAD"
           " OF INSERT ON v FOR EACH ROW EXECUTE FUNCTION tg();", "INSERT INTO v VALUES (1)", writes="v"),
    Hiding("trigger of a table below a view", "CREATE TABLE t (a int); CREATE VIEW v AS SELECT a FROM t; CREATE TRIGGER"
           " tt BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tg();", "INSERT INTO v VALUES (1)", writes="v"),
    Hiding("rule", "CREATE TABLE t (a int); CREATE RULE r AS ON INSERT TO t DO ALSO DELETE FROM victim;",
           "INSERT INTO t VALUES (1)", writes="t"),
    Hiding("view", "CREATE VIEW v AS SELECT f(id) FROM plain;", "SELECT * FROM v", reads="v"),
    Hiding("view of a view", "CREATE VIEW v AS SELECT f(id) AS x FROM plain; CREATE VIEW w AS SELECT x FROM v;",
           "SELECT * FROM w", reads="w"),
    Hiding("operator in a view", "CREATE FUNCTION eq(int, int) RETURNS bool LANGUAGE sql AS 'SELECT public.g() = 1';"
           "CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = eq);"
           "CREATE VIEW v AS SELECT 1 AS x FROM plain WHERE id === 1;", "SELECT x FROM v", reads="v"),
    Hiding("row policy", "CREATE TABLE t (a int); INSERT INTO t VALUES (1); ALTER TABLE t ENABLE ROW LEVEL SECURITY;"
           "CREATE POLICY p ON t USING (yes(a)); ALTER TABLE t FORCE ROW LEVEL SECURITY; DROP ROLE IF EXISTS reader;"
           "CREATE ROLE reader; GRANT ALL ON ALL TABLES IN SCHEMA public TO reader; SET ROLE reader;",
           "SELECT * FROM t", reads="t", writes="t"),
    Hiding("materialised view", "CREATE TABLE t (a int); CREATE MATERIALIZED VIEW m AS SELECT f(a) FROM t;"
           "INSERT INTO t VALUES (1);", "REFRESH MATERIALIZED VIEW m", writes="m"),
    Hiding("statistics expression", "CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 100);"
           "CREATE STATISTICS s ON (f(a)) FROM t;", "ANALYZE t", writes="t"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.place)
def test_a_user_hides_a_deletion_where_a_harmless_statement_runs_it_T4(connection: Connection, case: Hiding) -> None:
    before = read_catalogue(connection)
    assert before.relation_code(("plain",), for_write=True) == ()
    assert before.relation_code(("public", "plain"), for_write=False) == ()
    connection.execute(case.setup.encode())
    if case.setup:
        connection.execute("RESET ROLE")
        connection.execute("TRUNCATE victim; INSERT INTO victim VALUES (1)")
    after = read_catalogue(connection)
    if "SET ROLE" in case.setup:
        connection.execute("SET ROLE reader")
    connection.execute(case.statement.encode())
    assert connection.execute("SELECT count(*) FROM victim").fetchone() == (0,), "the case doesn't do what it says"
    if case.reads:
        assert after.relation_code((case.reads,), for_write=False)
        assert after.relation_code(("public", case.reads), for_write=False)
    elif case.writes:
        assert after.relation_code((case.writes,), for_write=True)
        assert after.relation_code(("public", case.writes), for_write=True)
    name, kind = case.call
    if name:
        assert not after.judge((name,), kind).harmless
        assert not after.judge(("public", name), kind).harmless
    assert after.relation_code(("plain",), for_write=True) == () or "plain" in case.setup


@pytest.mark.parametrize(
    ("setup", "relation", "for_write", "code"),
    [
        ("CREATE VIEW v AS SELECT pg_read_file('PG_VERSION')", "v", False, "pg_catalog.pg_read_file"),
        ("CREATE VIEW v AS SELECT 1 AS x FROM plain WHERE pg_cancel_backend(id)", "v", False,
         "pg_catalog.pg_cancel_backend"),
        ("CREATE VIEW v AS SELECT nextval('n')", "v", False, "pg_catalog.nextval"),
        ("CREATE VIEW v AS SELECT * FROM pg_hba_file_rules", "v", False, "pg_catalog.pg_hba_file_rules"),
        ("CREATE TABLE t (a int, b oid DEFAULT lo_creat(1))", "t", True, "pg_catalog.lo_creat"),
        ("CREATE TABLE t (a xml DEFAULT query_to_xml('SELECT g()', true, true, ''))", "t", True,
         "pg_catalog.query_to_xml"),
        ("CREATE TABLE t (a int); CREATE POLICY p ON t USING (pg_stat_file('.') IS NOT NULL)", "t", False,
         "pg_catalog.pg_stat_file"),
    ],
)  # fmt: skip
def test_a_user_hides_a_dangerous_shipped_function_that_dependencies_dont_record_T4_T7(
    connection: Connection, setup: str, relation: str, for_write: bool, code: str
) -> None:
    connection.execute("CREATE SEQUENCE n")
    connection.execute(setup.encode())
    assert read_catalogue(connection).relation_code((relation,), for_write) == (code,)


def test_a_user_works_with_ordinary_tables_and_trusted_extensions(connection: Connection) -> None:
    available = {name for (name,) in connection.execute("SELECT name FROM pg_available_extensions")}
    wanted = {"citext", "hstore", "pgcrypto", "uuid-ossp", "pg_trgm"} & available
    for name in sorted(wanted):
        connection.execute(f'CREATE EXTENSION "{name}"'.encode())
    connection.execute("""
        CREATE TYPE mood AS ENUM ('ok', 'bad');
        CREATE DOMAIN email AS text CHECK (VALUE ~ '@');
        CREATE TABLE t (
            id serial PRIMARY KEY, at timestamptz DEFAULT now(), m mood, e email, plain int REFERENCES plain,
            twice int GENERATED ALWAYS AS (id * 2) STORED, tags text[] DEFAULT '{}', CHECK (length(e) < 90)
        );
        CREATE INDEX ON t (lower(e)) WHERE id > 0;
        CREATE TABLE ids (id bigint GENERATED ALWAYS AS IDENTITY, u uuid DEFAULT gen_random_uuid());
        CREATE VIEW v AS SELECT t.id, lower(e) AS e, count(*) OVER () FROM t JOIN plain ON plain.id = t.plain;
        CREATE MATERIALIZED VIEW mv AS SELECT * FROM v;
        CREATE TABLE log (at date, text text) PARTITION BY RANGE (at);
        CREATE TABLE log1 PARTITION OF log FOR VALUES FROM ('2020-01-01') TO ('2030-01-01');
    """)
    catalogue = read_catalogue(connection)
    for relation in ("t", "ids", "v", "mv", "log", "log1", "plain"):
        assert catalogue.relation_code((relation,), for_write=False) == ()
        assert catalogue.relation_code((relation,), for_write=True) == ()
    for relation in ("pg_class", "pg_settings", "tables"):
        assert catalogue.relation_code((relation,), for_write=False) == ()
        assert catalogue.relation_code((relation,), for_write=True) != ()
    assert catalogue.relation_code(("pg_hba_file_rules",), for_write=False) == ("pg_catalog.pg_hba_file_rules",)
    for name in ("lower", "count", "now", "to_json", "json_to_record", "gen_random_uuid", "jsonb_agg"):
        assert catalogue.judge((name,)).harmless
    for name in ("=", "<", "->>", "||", "~~"):
        assert catalogue.judge((name,), "operator").harmless
    for name in ("mood", "email", "text", "int4", "jsonb"):
        assert catalogue.judge((name,), "cast").harmless
    for name in ("id", "at", "e", "mood"):
        assert catalogue.judge((name,), "column").harmless
    expected = {"citext": "citext_eq", "pgcrypto": "gen_random_bytes", "uuid-ossp": "uuid_generate_v4",
                "hstore": "akeys", "pg_trgm": "similarity"}  # fmt: skip
    assert {name for name in wanted if not catalogue.judge((expected[name],)).harmless} == set()
    if "pg_trgm" in wanted:
        assert catalogue.judge(("set_limit",)).dangerous == "settings"
        assert catalogue.judge(("%",), "operator").harmless
    assert catalogue.user_operators == frozenset()


def test_a_server_has_no_shipped_function_that_nobody_reviewed(connection: Connection) -> None:
    rows = connection.execute("""
        SELECT proname, bool_or(provolatile = 'v') FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace AND oid < 16384 GROUP BY 1
    """).fetchall()
    assert len(rows) > 2000
    unclassified = [name for name, _ in rows if judge_shipped((name,)).verdict == "unknown"]
    assert unclassified == []
    unreviewed = [name for name, volatile in rows if volatile and name in SHIPPED_FUNCTIONS]
    assert unreviewed == []


def test_a_server_has_no_shipped_operator_that_runs_a_volatile_or_dangerous_function(connection: Connection) -> None:
    rows = connection.execute("""
        SELECT oprname, proname, provolatile FROM pg_operator o JOIN pg_proc p ON p.oid = oprcode WHERE o.oid < 16384
    """).fetchall()
    assert {name for name, _, _ in rows} <= SHIPPED_OPERATORS
    assert [row for row in rows if row[2] == "v" or not judge_shipped((row[1],)).harmless] == []


def test_a_server_has_no_shipped_function_that_is_dangerous_when_written_as_a_column(connection: Connection) -> None:
    rows = connection.execute("""
        SELECT proname, provolatile FROM pg_proc p JOIN pg_type t ON t.oid = proargtypes[0]
        WHERE pronargs - pronargdefaults <= 1
          AND t.typname IN ('any', 'anyelement', 'anycompatible', 'anynonarray', 'record')
    """).fetchall()
    assert rows
    grave = [name for name, _ in rows if not judge_shipped((name,)).harmless]
    assert [name for name in grave if judge_shipped((name,), "column").harmless] == []


def test_a_server_has_no_system_view_that_is_dangerous_unseen(connection: Connection) -> None:
    rows = connection.execute("""
        SELECT DISTINCT c.relname, p.proname FROM pg_rewrite w JOIN pg_class c ON c.oid = ev_class,
            regexp_matches(ev_action::text, ':(?:funcid|aggfnoid|winfnoid|opfuncid) (\\d+)', 'g') m(part)
        JOIN pg_proc p ON p.oid = m.part[1]::oid
        WHERE w.oid < 16384 AND w.ev_type = '1' AND p.pronamespace = 'pg_catalog'::regnamespace
    """).fetchall()
    assert len(rows) > 300
    dangerous = {view: name for view, name in rows if not judge_shipped((name,)).harmless}
    assert dangerous == {view: name for view, name in DANGEROUS_RELATIONS.items() if view in dangerous}
    assert "pg_file_settings" in dangerous


def test_a_server_has_every_shipped_type_that_clients_name(connection: Connection) -> None:
    names = {name for (name,) in connection.execute("SELECT typname FROM pg_type WHERE oid < 12000 AND typrelid = 0")}
    assert {name for name in names if not name.startswith("_pg_") and not name.startswith("pg_")} - SHIPPED_TYPES <= {
        f"_{name}" for name in names
    }


CHANGES = [
    "CREATE FUNCTION new() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE OR REPLACE FUNCTION f(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2'",
    "ALTER FUNCTION f(int) SECURITY DEFINER",
    "DROP FUNCTION yes(int)",
    "ALTER TABLE plain ALTER note SET DEFAULT 'x'",
    "ALTER TABLE plain ADD CHECK (yes(id))",
    "CREATE INDEX ON plain (f(id))",
    "CREATE TABLE another (a int)",
    "CREATE VIEW v AS SELECT f(1)",
    "CREATE TRIGGER tt BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION tg()",
    "CREATE POLICY p ON plain USING (yes(id))",
    "CREATE STATISTICS s ON (f(id)) FROM plain",
    "ALTER TABLE victim RENAME TO victims",
    "CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)",
    "CREATE DOMAIN small AS int CHECK (yes(VALUE))",
]


def test_a_user_changes_the_catalogue_and_the_change_query_tells(connection: Connection) -> None:
    def mark() -> str:
        row = connection.execute(CHANGE_QUERY.encode()).fetchone()
        assert row is not None
        return str(row[0])

    seen = [mark()]
    assert mark() == seen[0]
    connection.execute("INSERT INTO plain VALUES (9, 'z'); SELECT f(1)")
    assert mark() == seen[0]
    for change in CHANGES:
        with connection.transaction(force_rollback=change.startswith("DROP")):
            connection.execute(change.encode())
            seen.append(mark())
    assert len(set(seen)) == len(CHANGES) + 1


def test_a_user_shadows_operators_and_tables_of_the_snapshot_itself_T4(connection: Connection) -> None:
    connection.execute("""
        CREATE TEMP TABLE pg_proc (oid oid);
        CREATE FUNCTION ge(oid, int) RETURNS bool LANGUAGE sql AS 'SELECT public.g() = 0';
        CREATE OPERATOR >= (LEFTARG = oid, RIGHTARG = int, FUNCTION = ge);
        SET search_path = public, pg_catalog;
    """)
    catalogue = read_catalogue(connection)
    assert not catalogue.judge(("f",)).harmless
    assert connection.execute("SELECT count(*) FROM victim").fetchone() == (1,)
