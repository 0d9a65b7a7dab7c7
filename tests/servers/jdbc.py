"""PostgreSQL's driver for Java as a client: it shares no code with libpq, and speaks the extended protocol always.

Runs as a program of its own (a Java machine in a test's process would outlive it): reads a JSON object with ``url``,
``properties`` and ``statements`` from stdin, and writes a JSON list with one object a statement: ``rows``, ``updated``
or ``error`` with its SQLSTATE.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

JAR = Path("/usr/share/java/postgresql.jar")


def run_jdbc(
    host: str, port: int, *, user: str, password: str, database: str, ca: Path, statements: Sequence[str]
) -> list[Mapping[str, Any]]:
    """Connect with verified TLS, run the statements in autocommit mode, and return what each gave."""
    request = {
        "url": f"jdbc:postgresql://{host}:{port}/{database}",
        "properties": {"user": user, "password": password, "sslmode": "verify-full", "sslrootcert": str(ca)},
        "statements": list(statements),
    }
    done = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    if done.returncode:
        msg = f"the Java driver failed:\n{done.stderr[-4000:]}"
        raise RuntimeError(msg)
    answers: list[Mapping[str, Any]] = json.loads(done.stdout)
    return answers


def main() -> None:
    """Be the client."""
    import jpype  # noqa: PLC0415 - only this program starts Java

    request = json.load(sys.stdin)
    jpype.startJVM("-Xmx128m", "-XX:+UseSerialGC", classpath=[str(JAR)])
    java: Any = jpype.java
    properties = java.util.Properties()
    for name, value in request["properties"].items():
        properties.setProperty(name, value)
    connection = java.sql.DriverManager.getConnection(request["url"], properties)
    answers: list[dict[str, Any]] = []
    for text in request["statements"]:
        statement = connection.prepareStatement(text)
        try:
            if statement.execute():
                answers.append({"rows": _rows(statement.getResultSet())})
            else:
                answers.append({"updated": int(statement.getUpdateCount())})
        except java.sql.SQLException as error:
            answers.append({"error": {"sqlstate": str(error.getSQLState()), "message": str(error.getMessage())}})
        finally:
            statement.close()
    connection.close()
    json.dump(answers, sys.stdout)


def _rows(result: Any) -> list[list[str | None]]:
    columns = range(1, int(result.getMetaData().getColumnCount()) + 1)
    rows = []
    while result.next():
        values = [result.getString(column) for column in columns]
        rows.append([None if value is None else str(value) for value in values])
    return rows


if __name__ == "__main__":
    main()
