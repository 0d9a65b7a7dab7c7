"""``interlock sessions``: who is connected."""

from typing import Annotated

import typer

from interlock.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, control_of
from interlock.cli.output import clock, print_fields, print_json, print_table, since
from interlock.control.messages import KillSession, ListSessions, ShowSession


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command("list")(list_sessions)
    group.command("show")(show_session)
    group.command("kill")(kill_session)


def list_sessions(
    *,
    ended: Annotated[bool, typer.Option("--ended", help="Also those that have ended.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10000)] = 200,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List the open sessions, the newest first.

    Example: interlock sessions list --json | jq '.[].principal_id'
    """
    rows = control_of(config).ask(ListSessions(ended=ended, limit=limit))
    if as_json:
        print_json(rows)
        return
    now = clock()
    print_table(
        ("ID", "WHO", "KIND", "RESOURCE", "DATABASE", "STARTED", "STATE"),
        (
            (
                row["id"], row["principal_id"], row["kind"], row["resource"], row["database"],
                since(row["started_at"], now), row.get("end_code") or "open",
            )
            for row in rows
        ),
        empty="no open sessions",
    )  # fmt: skip


def show_session(session: str, *, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show one session.

    Example: interlock sessions show 0192f3...
    """
    row = control_of(config).ask(ShowSession(session))
    if as_json:
        print_json(row)
    else:
        print_fields(row.items())


def kill_session(
    session: str,
    *,
    reason: Annotated[str, typer.Option(help="Why, for the log.")] = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """End a session now; its client gets an error, its open holds are withdrawn.

    Example: interlock sessions kill 0192f3... --reason "laptop lost"
    """
    answer = control_of(config).ask(KillSession(session, reason))
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"session {session} is ended")
