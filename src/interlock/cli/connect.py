"""``interlock connect``: the right client, with everything filled in and the token out of the process list."""

import os
import shutil
from pathlib import Path
from typing import Annotated, Final

import typer

from interlock.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, TokenFileOption, read_config
from interlock.cli.output import note, print_json
from interlock.cli.tokens import find_token, issue_development, read_token
from interlock.config import Config, ListenerConfig, Mode, is_loopback
from interlock.control import ControlClient, ControlError, GatewayUnreachable
from interlock.control.messages import IssueHandle
from interlock.core.errors import ConfigError, InterlockError
from interlock.core.principal import PrincipalKind
from interlock.core.secret import Secret

HANDLE_USES: Final = 10
"""psql connects anew for ``\\c`` and after a lost connection."""
_EVERY_ADDRESS: Final = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound
_FOREIGN: Final = ("PGSERVICE", "PGSERVICEFILE", "PGPASSFILE", "PGHOSTADDR", "PGREQUIRESSL", "PGTARGETSESSIONATTRS")


class NoClient(InterlockError):
    """The client program isn't installed."""

    code = "no_client"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("connect", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(connect)


def connect(
    context: typer.Context,
    resource: Annotated[str, typer.Argument(help="Name of a resource; see `interlock resources list`.")],
    *,
    database: Annotated[str, typer.Option("--database", "-d", help="The upstream's database.")] = "",
    group: Annotated[list[str] | None, typer.Option(help="For a development token: a group; may be repeated.")] = None,
    show: Annotated[bool, typer.Option("--print", help="Print how to connect; start nothing.")] = False,
    token_file: TokenFileOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Start psql on a resource, through the gateway. What follows `--` goes to psql.

    Your token comes from INTERLOCK_TOKEN or --token-file; in development mode one is made for you if you have none.

    Example: interlock connect shop -- -c 'SELECT count(*) FROM orders'
    """
    loaded = read_config(config)
    found = loaded.find_resource(resource)
    if found is None:
        known = ", ".join(item.name for item in loaded.resources) or "none"
        msg = f"the configuration has no resource {resource!r}; known: {known}"
        raise typer.BadParameter(msg, param_hint="RESOURCE")
    listener = loaded.find_listener(found.resource.protocol)
    if listener is None:
        raise ConfigError(str(loaded.file), "listeners", f"has no listener for {found.resource.protocol}; add one")
    settings = connection_settings(listener, resource, database or resource)
    if show or as_json:
        _print_settings(settings, as_json=as_json)
        return
    program = shutil.which("psql")
    if program is None:
        msg = "psql isn't installed; install PostgreSQL's client, or use --print and any client you have"
        raise NoClient(msg)
    token = _obtain_token(loaded, resource, token_file, group or [])
    environment = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    environment.pop("INTERLOCK_TOKEN", None)
    environment |= settings | {"PGPASSWORD": token.reveal()}
    os.execve(program, ["psql", *context.args], environment)  # noqa: S606 - replaces this process by psql


def connection_settings(listener: ListenerConfig, resource: str, database: str) -> dict[str, str]:
    """Libpq's environment for this resource, without the password."""
    host = listener.address.host
    if host in _EVERY_ADDRESS or is_loopback(host):
        host = "localhost"
    settings = {"PGHOST": host, "PGPORT": str(listener.address.port), "PGUSER": resource, "PGDATABASE": database}
    if listener.tls is None:
        return settings | {"PGSSLMODE": "disable", "PGHOST": listener.address.host}
    trusted = "system" if listener.tls.ca is None else str(listener.tls.ca)
    return settings | {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": trusted, "PGGSSENCMODE": "disable"}


def _print_settings(settings: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        print_json(settings)
        return
    words = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGDATABASE": "dbname", "PGSSLMODE": "sslmode"}
    words["PGSSLROOTCERT"] = "sslrootcert"
    line = " ".join(f"{word}={_quoted(settings[name])}" for name, word in words.items() if name in settings)
    typer.echo(f'PGPASSWORD="$INTERLOCK_TOKEN" psql "{line}"')


def _quoted(value: str) -> str:
    """A value of a connection string; libpq's quotes and backslashes escaped."""
    if value and all(c.isalnum() or c in "/.-_" for c in value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _obtain_token(config: Config, resource: str, token_file: Path | None, groups: list[str]) -> Secret:
    """A handle for the person's token where the gateway answers, else the token itself."""
    token = find_token(token_file)
    if token is None and config.gateway.mode is Mode.DEVELOPMENT:
        token = _development_token(config, resource, groups)
    if token is None:
        token = read_token(None)
    client = ControlClient(config.gateway.control_socket)
    try:
        answer = client.ask(IssueHandle(resource, token.reveal(), uses=HANDLE_USES))
    except GatewayUnreachable:
        return token
    except ControlError as error:
        if error.reply_code == "not_allowed":
            return token
        raise
    return Secret(str(answer["handle"]))


def _development_token(config: Config, resource: str, groups: list[str]) -> Secret:
    import getpass

    from interlock.identity import DevelopmentGrant

    subject = getpass.getuser()
    note(
        f"no token given: using a DEVELOPMENT token for {subject} (groups: {', '.join(groups) or 'none; see --group'})"
    )
    grant = DevelopmentGrant(subject=subject, kind=PrincipalKind.HUMAN, groups=groups, resources=[resource])
    return issue_development(config, grant, seconds=config.tokens.development_seconds)
