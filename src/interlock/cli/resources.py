"""``interlock resources``: what the configuration registers."""

import typer

from interlock.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, read_config
from interlock.cli.output import print_json, print_table


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command("list")(list_resources)
    group.callback()(lambda: None)


def list_resources(*, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """List the registered resources.

    Example: interlock resources list --json
    """
    loaded = read_config(config)
    rows = [
        {
            "name": item.name,
            "protocol": item.resource.protocol,
            "address": item.resource.address,
            "labels": dict(item.resource.labels),
            "allow": sorted(item.resource.allow),
            "logins": [{"user": u.user, "tls": u.tls, "groups": sorted(u.groups)} for u in item.upstreams],
        }
        for item in loaded.resources
    ]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("NAME", "PROTOCOL", "ADDRESS", "LABELS"),
        (
            (
                item.name,
                item.resource.protocol,
                item.resource.address,
                [f"{k}={v}" for k, v in item.resource.labels.items()],
            )
            for item in loaded.resources
        ),
        empty=f"no resources: add [[resources]] to {loaded.file}",
    )
