"""``interlock init``: a folder with everything that the gateway needs, and what to do next."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Final

import typer

from interlock.cli.options import JsonOption
from interlock.cli.output import clock, print_json
from interlock.cli.template import FirstResource, config_text
from interlock.config import Mode

_HOST: Final = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9][A-Za-z0-9-]{0,62})*")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("init")(init)


def init(
    folder: Annotated[Path, typer.Argument(help="Where to write; made if it isn't there.")] = Path(),
    *,
    host: Annotated[list[str] | None, typer.Option(help="A name or address that clients use; may be repeated.")] = None,
    listen: Annotated[str, typer.Option(help="Where the PostgreSQL listener listens.")] = "127.0.0.1:6432",
    mode: Annotated[Mode, typer.Option(help="development takes tokens of `interlock token issue`.")] = Mode.DEVELOPMENT,
    resource: Annotated[str, typer.Option(help="Register this PostgreSQL database at once, under this name.")] = "",
    address: Annotated[str, typer.Option(help="Its address, host:port or unix:/directory:port.")] = "",
    user: Annotated[str, typer.Option(help="The user that the gateway logs in as.")] = "",
    password: Annotated[str, typer.Option(help="Reference to its password: env:NAME, file:PATH or command:...")] = "",
    as_json: JsonOption = False,
) -> None:
    """Write a commented interlock.toml, a local CA and server certificate, keys and starter policies.

    Nothing that exists is overwritten.

    Example: interlock init gateway --resource shop --address db:5432 --user app --password env:SHOP_PASSWORD
    """
    from interlock.cli import material
    from interlock.config import parse
    from interlock.policy.starting import starter_policies

    names = _verified_hosts(host or [])
    first = _first_resource(resource, address, user, password)
    text = config_text(mode=mode.value, address=listen, resource=first)
    folder = folder.absolute()
    parse(text, file=folder / "interlock.toml")  # what was asked for makes a usable file, or nothing is written
    now = clock()
    written = [material.make_folder(folder, secret=False)] if not folder.is_dir() else []
    written += [material.make_folder(folder / name, secret=True) for name in ("keys", "var")]
    written += [material.make_folder(folder / name, secret=False) for name in ("tls", "policies")]
    ca, ca_key = folder / "tls/ca.pem", folder / "tls/ca-key.pem"
    certificate, key = folder / "tls/cert.pem", folder / "tls/key.pem"
    written += [
        material.make_file(ca_key, material.make_tls_key, secret=True),
        material.make_file(ca, lambda: material.make_ca(ca_key.read_bytes(), now=now), secret=False),
        material.make_file(key, material.make_tls_key, secret=True),
        material.make_file(
            certificate,
            lambda: material.make_server_certificate(
                ca.read_bytes(), ca_key.read_bytes(), key.read_bytes(), names=names, now=now
            ),
            secret=False,
        ),
        material.make_file(folder / "keys/approvals.key", material.make_random_key, secret=True),
        material.make_file(folder / "keys/development.pem", material.make_signing_key, secret=True),
    ]
    for name, source in starter_policies().items():
        written.append(material.make_file(folder / "policies" / name, source.encode, secret=False))
    written.append(material.make_file(folder / "interlock.toml", text.encode, secret=False))
    if as_json:
        print_json([{"path": str(item.path), "made": item.made} for item in written])
        return
    for item in written:
        typer.echo(f"{'made' if item.made else 'kept'}  {item.path}")
    typer.echo(_next_steps(folder, first))


def _next_steps(folder: Path, first: FirstResource | None) -> str:
    config = "" if folder == Path.cwd() else f" --config {folder / 'interlock.toml'}"
    name = first.name if first is not None else "<resource>"
    register_step = (
        "" if first is not None else f"  edit {folder / 'interlock.toml'}: register a database under [[resources]]\n"
    )
    return f"""
Next:
{register_step}  interlock doctor{config}
  interlock serve{config}
  interlock connect {name} --group readers{config}

The CA's key, {folder / "tls/ca-key.pem"}, is needed only to make another server certificate: keep it elsewhere.
"""


def _first_resource(name: str, address: str, user: str, password: str) -> FirstResource | None:
    given = [bool(value) for value in (name, address, user, password)]
    if not any(given):
        return None
    if not all(given):
        msg = "--resource, --address, --user and --password go together"
        raise typer.BadParameter(msg)
    return FirstResource(name, address, user, password)


def _verified_hosts(hosts: list[str]) -> list[str]:
    for host in hosts:
        try:
            ipaddress.ip_address(host)
        except ValueError:
            if not _HOST.fullmatch(host):
                msg = f"{host!r} is neither a host name nor an IP address"
                raise typer.BadParameter(msg, param_hint="--host") from None
    return hosts
