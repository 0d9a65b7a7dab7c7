"""What is asked of the upstream's catalogue, as SQL; run by the driver on the gateway's own side connection.

    SETUP_QUERY once a connection -> CHANGE_QUERY now and then -> SNAPSHOT_QUERIES when its answer is another

The side connection logs in as the session's upstream user and talks the simple protocol, so that every value is text.
Between ``BEGIN_QUERY`` and ``END_QUERY`` the snapshot is one consistent reading.

Objects below oid 16384 (FirstNormalObjectId) came with initdb; all others are of users' making. ``pg_depend`` records
what an expression uses of the latter. It says nothing of the former, which are pinned, so dangerous shipped functions
are looked for in the stored expression trees.
"""

from typing import Final

from interlock.analysis.postgres.reviewed import DANGEROUS_RELATIONS, DANGERS

SETUP_QUERY: Final = "SET search_path TO pg_catalog, pg_temp"
"""Without it, a user's operator or temporary table could stand in for a shipped one in the queries below."""
BEGIN_QUERY: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
END_QUERY: Final = "COMMIT"

_FUNCTIONS: Final = """
SELECT p.oid::text, n.nspname::text, p.proname::text, p.prokind::text, p.provolatile::text,
       CASE p.prolang WHEN 12 THEN 'internal' WHEN 13 THEN 'c' WHEN 14 THEN 'sql' ELSE l.lanname::text END,
       p.prosecdef::text, coalesce(r.rolname::text, ''), coalesce(r.rolsuper, false)::text,
       (p.proconfig IS NOT NULL)::text, (p.pronargs - p.pronargdefaults)::text,
       CASE WHEN p.provariadic <> 0 THEN '-1' ELSE p.pronargs::text END,
       (e.objid IS NOT NULL)::text,
       (p.pronargs > 0 AND p.pronargs - p.pronargdefaults <= 1
        AND (a.typtype IN ('c', 'p') OR p.provariadic <> 0 OR b.typtype IS NOT DISTINCT FROM 'c'))::text,
       CASE WHEN p.prolang = 14 AND p.provolatile <> 'v' AND p.prokind = 'f' AND length(p.prosrc) <= 4096
            THEN p.prosrc ELSE '' END
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN pg_language l ON l.oid = p.prolang
LEFT JOIN pg_roles r ON r.oid = p.proowner
LEFT JOIN pg_type a ON a.oid = p.proargtypes[0]
LEFT JOIN pg_type b ON b.oid = a.typbasetype
LEFT JOIN pg_depend e ON e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e'
WHERE p.oid >= 16384 OR p.prolang NOT IN (12, 13, 14) OR p.prosecdef OR p.proconfig IS NOT NULL
"""

_OPERATORS: Final = """
SELECT o.oid::text, n.nspname::text, o.oprname::text, o.oprcode::oid::text, coalesce(p.proname::text, '')
FROM pg_operator o
JOIN pg_namespace n ON n.oid = o.oprnamespace
LEFT JOIN pg_proc p ON p.oid = o.oprcode
WHERE o.oid >= 16384
"""

_CASTS: Final = """
SELECT s.oid::text, s.typname::text, t.oid::text, t.typname::text, c.castfunc::text, p.proname::text
FROM pg_cast c
JOIN pg_type s ON s.oid = c.castsource
JOIN pg_type t ON t.oid = c.casttarget
JOIN pg_proc p ON p.oid = c.castfunc
WHERE c.oid >= 16384
"""

_TYPES: Final = """
SELECT t.oid::text, n.nspname::text, t.typname::text, t.typrelid::text
FROM pg_type t
JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_class c ON c.oid = t.typrelid
WHERE t.oid >= 16384 AND NOT (t.typtype = 'b' AND t.typelem <> 0 AND t.typcategory = 'A')
      AND (t.typrelid = 0 OR c.relkind = 'c')
"""

