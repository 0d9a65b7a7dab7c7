"""A client for machines whose psql has no TLS: asyncpg, its results and errors printed as it gives them.

python -m interlock.demo.driver 'STATEMENT' ['STATEMENT' ...]     (connection settings in PG* variables)
"""

import asyncio
import os
import ssl
import sys

import asyncpg


async def run(statements: list[str]) -> int:
    """Run statements one after another on one connection; 1 if the last one failed."""
    context = ssl.create_default_context(cafile=os.environ["PGSSLROOTCERT"])
    connection = await asyncpg.connect(ssl=context)
    connection.add_log_listener(lambda _, message: print(f"{message.severity}:  {message.message}", flush=True))
    failed = False
    try:
        for text in statements:
            failed = False
            try:
                records = await connection.fetch(text)
            except asyncpg.PostgresError as error:
                failed = True
                print(f"{type(error).__name__}: {error}", flush=True)
                continue
            for record in records:
                print("  ".join(f"{name}={value}" for name, value in record.items()), flush=True)
            print(f"({len(records)} rows)", flush=True)
    finally:
        await connection.close()
    return int(failed)


if __name__ == "__main__":
    sys.exit(asyncio.run(run(sys.argv[1:])))
