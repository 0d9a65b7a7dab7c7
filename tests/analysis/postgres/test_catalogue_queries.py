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
from interlock.analysis.postgres.reviewed import DANGEROUS_RELATIONS, VOLATILE_HARMLESS
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
    return psycopg.connect(
        host=str(server.folder), port=server.port, user="postgres", dbname=database, autocommit=True
    )


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
