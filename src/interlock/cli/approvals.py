"""``interlock approvals``: what waits for people. Deciding takes the approver's own token, of kind human."""

from pathlib import Path
from typing import Annotated, Any

import typer

from interlock.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, TokenFileOption, control_of
from interlock.cli.output import clock, print_fields, print_json, print_table, since
from interlock.cli.tokens import read_token
from interlock.control.messages import Decide, ListApprovals, ShowApproval

CommentOption = Annotated[str, typer.Option("--comment", "-m", help="Why, for the log and the requester.")]


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command("list")(list_approvals)
    group.command("show")(show_approval)
    group.command("approve")(approve)
    group.command("deny")(deny)


def list_approvals(
    *,
    ended: Annotated[bool, typer.Option("--ended", help="Also those that have ended.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10000)] = 200,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List what waits for approval, the newest first.

    Example: interlock approvals list
    """
    rows = control_of(config).ask(ListApprovals(ended=ended, limit=limit))
    if as_json:
        print_json(rows)
        return
    now = clock()
    print_table(
        ("ID", "WHO", "WANTS", "ON", "NEEDS", "EXPIRES", "STATE"),
        (
            (
                row["id"], row["requester"]["id"], row["kind"], row["resource"], row["groups"],
                since(row["expires_at"], now), row["state"],
            )
            for row in rows
        ),
        empty="nothing waits for approval",
    )  # fmt: skip


def show_approval(approval: str, *, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show what would run: whole, with everything invisible or misleading made visible.

    Example: interlock approvals show 0192f3...
    """
    row = control_of(config).ask(ShowApproval(approval))
    if as_json:
        print_json(row)
        return
    print_fields(_fields(row))
    if row["text"] is None:
        typer.echo("\nWhat would run is no longer kept: the hold has ended.")
        return
    marks = row["marks"]
    typer.echo(f"\nThis would run ({row['text_characters']} characters, {row['payload_bytes']} bytes):\n")
    # The gateway has escaped the text; line breaks are the statement's own, each under a margin it can't leave.
    typer.echo("\n".join(f"  | {line}" for line in row["text"].split("\n")))
    if marks:
        typer.echo(f"\nTake care: {marks} characters or runs are marked because they would be invisible or misleading.")
    typer.echo(f"\nDecide with: interlock approvals approve|deny {row['id']} --comment '...'")


def approve(
    approval: str,
    *,
    comment: CommentOption = "",
    token_file: TokenFileOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Approve exactly what `show` shows. Needs your own token: INTERLOCK_TOKEN or --token-file.

    Example: INTERLOCK_TOKEN=$(cat ~/.interlock-token) interlock approvals approve 0192f3... -m "planned, ticket 42"
    """
    _decide("approve", approval, comment, token_file, config, as_json=as_json)


def deny(
    approval: str,
    *,
    comment: CommentOption = "",
    token_file: TokenFileOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Refuse it; the requester gets an error and its connection goes on.

    Example: interlock approvals deny 0192f3... -m "not without a WHERE" --token-file ~/.interlock-token
    """
    _decide("deny", approval, comment, token_file, config, as_json=as_json)


def _decide(verdict: str, approval: str, comment: str, token_file: Path | None, config: Path, *, as_json: bool) -> None:
    client = control_of(config)
    token = read_token(token_file)
    row = client.ask(Decide(approval, verdict, token.reveal(), comment))
    if as_json:
        print_json(row)
        return
    approved = [v["person"] for v in row["verdicts"] if v["kind"] == "approve"]
    if row["state"] == "released":
        typer.echo(f"approved: it runs now, on behalf of {row['requester']['id']}")
    elif row["state"] == "denied":
        typer.echo("denied: it does not run")
    else:
        needed = row["groups"]
        typer.echo(f"counted; {len(approved)} of {len(needed)} groups have approved ({', '.join(needed)})")


def _fields(row: dict[str, Any]) -> list[tuple[str, object]]:
    requester = row["requester"]
    model = requester["model"]
    claimed = "" if model is None else " (attested)" if model["attested"] else " (claimed)"
    return [
        ("approval", row["id"]),
        ("state", row["state"]),
        ("who", f"{requester['id']} ({requester['kind']})"),
        ("for person", requester["person"]),
        ("through", [f"{actor['issuer']}|{actor['subject']}" for actor in requester["actors"]]),
        ("model", model and f"{model['vendor']} {model['name']} {model['version']}{claimed}"),
        ("reason", row.get("reason")),
        ("resource", f"{row['resource']}, database {row['database']}"),
        ("kind", row["kind"]),
        ("effects", row["leaves"]),
        ("facts", {name: value for name, value in (row.get("facts") or {}).items() if value or name == "bounded"}),
        ("needs", row["groups"]),
        ("policies", row["policies"]),
        ("digest", row["digest"]),
        ("asked", row["created_at"]),
        ("expires", row["expires_at"]),
        ("ended", row["ended_at"] and f"{row['ended_at']} ({row['end_code']})"),
        ("verdicts", [f"{v['person']}: {v['kind']} {v['comment']}".strip() for v in row["verdicts"]]),
    ]
