"""Reaches an upstream: an address resolved once and pinned, a connection, and what can go wrong with it (T26)."""

import asyncio
import socket
from dataclasses import dataclass
from typing import Final, final

from interlock.config.address import Address
from interlock.core.errors import UpstreamUnavailable
from interlock.transport import raw

KEEPALIVE_IDLE_SECONDS: Final = 60


class UpstreamUnreachable(UpstreamUnavailable):
    """No address of it takes connections."""

    code = "upstream_unreachable"


class UpstreamTlsFailed(UpstreamUnavailable):
    """It offers no TLS, or its certificate isn't what the configuration demands."""

    code = "upstream_tls"


class UpstreamRefused(UpstreamUnavailable):
    """It answered the login with an error."""

    code = "upstream_refused"


class UpstreamAuthenticationFailed(UpstreamUnavailable):
    """It doesn't take the gateway's credential, or couldn't prove itself."""

    code = "upstream_authentication"


class UpstreamProtocolBroken(UpstreamUnavailable):
    """It doesn't speak the protocol."""

    code = "upstream_protocol"


class UpstreamCredentialMissing(UpstreamUnavailable):
    """The reference to the gateway's credential can't be resolved."""

    code = "upstream_credential"


class UpstreamNotConfigured(UpstreamUnavailable):
    """The resource is gone from the configuration, or has no login for this principal."""

    code = "upstream_not_configured"


@final
@dataclass(frozen=True, slots=True)
class Pin:
    """Where a connection really went: a cancel request goes to the same place, without asking any name again."""

    family: socket.AddressFamily
    sockaddr: tuple[str, int] | tuple[str, int, int, int] | str


async def resolve(address: Address) -> tuple[Pin, ...]:
    """Every place that the address stands for now, in the resolver's order.

    Raises:
        UpstreamUnreachable: the name isn't known.
    """
    if address.directory:
        return (Pin(socket.AF_UNIX, f"{address.directory}/.s.PGSQL.{address.port}"),)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        msg = f"{address.host!r} can't be resolved: {error.strerror}"
        raise UpstreamUnreachable(msg) from error
    return tuple(Pin(socket.AddressFamily(family), sockaddr) for family, _, _, _, sockaddr in found)  # type: ignore[arg-type]  # typeshed widens sockaddr for families that can't occur with a host


async def connect(pins: tuple[Pin, ...]) -> tuple[socket.socket, Pin]:
    """A connected, non-blocking socket to the first of these that answers.

    Raises:
        UpstreamUnreachable: none does.
    """
    failure: OSError | None = None
    for pin in pins:
        sock = socket.socket(pin.family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            await raw.connect(sock, pin.sockaddr)
            if pin.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                if hasattr(socket, "TCP_KEEPIDLE"):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_SECONDS)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock, pin
    msg = f"no address takes connections: {failure.strerror if failure is not None else 'the name has none'}"
    raise UpstreamUnreachable(msg) from failure
