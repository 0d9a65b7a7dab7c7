"""``interlock status``, ``reload``, ``revoke``, ``completion``."""

from typing import Annotated

import typer

from interlock.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, control_of
from interlock.cli.output import print_fields, print_json
from interlock.control.messages import Reload, Revoke, Status

SHELLS = ("bash", "zsh", "fish")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("status")(status)
    app.command("reload")(reload)
    app.command("revoke")(revoke)
    app.command("completion")(completion)


def status(*, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Say how the running gateway is.

    Example: interlock status --json
    """
    answer = control_of(config).ask(Status())
    if as_json:
        print_json(answer)
    else:
        print_fields(answer.items())


def reload(*, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Put changed resources, issuers, certificates and policies in force, all or nothing.

    Example: interlock policy check && interlock reload
    """
    answer = control_of(config).ask(Reload())
    if as_json:
        print_json(answer)
    else:
        typer.echo("reloaded")
        print_fields(answer.items())


def revoke(
    kind: Annotated[str, typer.Argument(help="token, principal or person.")],
    value: Annotated[str, typer.Argument(help="The token's id (jti), issuer|subject, or the person's id.")],
    *,
    seconds: Annotated[int, typer.Option(help="How long it lasts.", min=1)] = 30 * 86400,
    reason: Annotated[str, typer.Option(help="Why, for the log.")] = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Let a token, principal or person connect no more, and end its sessions now.

    Example: interlock revoke person alice --reason "laptop lost"
    """
    answer = control_of(config).ask(Revoke(kind, value, seconds, reason))
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"revoked until {answer['until']}; {answer['sessions_ended']} sessions ended")


def completion(shell: Annotated[str, typer.Argument(help="bash, zsh or fish.")]) -> None:
    """Print the completion script of a shell.

    Example: interlock completion bash > ~/.local/share/bash-completion/completions/interlock
    """
    if shell not in SHELLS:
        msg = f"one of {', '.join(SHELLS)}"
        raise typer.BadParameter(msg, param_hint="SHELL")
    from typer._completion_shared import get_completion_script

    typer.echo(get_completion_script(prog_name="interlock", complete_var="_INTERLOCK_COMPLETE", shell=shell))
