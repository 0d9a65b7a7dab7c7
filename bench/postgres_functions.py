"""Print what a running server's ``pg_catalog`` has that the shipped lists don't classify: run it on each new version.

    python bench/postgres_functions.py "host=/run/postgresql dbname=postgres"

Each line is kind, name, volatility and argument types. Read what it does before it goes into ``shipped_*.txt`` or
``reviewed.py``. Exit code 0 if there is nothing, else 1.
"""

import sys

import psycopg

from interlock.analysis.postgres.functions import SHIPPED_FUNCTIONS, judge_shipped

FUNCTIONS = """
SELECT proname, provolatile, pg_get_function_arguments(oid) FROM pg_proc
WHERE pronamespace = 'pg_catalog'::regnamespace AND oid < 16384 ORDER BY 1, 3
"""
OPERATORS = "SELECT DISTINCT oprname FROM pg_operator WHERE oid < 16384 ORDER BY 1"
TYPES = """
SELECT typname FROM pg_type WHERE oid < 16384 AND typrelid = 0 AND typtype IN ('b', 'p', 'r', 'm')
    AND typnamespace = 'pg_catalog'::regnamespace
    AND NOT EXISTS (SELECT FROM pg_type e WHERE e.oid = pg_type.typelem AND e.typrelid <> 0) ORDER BY 1
"""


def main(conninfo: str) -> int:
    """Compare one server with the lists."""
    lines: list[str] = []
    with psycopg.connect(conninfo) as connection:
        for name, volatility, arguments in connection.execute(FUNCTIONS):
            if judge_shipped((name,)).verdict == "unknown" or (volatility == "v" and name in SHIPPED_FUNCTIONS):
                lines.append(f"function {name} {volatility} ({arguments})")
        for kind, query in (("operator", OPERATORS), ("cast", TYPES)):
            lines += [
                f"{kind} {name}"
                for (name,) in connection.execute(query.encode())
                if not judge_shipped((name,), kind).harmless
            ]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
