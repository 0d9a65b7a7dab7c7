"""``interlock log``: the audit log's entries."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from interlock.approval.showing import show_line
from interlock.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, control_of
from interlock.cli.output import print_line
from interlock.control.messages import TailLog


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command("tail")(tail)
    group.callback()(lambda: None)


def tail(
    *,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=10000, help="How many entries.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with entries as they come.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Print the last entries of the audit log.

    Example: interlock log tail -f

    Example: interlock log tail -n 1000 --json | jq 'select(.decision == "deny")'
    """
    for entry in control_of(config).stream(TailLog(lines, follow), endless=follow):
        if entry is None:
            continue
        if as_json:
            print_line(entry)
        else:
            typer.echo(summarise(entry))


def summarise(entry: dict[str, Any]) -> str:
    """One entry on one line: when, what, who, on what, why."""
    when = datetime.fromtimestamp(entry.get("at", 0) / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
    who, on = entry.get("who") or {}, entry.get("on") or {}
    model = who.get("model")
    parts = [
        when,
        entry.get("type", "?"),
        entry.get("decision") or entry.get("status"),
        who.get("id"),
        model and f"model={model.get('vendor')}/{model.get('name')}/{model.get('version')}",
        on.get("resource") and f"{on['resource']}/{on.get('database', '')}",
        entry.get("kind"),
        ",".join(entry.get("leaves", ())),
        entry.get("tag"),
        entry.get("code"),
        entry.get("policies") and f"policies={','.join(entry['policies'])}",
        entry.get("approval") and f"approval={entry['approval']}",
        entry.get("approvers") and f"by={','.join(entry['approvers'])}",
        entry.get("reason") and f'reason="{entry["reason"]}"',
    ]
    return show_line("  ".join(str(part) for part in parts if part))
