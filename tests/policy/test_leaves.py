from interlock.analysis.postgres.analyser import Analyser
from interlock.analysis.postgres.statement import SyntaxRejected
from interlock.core.action import Effect
from interlock.policy.leaves import CONNECT, KNOWN_LEAVES, POSTGRES_FACTS, leaf_ancestors, leaf_protocol, schema_leaf


def test_every_leaf_belongs_to_exactly_one_effect() -> None:
    effects = {effect.value for effect in Effect}

    for leaf in KNOWN_LEAVES:
        assert len(leaf_ancestors(leaf) & effects) == 1


def test_every_effect_has_a_leaf_for_kinds_that_the_table_lacks() -> None:
    for effect in Effect:
        assert schema_leaf(f"{effect.value}/postgres.brand_new") == f"{effect.value}/postgres.other"


def test_leaf_of_another_effect_or_protocol_has_no_place() -> None:
    for leaf in (
        "",
        "read",
        "read/postgres",
        "read/postgres.",
        "raed/postgres.x",
        "read/mysql.select",
        "READ/postgres.x",
    ):
        assert schema_leaf(leaf) is None


def test_connecting_is_a_leaf_without_a_protocol_group() -> None:
    assert leaf_ancestors(CONNECT) == {CONNECT, "session"}
    assert leaf_protocol(CONNECT) == "postgres"
    assert leaf_protocol("read/postgres.select") == "postgres"


CORPUS = """
select 1; insert into t values (1); update t set a = 1; delete from t where a = 2; truncate t; drop table t;
alter table t drop column c; create table t (a int); grant select on t to r; grant r to s; revoke r from s; set role r;
set session authorization r; reset all; discard all; do $$ begin perform 1 end $$; call p(); copy t to stdout;
copy t from stdin; copy t to program 'x'; explain analyze select 1; prepare p as select 1; execute p; deallocate p;
begin; commit; savepoint s; declare c cursor for select 1; fetch c; close c; listen x; notify x; vacuum; analyze;
lock t; create function f() returns int language sql as 'select 1'; create index on t (a); create view v as select 1;
create extension e; alter system set a = 1; comment on table t is 'x'; create policy p on t; alter type t rename to u;
merge into t using s on t.a = s.a when matched then delete; refresh materialized view v; cluster; reindex table t;
"""


def test_analyser_and_schema_agree_on_leaves_and_on_every_fact_and_its_type() -> None:
    analyser = Analyser()
    types = {bool: "Bool", int: "Long", tuple: "Set<String>"}
    for text in filter(None, map(str.strip, CORPUS.split(";"))):
        analysis = analyser.analyse(text)
        assert not isinstance(analysis, SyntaxRejected), text
        settled = analyser.settle(analysis, None, dirty=False, prepared={}, cursors={})
        assert {name: types[type(value)] for name, value in settled.facts.items()} == POSTGRES_FACTS
        assert [leaf for leaf in settled.leaves if leaf not in KNOWN_LEAVES] == []
