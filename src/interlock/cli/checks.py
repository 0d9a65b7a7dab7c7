"""The checks of ``interlock doctor``, one generator a subject, in the order in which things depend on each other."""

import asyncio
import os
import pwd
import shutil
import socket
import ssl
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from interlock.cli.output import clock
from interlock.config import (
    Config,
    ListenerConfig,
    ListenerTls,
    Mode,
    ResourceConfig,
    UpstreamConfig,
    load,
    parse_address,
    resolve_bytes,
    resolve_secret,
)
from interlock.control import ControlClient, ControlError, GatewayUnreachable
from interlock.control.messages import Status
from interlock.core.errors import ConfigError, InterlockError, PolicyError, StorageError
from interlock.core.resource import SecretReference

OK: Final = "ok"
WARN: Final = "warn"
FAIL: Final = "fail"
CERTIFICATE_WARNING: Final = timedelta(days=30)
MIN_FREE_BYTES: Final = 1024**3
LOGIN_SECONDS: Final = 10.0
APPROVAL_KEY_BYTES: Final = 32
_OTHERS: Final = 0o077


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    subject: str
    status: str
    message: str
    mend: str = ""
    next_step: str = ""
    """What takes time next."""


def examine(file: Path) -> Iterator[Finding]:
    """Every check, as its result comes."""
    try:
        config = load(file)
    except ConfigError as error:
        yield Finding("configuration", FAIL, str(error), "correct that line; `interlock init` writes a commented file")
        return
    yield Finding("configuration", OK, f"{config.file} is valid")
    yield from _mode(config)
    yield from _keys(config)
    for listener in config.listeners:
        yield from _listener(listener)
    if not config.listeners:
        yield Finding("listeners", FAIL, "there is none", "add [listeners.postgres] with an address and tls")
    yield from _policies(config)
    yield from _issuers(config)
    yield from _storage(config)
    yield from _recorder(config)
    running = _running(config)
    yield running
    if running.status != OK:
        yield from _ports(config)
    if not config.resources:
        yield Finding("resources", WARN, "none is registered", "add [[resources]]")
    for resource in config.resources:
        yield from _resource(resource)


def _mode(config: Config) -> Iterator[Finding]:
    if config.gateway.mode is Mode.DEVELOPMENT:
        yield Finding(
            "mode", WARN, "development: tokens that anybody with the development key makes are taken",
            'set mode = "production" in [gateway] before real use',
        )  # fmt: skip
    else:
        yield Finding("mode", OK, "production")
        if not config.issuers:
            yield Finding("issuers", FAIL, "production mode without an issuer lets nobody in", "add [[issuers]]")


def _keys(config: Config) -> Iterator[Finding]:
    key = config.approvals.key
    yield from _private("approval key", key)
    try:
        length = len(resolve_bytes(key))
    except InterlockError as error:
        yield Finding("approval key", FAIL, str(error), "run `interlock init` in this folder: it adds what is missing")
    else:
        if length == APPROVAL_KEY_BYTES:
            yield Finding("approval key", OK, "32 bytes")
        else:
            mend = "move it away and run `interlock init`; open holds are lost"
            yield Finding("approval key", FAIL, f"has {length} bytes, not {APPROVAL_KEY_BYTES}", mend)
    if config.gateway.mode is Mode.DEVELOPMENT:
        yield from _private("development key", config.tokens.development_key)


def _private(subject: str, reference: SecretReference) -> Iterator[Finding]:
    """A secret file that others can read, or that isn't there."""
    if reference.kind == "file":
        yield from _private_file(subject, Path(reference.target))


def _private_file(subject: str, path: Path) -> Iterator[Finding]:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        yield Finding(
            subject, FAIL, f"{path}: {error.strerror}", "run `interlock init` in this folder, or correct the path"
        )
        return
    if mode & _OTHERS:
        yield Finding(subject, FAIL, f"{path}: others than its owner can read it ({mode:04o})", f"chmod 600 {path}")


def _listener(listener: ListenerConfig) -> Iterator[Finding]:
    subject = f"listener {listener.protocol}"
    if listener.tls is None:
        yield Finding(subject, WARN, f"plaintext on {listener.address}", "use tls, except to try something out")
        return
    yield from _private_file(f"{subject} key", listener.tls.key)
    yield from _certificate(subject, listener.tls)


def _certificate(subject: str, tls: ListenerTls) -> Iterator[Finding]:
    from cryptography import x509

    mend = "correct the paths in tls, or run `interlock init` where they are missing"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.certificate, tls.key)
        certificate = x509.load_pem_x509_certificate(tls.certificate.read_bytes())
    except (OSError, ValueError) as error:
        yield Finding(subject, FAIL, f"{tls.certificate} and {tls.key} don't make a server certificate: {error}", mend)
        return
    ends = certificate.not_valid_after_utc
    left = ends - clock()
    renew = f"renew it; for one of `interlock init`, move {tls.certificate} away and run it again, then reload"
    if left <= timedelta():
        yield Finding(subject, FAIL, f"the certificate expired on {ends:%Y-%m-%d}", renew)
    elif left < CERTIFICATE_WARNING:
        yield Finding(subject, WARN, f"the certificate expires in {left.days} days", renew)
    else:
        yield Finding(subject, OK, f"the certificate is valid until {ends:%Y-%m-%d}")


def _policies(config: Config) -> Iterator[Finding]:
    from interlock.cli.policies import read_policies
    from interlock.policy import PolicySet

    try:
        policy_set = PolicySet.from_sources(read_policies(config.gateway.policies))
    except PolicyError as error:
        yield Finding("policies", FAIL, str(error), "correct the policy; `interlock policy check` shows it again")
    else:
        yield Finding("policies", OK, f"{len(policy_set.rules)} in force as set {policy_set.hash[:16]}")


