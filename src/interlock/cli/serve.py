"""``interlock serve`` and ``interlock demo``."""

import logging
from typing import Annotated

import typer

from interlock.cli.options import DEFAULT_CONFIG, ConfigOption, read_config


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("serve")(serve)
    app.command("demo")(demo)


def serve(
    *,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Run the gateway until it is told to stop (SIGTERM; SIGHUP reloads).

    Example: interlock serve --config /etc/interlock/interlock.toml
    """
    level = logging.getLevelNamesMapping().get(log_level.upper())
    if level is None:
        msg = "one of debug, info, warning, error"
        raise typer.BadParameter(msg, param_hint="--log-level")
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)  # says how it set itself up, at every start
    loaded = read_config(config)
    from interlock.app import serve as run

    raise typer.Exit(run(loaded) or 0)


def demo(
    *,
    once: Annotated[bool, typer.Option("--once", help="Play the story and end; 0 only if every step held.")] = False,
) -> None:
    """Play the founding story on a database of its own: an agent reads, is held, approved, denied.

    Example: interlock demo --once
    """
    from interlock.demo import play

    raise typer.Exit(play(once=once) or 0)
