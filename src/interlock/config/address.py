"""Network addresses as the configuration writes them: ``host:port``, ``[v6]:port``, ``unix:/directory:port``."""

import ipaddress
from dataclasses import dataclass

_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen or dial; ``directory`` is set for a PostgreSQL-style local socket, else ``host`` is."""

    host: str
    port: int
    directory: str = ""

    @property
    def is_local(self) -> bool:
        """True for a local socket or a loopback host: bytes that no network carries."""
        return bool(self.directory) or is_loopback(self.host)

    def __str__(self) -> str:
        if self.directory:
            return f"unix:{self.directory}:{self.port}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_loopback(host: str) -> bool:
    """True for ``localhost`` and for literal loopback addresses; a name is never resolved to find out."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_address(text: str, *, default_port: int | None = None) -> Address:
    """Read an address.

    Raises:
        ValueError: the text isn't an address; its message says what one looks like.
    """
    if text.startswith("unix:"):
        directory, _, port = text[5:].rpartition(":")
        if not directory.startswith("/"):
            msg = "a local socket is written unix:/directory:port, as in unix:/var/run/postgresql:5432"
            raise ValueError(msg)
        return Address(host="", port=_parse_port(port), directory=directory)
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not rest.startswith(":") or not _is_v6(host):
            msg = "an IPv6 address is written [address]:port, as in [::1]:5432"
            raise ValueError(msg)
        return Address(host=host, port=_parse_port(rest[1:]))
    host, colon, port = text.rpartition(":")
    if not colon and default_port is not None and text:
        host, port = text, str(default_port)
    if not host or ":" in host or any(c.isspace() or c in "/@?#" for c in host):
        msg = "an address is written host:port, as in db.internal:5432 or 127.0.0.1:6432"
        raise ValueError(msg)
    return Address(host=host, port=_parse_port(port))


def _parse_port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > _MAX_PORT:
        msg = f"{text!r} is not a port number (0 to {_MAX_PORT})"
        raise ValueError(msg)
    return int(text)


def _is_v6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True
