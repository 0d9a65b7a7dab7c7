"""The command tree, and the one place where errors become messages and exit codes."""

import sys
from collections.abc import Callable
from typing import Final, NoReturn

import typer

from interlock.cli import (
    analyze,
    approvals,
    connect,
    doctor,
    initial,
    log,
    operate,
    policies,
    resources,
    serve,
    sessions,
    tokens,
)
from interlock.control import ControlError, GatewayUnreachable
from interlock.core.errors import ConfigError, InterlockError, UpstreamUnavailable

DONE: Final = 0
NO: Final = 1
USAGE: Final = 2
CONFIG: Final = 3
UNREACHABLE: Final = 4

_HELP: Final = """An access gateway that decides, holds, records: databases first.

Start with `interlock init`, then `interlock serve`; or watch the story with `interlock demo`.
Exit codes: 0 done, 1 the answer is no, 2 usage, 3 configuration, 4 unreachable.
"""


def build() -> typer.Typer:
    """The whole command tree."""
    app = typer.Typer(
        name="interlock", help=_HELP, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None
    )
    for room in (initial, serve, doctor, connect, operate):
        room.register(app)
    groups: dict[str, tuple[Callable[[typer.Typer], None], str]] = {
        "token": (tokens.register, "Development tokens."),
        "resources": (resources.register, "What the gateway gives access to."),
        "sessions": (sessions.register, "Who is connected; end a session."),
        "approvals": (approvals.register, "What waits for people; approve or deny it."),
        "analyze": (analyze.register, "What statements do, without a gateway."),
        "policy": (policies.register, "Check policies and try them on statements."),
        "log": (log.register, "The audit log."),
    }
    for name, (register, text) in groups.items():
        group = typer.Typer(help=text, no_args_is_help=True, rich_markup_mode=None)
        register(group)
        app.add_typer(group, name=name)
    return app


def main() -> NoReturn:
    """Run the command line; errors become a message on stderr and an exit code."""
    try:
        build()()
    except InterlockError as error:
        typer.echo(f"interlock: {error}", err=True)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(DONE)
    sys.exit(DONE)


def exit_code(error: InterlockError) -> int:
    """The exit code that an error means."""
    if isinstance(error, ConfigError):
        return CONFIG
    if isinstance(error, GatewayUnreachable | UpstreamUnavailable):
        return UNREACHABLE
    if isinstance(error, ControlError) and error.reply_code == ConfigError.code:
        return CONFIG
    return NO