_RELATIONS: Final = """
SELECT c.oid::text, n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text, c.reltype::text
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p', 'S')
"""

_OWNERS: Final = """
SELECT 'pg_rewrite'::regclass AS class, w.oid, 'R' AS node, w.ev_class AS owner,
       CASE WHEN w.ev_type = '1' AND c.relkind <> 'm' THEN 'r' ELSE 'w' END AS phase
FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class WHERE w.oid >= 16384
UNION ALL
SELECT 'pg_attrdef'::regclass, d.oid, 'R', d.adrelid, CASE WHEN a.attgenerated <> '' THEN 'r' ELSE 'w' END
FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
UNION ALL
SELECT 'pg_constraint'::regclass, k.oid, CASE WHEN k.conrelid = 0 THEN 'T' ELSE 'R' END,
       CASE WHEN k.conrelid = 0 THEN k.contypid ELSE k.conrelid END, 'r'
FROM pg_constraint k WHERE k.oid >= 16384
UNION ALL
SELECT 'pg_policy'::regclass, y.oid, 'R', y.polrelid, 'r' FROM pg_policy y
UNION ALL
SELECT 'pg_trigger'::regclass, g.oid, 'R', g.tgrelid, 'w' FROM pg_trigger g
UNION ALL
SELECT 'pg_class'::regclass, i.indexrelid, 'R', i.indrelid, 'r' FROM pg_index i WHERE i.indexrelid >= 16384
UNION ALL
SELECT 'pg_class'::regclass, c.oid, 'R', c.oid, 'r'
FROM pg_class c WHERE c.oid >= 16384 AND c.relkind IN ('r', 'v', 'm', 'f', 'p', 'c')
UNION ALL
SELECT 'pg_statistic_ext'::regclass, x.oid, 'R', x.stxrelid, 'r' FROM pg_statistic_ext x
UNION ALL
SELECT 'pg_type'::regclass, t.oid, 'T', t.oid, 'r' FROM pg_type t
WHERE t.oid >= 16384 AND NOT (t.typtype = 'b' AND t.typelem <> 0 AND t.typcategory = 'A')
UNION ALL
SELECT 'pg_proc'::regclass, a.aggfnoid, 'F', a.aggfnoid, 'r' FROM pg_aggregate a WHERE a.aggfnoid >= 16384
"""

_TREES: Final = """
SELECT 'R' AS node, w.ev_class AS owner, CASE WHEN w.ev_type = '1' AND c.relkind <> 'm' THEN 'r' ELSE 'w' END AS phase,
       w.ev_action::text || w.ev_qual::text AS tree
FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class WHERE w.oid >= 16384
UNION ALL
SELECT 'R', d.adrelid, CASE WHEN a.attgenerated <> '' THEN 'r' ELSE 'w' END, d.adbin::text
FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
UNION ALL
SELECT CASE WHEN k.conrelid = 0 THEN 'T' ELSE 'R' END, CASE WHEN k.conrelid = 0 THEN k.contypid ELSE k.conrelid END,
       'r', k.conbin::text
FROM pg_constraint k WHERE k.oid >= 16384 AND k.conbin IS NOT NULL
UNION ALL
SELECT 'R', y.polrelid, 'r', coalesce(y.polqual::text, '') || coalesce(y.polwithcheck::text, '') FROM pg_policy y
UNION ALL
SELECT 'R', g.tgrelid, 'w', g.tgqual::text FROM pg_trigger g WHERE g.tgqual IS NOT NULL
UNION ALL
SELECT 'R', i.indrelid, 'r', coalesce(i.indexprs::text, '') || coalesce(i.indpred::text, '')
FROM pg_index i WHERE i.indexprs IS NOT NULL OR i.indpred IS NOT NULL
UNION ALL
SELECT 'R', q.partrelid, 'r', q.partexprs::text FROM pg_partitioned_table q WHERE q.partexprs IS NOT NULL
UNION ALL
SELECT 'R', x.stxrelid, 'r', x.stxexprs::text FROM pg_statistic_ext x WHERE x.stxexprs IS NOT NULL
UNION ALL
SELECT 'T', t.oid, 'r', t.typdefaultbin::text FROM pg_type t WHERE t.typdefaultbin IS NOT NULL AND t.oid >= 16384
"""

