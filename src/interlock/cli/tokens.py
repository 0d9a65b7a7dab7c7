"""``interlock token``: development tokens, and how commands find the token they use."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from interlock.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, read_config
from interlock.cli.output import clock, new_id, note, print_json
from interlock.config import Config, Mode, resolve_bytes
from interlock.core.errors import InterlockError
from interlock.core.principal import Actor, Model, PrincipalKind
from interlock.core.secret import Secret

TOKEN_VARIABLE: Final = "INTERLOCK_TOKEN"  # noqa: S105 - the name of a variable
_MAX_TOKEN_BYTES: Final = 32 * 1024


class TokenRefused(InterlockError):
    """No token can be issued or found."""

    code = "token"


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command("issue")(issue)
    group.callback()(lambda: None)


def issue(
    subject: Annotated[str, typer.Argument(help="Who the token is for, as in code-reviewer or alice.")],
    *,
    kind: Annotated[PrincipalKind, typer.Option(help="What kind of actor it is.")] = PrincipalKind.HUMAN,
    group: Annotated[list[str] | None, typer.Option(help="A group of the gateway; may be repeated.")] = None,
    model: Annotated[str, typer.Option(help="The agent's model, as vendor/name/version.")] = "",
    person: Annotated[str, typer.Option(help="The person behind an agent (separation of duties).")] = "",
    actor: Annotated[list[str] | None, typer.Option(help="Who acts for the subject; outermost first.")] = None,
    resource: Annotated[list[str] | None, typer.Option(help="Bind it to this resource; may be repeated.")] = None,
    reason: Annotated[str, typer.Option(help="Why, for policy and the log.")] = "",
    seconds: Annotated[int, typer.Option(help="How long it lives.", min=1)] = 3600,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Issue a DEVELOPMENT token: it says whatever you say, so production mode refuses to make or take it.

    Example: export INTERLOCK_TOKEN=$(interlock token issue alice --group dba)

    Example: interlock token issue code-reviewer --kind agent --model acme/reviewer/3 --person alice --group readers
    """
    loaded = read_config(config)
    from interlock.identity import DevelopmentGrant

    grant = DevelopmentGrant(
        subject=subject,
        kind=kind,
        groups=group or (),
        model=_parse_model(model),
        resources=resource or None,
        reason=reason or None,
        person=person or None,
        actors=tuple(Actor(name, loaded.tokens.development_issuer) for name in actor or ()),
    )
    token = issue_development(loaded, grant, seconds=seconds)
    if as_json:
        print_json({"token": token.reveal(), "development": True, "seconds": seconds})
        return
    note(f"DEVELOPMENT token for {subject} ({kind.value}), {seconds} s; never use one in production:")
    typer.echo(token.reveal())


def issue_development(config: Config, grant: object, *, seconds: int) -> Secret:
    """A development token, signed with the configured key.

    Raises:
        TokenRefused: production mode, a lifetime over the limit, or a name that a token can't carry.
        SecretUnavailable: the key can't be read.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from interlock.identity import DevelopmentGrant, issue_development_token

    assert isinstance(grant, DevelopmentGrant)
    if config.gateway.mode is not Mode.DEVELOPMENT:
        msg = (
            f'{config.file} has mode = "production", in which development tokens are neither made nor taken: '
            'get a token from one of the configured issuers, or set mode = "development" on a machine for trying out'
        )
        raise TokenRefused(msg)
    if seconds > config.tokens.development_seconds:
        msg = f"{seconds} s is over the limit of {config.tokens.development_seconds} s ([tokens] development_seconds)"
        raise TokenRefused(msg)
    try:
        key = load_pem_private_key(resolve_bytes(config.tokens.development_key), password=None)
    except ValueError as error:
        msg = "the development key isn't a private key in PEM; remove it and run `interlock init` for a new one"
        raise TokenRefused(msg) from error
    if not isinstance(key, Ed25519PrivateKey):
        msg = "the development key isn't an Ed25519 key; remove it and run `interlock init` for a new one"
        raise TokenRefused(msg)
    try:
        return issue_development_token(
            key,
            grant,
            lifetime=timedelta(seconds=seconds),
            now=clock(),
            token_id=new_id(),
            issuer=config.tokens.development_issuer,
        )
    except ValueError as error:
        raise TokenRefused(str(error)) from error


def read_token(file: Path | None) -> Secret:
    """The token that the person has: from the file, else from INTERLOCK_TOKEN; never from the command line.

    Raises:
        TokenRefused: neither is there.
    """
    found = find_token(file)
    if found is None:
        msg = f"this needs your token: set {TOKEN_VARIABLE} or give --token-file"
        raise TokenRefused(msg)
    return found


def find_token(file: Path | None) -> Secret | None:
    """As ``read_token``, or None where neither is there.

    Raises:
        TokenRefused: the file can't be read, or holds no token.
    """
    if file is None:
        text = os.environ.get(TOKEN_VARIABLE, "").strip()
        return Secret(text) if text else None
    try:
        with file.open("rb") as stream:
            data = stream.read(_MAX_TOKEN_BYTES + 1)
    except OSError as error:
        msg = f"{file}: the token can't be read: {error.strerror}"
        raise TokenRefused(msg) from error
    text = data.decode("ascii", "replace").strip()
    if not text or len(data) > _MAX_TOKEN_BYTES or "�" in text:
        msg = f"{file}: holds no token"
        raise TokenRefused(msg)
    return Secret(text)


def _parse_model(text: str) -> Model | None:
    if not text:
        return None
    parts = text.split("/")
    if len(parts) != 3:
        msg = "a model is vendor/name/version, as in acme/reviewer/3"
        raise typer.BadParameter(msg, param_hint="--model")
    return Model(parts[0], parts[1], parts[2])
