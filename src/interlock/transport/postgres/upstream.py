"""The gateway's login to a PostgreSQL upstream, performed: the machine decides, this connects, protects and sends.

    resolve once -> connect -> SSLRequest, answered by exactly one byte -> TLS, verified -> SCRAM with channel binding

What a login needs is resolved just before use: the password is in memory while the machine runs, no longer (P5).
"""

import asyncio
import base64
import hashlib
import ssl
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, cast, final

from interlock.config.address import parse_address
from interlock.config.model import ResourceConfig, UpstreamConfig
from interlock.config.secrets import SecretUnavailable, resolve_secret
from interlock.core.errors import ConfigError, UpstreamProtocolError, UpstreamUnavailable
from interlock.core.permit import SessionPermit
from interlock.core.resource import SecretReference
from interlock.core.secret import Secret
from interlock.core.session import Session
from interlock.protocols.postgres.login import (
    TLS_REQUEST,
    LoggedIn,
    LoginFailed,
    LoginMachine,
    LoginPolicy,
    LoginStep,
    Send,
    verify_tls_answer,
)
from interlock.transport.dial import (
    Pin,
    UpstreamAuthenticationFailed,
    UpstreamCredentialMissing,
    UpstreamNotConfigured,
    UpstreamProtocolBroken,
    UpstreamRefused,
    UpstreamTlsFailed,
    UpstreamUnreachable,
    connect,
    resolve,
)
from interlock.transport.raw import send_all, wait_readable
from interlock.transport.tls import compute_end_point_binding, make_upstream_context
from interlock.wire.postgres.scram import derive_pbkdf2
from interlock.wire.postgres.startup import CancelRequest

ALPN: Final = "postgresql"
NONCE_BYTES: Final = 18
MAX_TLS_ANSWER: Final = 64
MAX_DERIVED: Final = 256

_FAILURES: Final[Mapping[str, type[UpstreamUnavailable]]] = {
    "upstream_refused": UpstreamRefused,
    "upstream_authentication": UpstreamAuthenticationFailed,
    "upstream_protocol": UpstreamProtocolBroken,
}


@final
class DerivedKeys:
    """SCRAM's salted passwords, kept: deriving one costs milliseconds of every new connection."""

    def __init__(self) -> None:
        self._keys: Final[OrderedDict[tuple[bytes, bytes, int], bytes]] = OrderedDict()

    def derive(self, password: bytes, salt: bytes, iterations: int) -> bytes:
        """Hi() of RFC 5802; the password itself isn't kept, only a digest that finds its key again."""
        name = (hashlib.sha256(password).digest(), salt, iterations)
        key = self._keys.get(name)
        if key is None:
            key = self._keys[name] = derive_pbkdf2(password, salt, iterations)
            if len(self._keys) > MAX_DERIVED:
                self._keys.popitem(last=False)
        return key