_EDGES: Final = f"""
WITH owners AS MATERIALIZED ({_OWNERS})
SELECT DISTINCT o.node || o.owner::text, o.phase,
       CASE d.refclassid WHEN 'pg_proc'::regclass THEN 'F' WHEN 'pg_operator'::regclass THEN 'O'
                         WHEN 'pg_opclass'::regclass THEN 'C' WHEN 'pg_type'::regclass THEN 'T' ELSE 'R' END
       || CASE WHEN t.typtype = 'b' AND t.typcategory = 'A' AND t.typelem <> 0 THEN t.typelem ELSE d.refobjid END::text
FROM pg_depend d
JOIN owners o ON o.class = d.classid AND o.oid = d.objid
LEFT JOIN pg_type t ON d.refclassid = 'pg_type'::regclass AND t.oid = d.refobjid
WHERE d.deptype <> 'e' AND d.refobjid <> o.owner
  AND (d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass, 'pg_opclass'::regclass)
       OR d.refclassid = 'pg_class'::regclass AND d.classid IN ('pg_rewrite'::regclass, 'pg_policy'::regclass))
UNION ALL
SELECT 'R' || w.ev_class::text, 'w', 'N' || 'rule ' || w.rulename::text || ' on ' || c.relname::text
FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class WHERE w.oid >= 16384 AND w.ev_type <> '1'
UNION ALL
SELECT 'R' || i.inhparent::text, 'r', 'R' || i.inhrelid::text FROM pg_inherits i
UNION ALL
SELECT 'R' || i.inhrelid::text, 'w', 'R' || i.inhparent::text FROM pg_inherits i
UNION ALL
SELECT 'R' || k.confrelid::text, 'w', 'R' || k.conrelid::text FROM pg_constraint k
WHERE k.contype = 'f' AND (k.confupdtype IN ('c', 'n', 'd') OR k.confdeltype IN ('c', 'n', 'd'))
UNION ALL
SELECT CASE WHEN v.class = 'C' THEN 'C' ELSE 'T' END || CASE WHEN v.class = 'C' THEN k.oid ELSE k.opcintype END::text,
       'r', v.code
FROM pg_opclass k
CROSS JOIN LATERAL (
    SELECT s.class, 'F' || a.amproc::oid::text AS code
    FROM pg_amproc a CROSS JOIN (VALUES ('C'), ('T')) s(class)
    WHERE a.amprocfamily = k.opcfamily AND a.amproc::oid >= 16384
    UNION
    SELECT s.class, 'O' || a.amopopr::text
    FROM pg_amop a CROSS JOIN (VALUES ('C'), ('T')) s(class)
    WHERE a.amopfamily = k.opcfamily AND a.amopopr >= 16384
) v
WHERE k.oid >= 16384
"""  # noqa: S608 - made of this file's own constants

