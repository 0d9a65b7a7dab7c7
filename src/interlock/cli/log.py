"""``interlock log``: the audit log's entries."""

from typing import Annotated, Any

import msgspec
import typer

from interlock.approval.showing import show_line
from interlock.audit.entry import decode
from interlock.audit.reading import Logged, describe
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
    data = msgspec.json.encode({name: value for name, value in entry.items() if name != "index"})
    try:
        return describe(Logged(int(entry.get("index", 0)), data, decode(data)))
    except (msgspec.MsgspecError, ValueError, OverflowError):
        return show_line(data.decode())  # of a later version: shown as it is
