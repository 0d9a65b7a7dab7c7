"""Options that many commands share, and how the configuration is found."""

from pathlib import Path
from typing import Annotated

import typer

from interlock.config import Config, load
from interlock.control import ControlClient

ConfigOption = Annotated[
    Path,
    typer.Option("--config", "-c", envvar="INTERLOCK_CONFIG", help="The configuration file.", show_default=True),
]
DEFAULT_CONFIG = Path("interlock.toml")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]

TokenFileOption = Annotated[
    Path | None,
    typer.Option("--token-file", help="File with the token; else the environment variable INTERLOCK_TOKEN is read."),
]


def read_config(path: Path) -> Config:
    """The configuration that the command works with.

    Raises:
        ConfigError: it can't be used.
    """
    return load(path)


def control_of(path: Path) -> ControlClient:
    """A client of the gateway that runs with this configuration."""
    return ControlClient(read_config(path).gateway.control_socket)