_SHIPPED: Final = f"""
WITH dangers AS MATERIALIZED (
    SELECT p.oid::text AS oid, p.proname::text AS name FROM pg_proc p
    WHERE p.oid < 16384 AND p.proname = ANY ('{{{",".join(sorted(DANGERS))}}}'::name[])
), views AS MATERIALIZED (
    SELECT c.oid::text AS oid, c.relname::text AS name FROM pg_class c
    WHERE c.oid < 16384 AND c.relname = ANY ('{{{",".join(sorted(DANGEROUS_RELATIONS))}}}'::name[])
), patterns AS MATERIALIZED (
    SELECT ':(?:funcid|aggfnoid|winfnoid|opfuncid) (?:' || (SELECT string_agg(oid, '|') FROM dangers) || ') |:relid (?:'
           || coalesce((SELECT string_agg(oid, '|') FROM views), '0') || ') ' AS pattern
), trees AS MATERIALIZED (
    {_TREES}
)
SELECT DISTINCT t.node || t.owner::text, t.phase, 'S' || coalesce(f.name, v.name)
FROM trees t
CROSS JOIN patterns
CROSS JOIN LATERAL regexp_matches(t.tree COLLATE "C", ':(funcid|aggfnoid|winfnoid|opfuncid|relid) (\\d+)', 'g') m(part)
LEFT JOIN dangers f ON m.part[1] <> 'relid' AND f.oid = m.part[2]
LEFT JOIN views v ON m.part[1] = 'relid' AND v.oid = m.part[2]
WHERE t.tree COLLATE "C" ~ patterns.pattern AND (f.oid IS NOT NULL OR v.oid IS NOT NULL)
UNION
SELECT 'F' || a.aggfnoid::oid::text, 'r', 'S' || f.name
FROM pg_aggregate a JOIN dangers f ON f.oid IN (
    a.aggtransfn::oid::text, a.aggfinalfn::oid::text, a.aggcombinefn::oid::text, a.aggserialfn::oid::text,
    a.aggdeserialfn::oid::text, a.aggmtransfn::oid::text, a.aggminvtransfn::oid::text, a.aggmfinalfn::oid::text)
WHERE a.aggfnoid >= 16384
"""  # noqa: S608 - made of this file's own constants

_EVENT_TRIGGERS: Final = """
SELECT e.evtname::text, e.evtevent::text, e.evtfoid::text FROM pg_event_trigger e WHERE e.evtenabled <> 'D'
"""

SNAPSHOT_QUERIES: Final[tuple[tuple[str, str], ...]] = (
    ("functions", _FUNCTIONS),
    ("operators", _OPERATORS),
    ("casts", _CASTS),
    ("types", _TYPES),
    ("relations", _RELATIONS),
    ("edges", _EDGES),
    ("shipped", _SHIPPED),
    ("event_triggers", _EVENT_TRIGGERS),
)
"""(name, SQL): each gives rows of text; ``Catalogue.from_rows`` takes them by name."""


def _fingerprint(table: str, condition: str = "true") -> str:
    columns = "count(*)::text || ':' || coalesce(sum(xmin::text::bigint), 0)::text"
    return f"(SELECT {columns} FROM {table} WHERE {condition})"  # noqa: S608 - made of this file's own constants


_USERS: Final = "oid >= 16384"
CHANGE_QUERY: Final = "SELECT " + " || ' ' || ".join(  # noqa: S608 - made of this file's own constants
    [
        *(_fingerprint(table, _USERS) for table in ("pg_operator", "pg_cast", "pg_type", "pg_class", "pg_rewrite")),
        *(_fingerprint(table, _USERS) for table in ("pg_constraint", "pg_trigger", "pg_opclass", "pg_namespace")),
        *(_fingerprint(table) for table in ("pg_proc", "pg_attrdef", "pg_policy", "pg_inherits", "pg_statistic_ext")),
        *(_fingerprint(table) for table in ("pg_event_trigger", "pg_partitioned_table", "pg_language", "pg_aggregate")),
        *(_fingerprint(table) for table in ("pg_amop", "pg_amproc")),
        _fingerprint("pg_index", "indexprs IS NOT NULL OR indpred IS NOT NULL"),
        "(SELECT coalesce(string_agg(oid::text, ',' ORDER BY oid), '') FROM pg_roles WHERE rolsuper)",
    ]
)
"""One row with one text value: another value means that something the snapshot reads has changed.

Every change of a row gives it the xmin of the changing transaction, so count and sum of xmin change with it; a removed
row changes the count.
"""