@final
class LoginLeg(asyncio.Protocol):
    """The upstream's end while the login runs, and until a conversation takes the transport over."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.lost = False
        self._data: list[bytes] = []
        self._more = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The (protected) connection stands."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of it

    def data_received(self, data: bytes) -> None:
        """Keep the bytes for whoever reads next; the machine bounds what a login may say."""
        self._data.append(data)
        self._more.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - a reset and a close end alike
        """No more will come."""
        self.lost = True
        self._more.set()

    async def receive(self) -> bytes:
        """The next bytes.

        Raises:
            UpstreamProtocolBroken: the upstream hung up.
        """
        while not self._data:
            if self.lost:
                msg = "the upstream hung up during login"
                raise UpstreamProtocolBroken(msg)
            self._more.clear()
            await self._more.wait()
        return self.take_all()

    def take_all(self) -> bytes:
        """Everything that has arrived."""
        data = b"".join(self._data)
        self._data.clear()
        return data

    async def wait_lost(self) -> None:
        """Wait until the upstream hangs up."""
        while not self.lost:
            self._more.clear()
            await self._more.wait()


@final
class PostgresUpstream:
    """A logged-in connection."""

    def __init__(self, leg: LoginLeg, login: LoggedIn, *, pin: Pin, tls: ssl.SSLContext | None, host: str) -> None:
        self._leg: Final = leg
        self._login: Final = login
        self._pin: Final = pin
        self._tls: Final = tls
        self._host: Final = host

    @property
    def parameters(self) -> Mapping[str, str]:
        """What the upstream reported while logging in."""
        return self._login.parameters

    def attach(self, leg: asyncio.Protocol) -> None:
        """Give every further event of the connection to ``leg``, starting with ``connection_made``."""
        transport = self._leg.transport
        assert transport is not None
        first = self._login.leftover + self._leg.take_all()
        transport.set_protocol(leg)
        leg.connection_made(transport)
        if first:
            leg.data_received(first)
        if self._leg.lost:
            leg.connection_lost(None)

    def abort(self) -> None:
        """Drop the connection at once."""
        if self._leg.transport is not None:
            self._leg.transport.abort()

    async def cancel(self) -> None:
        """Ask the same server, on a connection of its own protected alike, to cancel what this one runs.

        Raises:
            UpstreamUnavailable: the request couldn't be delivered.
        """
        if not self._login.key:
            return
        leg = await open_connection((self._pin,), tls=self._tls, host=self._host)
        assert leg.transport is not None
        try:
            leg.transport.write(CancelRequest(self._login.pid, self._login.key).encode())
            await leg.wait_lost()  # the server closes when it has sent the signal
        finally:
            leg.transport.abort()


async def open_connection(pins: tuple[Pin, ...], *, tls: ssl.SSLContext | None, host: str) -> LoginLeg:
    """Connect, and protect the connection where there is a context.

    Raises:
        UpstreamUnreachable: nobody answers.
        UpstreamTlsFailed: no TLS, more than one byte as the answer (CVE-2021-23222), or the certificate is wrong.
    """
    sock, _ = await connect(pins)
    loop = asyncio.get_running_loop()
    leg = LoginLeg()
    try:
        if tls is None:
            await loop.create_connection(lambda: leg, sock=sock)
            return leg
        await send_all(sock, TLS_REQUEST)
        await wait_readable(sock)
        if not verify_tls_answer(sock.recv(MAX_TLS_ANSWER)):
            msg = "the upstream offers no TLS, and the configuration demands it"
            raise UpstreamTlsFailed(msg)
        await loop.create_connection(lambda: leg, sock=sock, ssl=tls, server_hostname=host)
    except UpstreamProtocolError as error:
        sock.close()
        raise UpstreamTlsFailed(str(error)) from error
    except ssl.SSLError as error:
        sock.close()
        msg = f"TLS failed: {error.reason or 'unknown'}"
        raise UpstreamTlsFailed(msg) from error
    except OSError as error:
        sock.close()
        msg = f"the connection broke: {error.strerror}"
        raise UpstreamUnreachable(msg) from error
    except BaseException:
        sock.close()
        raise
    return leg


@final
class PostgresDialler:
    """Logs in to PostgreSQL resources as the gateway."""

    def __init__(
        self,
        resources: Mapping[str, ResourceConfig],
        *,
        random_bytes: Callable[[int], bytes],
        resolve_password: Callable[[SecretReference], Secret] = resolve_secret,
    ) -> None:
        self._resources = resources
        self._random_bytes: Final = random_bytes
        self._resolve_password: Final = resolve_password
        self._contexts: Final[dict[tuple[str, Path | None], ssl.SSLContext]] = {}
        self._derived: Final = DerivedKeys()

    def replace(self, resources: Mapping[str, ResourceConfig]) -> None:
        """Use these resources from now on; what is connected stays connected."""
        self._resources = resources
        self._contexts.clear()

    def login_of(self, session: Session) -> tuple[ResourceConfig, UpstreamConfig]:
        """The login that the session was opened for.

        Raises:
            UpstreamNotConfigured: it isn't in the configuration any more.
        """
        resource = self._resources.get(session.resource.name)
        login = resource.upstream_for(session.principal.groups) if resource is not None else None
        if resource is None or login is None or session.upstream_user not in {"", login.user}:
            msg = f"resource {session.resource.name!r} has no such login now"
            raise UpstreamNotConfigured(msg)
        return resource, login

    async def dial(self, session: Session, permit: SessionPermit, parameters: Mapping[str, str]) -> PostgresUpstream:
        """Connect, verify and log in.

        Raises:
            UpstreamUnavailable: a subclass whose code says what went wrong.
        """
        if permit.session_id != session.id:
            msg = "the permit is of another session"
            raise UpstreamNotConfigured(msg)
        resource, login = self.login_of(session)
        address = parse_address(resource.resource.address)
        tls = self._context(login)
        leg = await open_connection(await resolve(address), tls=tls, host=address.host)
        transport = leg.transport
        assert transport is not None
        try:
            logged_in = await self._log_in(leg, login, session.database, parameters)
        except BaseException:
            transport.abort()
            raise
        return PostgresUpstream(leg, logged_in, pin=_pin_of(transport), tls=tls, host=address.host)

    async def _log_in(
        self, leg: LoginLeg, login: UpstreamConfig, database: str, parameters: Mapping[str, str]
    ) -> LoggedIn:
        transport = leg.transport
        assert transport is not None
        ssl_object = transport.get_extra_info("ssl_object")
        binding = None
        if ssl_object is not None:
            certificate = ssl_object.getpeercert(binary_form=True)
            binding = compute_end_point_binding(certificate) if certificate else None
        machine = LoginMachine(
            user=login.user,
            password=await self._password(login),
            database=database,
            nonce=base64.b64encode(self._random_bytes(NONCE_BYTES)).decode(),
            policy=LoginPolicy(tls=ssl_object is not None),
            # the machine sets the encoding itself, to UTF8, and fails if the upstream has another
            parameters={name: value for name, value in parameters.items() if name != "client_encoding"},
            channel_binding=binding,
            derive=self._derived.derive,
        )
        step: LoginStep = Send(machine.start())
        while isinstance(step, Send):
            if step.data:
                transport.write(step.data)
            step = machine.feed(await leg.receive())
        if isinstance(step, LoginFailed):
            raise _FAILURES.get(step.code, UpstreamRefused)(f"{step.sqlstate} {step.reason}".strip())
        return step

    async def _password(self, login: UpstreamConfig) -> Secret | None:
        if login.password is None:
            return None
        try:
            if login.password.kind == "env":
                return self._resolve_password(login.password)
            return await asyncio.to_thread(self._resolve_password, login.password)
        except SecretUnavailable as error:
            raise UpstreamCredentialMissing(str(error)) from error

    def _context(self, login: UpstreamConfig) -> ssl.SSLContext | None:
        if login.tls == "disable":
            return None
        key = (login.tls, login.ca)
        context = self._contexts.get(key)
        if context is None:
            try:
                context = self._contexts[key] = make_upstream_context(login.tls, login.ca, alpn=ALPN)
            except ConfigError as error:
                raise UpstreamTlsFailed(str(error)) from error
        return context


def _pin_of(transport: asyncio.Transport) -> Pin:
    sock = transport.get_extra_info("socket")
    return Pin(sock.family, sock.getpeername())