def _issuers(config: Config) -> Iterator[Finding]:
    from interlock.identity import KeySet
    from interlock.identity.jwks import fetch_jwks, read_jwks_file
    from interlock.identity.strict_json import decode_object

    for issuer in config.issuers:
        subject = f"issuer {issuer.issuer}"
        try:
            local = issuer.jwks.startswith("file:")
            data = read_jwks_file(Path(issuer.jwks[5:])) if local else fetch_jwks(issuer.jwks)
            KeySet.from_jwks(decode_object(data, "key set"))
        except Exception as error:  # noqa: BLE001 - whatever is wrong, doctor says so and goes on
            mend = "correct jwks, or let the gateway reach it"
            yield Finding(subject, FAIL, f"its keys can't be had from {issuer.jwks}: {error}", mend)
        else:
            yield Finding(subject, OK, f"its keys can be had from {issuer.jwks}")


def _storage(config: Config) -> Iterator[Finding]:
    folder = config.gateway.data_dir
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        yield Finding("data_dir", FAIL, f"{folder} isn't a folder that can be written", f"mkdir -m 700 {folder}")
        return
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o022:
        yield Finding("data_dir", FAIL, f"{folder}: others can write it ({mode:04o})", f"chmod 700 {folder}")
    free = shutil.disk_usage(folder).free
    needed = config.recorder.reserve_bytes + MIN_FREE_BYTES
    status = OK if free >= needed else WARN
    mend = "" if status == OK else "make room, or set keep_days or keep_bytes in [recordings]"
    yield Finding("disk", status, f"{free // 1024**2} MiB free for log and recordings", mend)
    path = config.gateway.state_path
    if not path.exists():
        yield Finding("state", OK, f"{path} will be made at the first start")
        return
    yield from _private_file("state", path)
    yield asyncio.run(_state(path))


async def _state(path: Path) -> Finding:
    from interlock.storage import Database

    database = Database(path)
    try:
        await database.open()
    except StorageError as error:
        mend = "start the gateway of this version once (it migrates), or restore a backup"
        return Finding("state", FAIL, str(error), mend)
    finally:
        await database.close()
    return Finding("state", OK, f"{path} has the right schema")


def _recorder(config: Config) -> Iterator[Finding]:
    user = config.recorder.user
    if user is None:
        mend = "make a system user and set user in [recorder]; start the gateway as root"
        yield Finding("recorder", WARN, "runs as the gateway's own user, which could change the log", mend)
        return
    try:
        uid = pwd.getpwnam(user).pw_uid
    except KeyError:
        yield Finding("recorder", FAIL, f"there is no system user {user!r}", f"useradd --system {user}")
        return
    if os.geteuid() not in (0, uid):
        yield Finding("recorder", FAIL, f"only root can start it as {user}", "start the gateway as root")
    else:
        yield Finding("recorder", OK, f"runs as {user}")


def _running(config: Config) -> Finding:
    try:
        answer: Any = ControlClient(config.gateway.control_socket, timeout_seconds=5).ask(Status())
    except GatewayUnreachable:
        return Finding("gateway", WARN, "isn't running", "interlock serve", "looking at ports and upstreams")
    except ControlError as error:
        return Finding("gateway", WARN, f"runs, but gives no status: {error}", "run doctor as the gateway's user")
    return Finding("gateway", OK, "runs; " + ", ".join(f"{name} {value}" for name, value in answer.items()))


def _ports(config: Config) -> Iterator[Finding]:
    for listener in config.listeners:
        address = listener.address
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        subject = f"port {address}"
        try:
            with socket.socket(family, socket.SOCK_STREAM) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind((address.host, address.port))
        except OSError as error:
            mend = "stop what listens there, or choose another address"
            yield Finding(subject, FAIL, f"can't be listened on: {error.strerror}", mend)
        else:
            yield Finding(subject, OK, "is free")


def _resource(resource: ResourceConfig) -> Iterator[Finding]:
    for login in resource.upstreams:
        yield asyncio.run(_login(resource, login))


async def _login(resource: ResourceConfig, login: UpstreamConfig) -> Finding:
    """Reach the upstream, verify its certificate and log in, as a stock client would."""
    import asyncpg

    subject = f"resource {resource.name} as {login.user}"
    try:
        password = None if login.password is None else await asyncio.to_thread(resolve_secret, login.password)
    except InterlockError as error:
        return Finding(subject, FAIL, str(error), "correct the reference, or set what it names")
    address = parse_address(resource.resource.address)
    try:
        connection = await asyncpg.connect(
            host=address.directory or address.host,
            port=address.port,
            user=login.user,
            password=None if password is None else password.reveal(),
            database="postgres",
            ssl=_upstream_context(login),
            timeout=LOGIN_SECONDS,
        )
    except asyncpg.InvalidCatalogNameError:
        return Finding(subject, OK, f"{address} takes the login")
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        return Finding(subject, FAIL, f"{address} refuses the login: {error}", "correct user or password reference")
    except ssl.SSLError as error:
        return Finding(subject, FAIL, f"{address}: TLS failed: {error}", "set ca to the authority of its certificate")
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        reason = str(error) or type(error).__name__
        return Finding(subject, FAIL, f"{address} can't be used: {reason}", "check address, network and server")
    version = connection.get_server_version()
    await connection.close()
    return Finding(subject, OK, f"{address} answers: PostgreSQL {version.major}, TLS {login.tls}")


def _upstream_context(login: UpstreamConfig) -> ssl.SSLContext | bool:
    if login.tls == "disable":
        return False
    context = ssl.create_default_context(cafile=None if login.ca is None else str(login.ca))
    context.check_hostname = login.tls == "verify-full"
    return context
