"""Free TCP ports for servers that can't choose one themselves."""

import socket


def free_port() -> int:
    """Return a loopback port that nobody listens on now; the kernel gives out a different one each time for a while."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
