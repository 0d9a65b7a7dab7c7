"""Printing: JSON for programs, short tables for people. Text from outside is made safe for a terminal."""

import json
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import typer

from interlock.approval.showing import show_line


def print_json(value: object) -> None:
    """One JSON document, indented."""
    typer.echo(json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=True))


def print_line(value: object) -> None:
    """One JSON document on one line."""
    typer.echo(msgspec.json.encode(value).decode())


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Columns as wide as they need to be; ``empty`` is said when there are no rows."""
    cells = [[_cell(value) for value in row] for row in rows]
    if not cells:
        typer.echo(empty)
        return
    widths = [max(len(row[i]) for row in [list(headings), *cells]) for i in range(len(headings))]
    for row in [list(headings), *cells]:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """One field a line, names aligned; empty ones are left out."""
    shown = [(name, _cell(value)) for name, value in fields if value not in (None, "", [], ())]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        typer.echo(f"{name.ljust(width)}  {value}")


def note(text: str) -> None:
    """Something for the person, not for the pipe: to stderr."""
    typer.echo(text, err=True)


def since(moment: str | datetime, now: datetime) -> str:
    """A time, as how long ago or how long from now."""
    then = moment if isinstance(moment, datetime) else datetime.fromisoformat(moment)
    seconds = int((now - then).total_seconds())
    past, seconds = seconds >= 0, abs(seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit} ago" if past else f"in {seconds // size} {unit}"
    return f"{seconds} s ago" if past else f"in {seconds} s"


def clock() -> datetime:
    """The wall clock, read here for all commands."""
    return datetime.now(UTC)  # noqa: TID251 - the command line's one clock


def new_id(length: int = 16) -> str:
    """A random id."""
    return os.urandom(length).hex()


def _cell(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_cell(member) for member in value)
    if isinstance(value, dict):
        return " ".join(f"{name}={_cell(member)}" for name, member in value.items())
    return "" if value is None else show_line(str(value))
