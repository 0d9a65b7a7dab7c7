"""The command line's end of the control socket; blocking, since a command does one thing."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, final

from interlock.control.messages import MAX_REPLY_BYTES, ControlRefused, Request, decode_reply, encode_request
from interlock.core.errors import InterlockError

TIMEOUT_SECONDS: Final = 30.0
_CHUNK: Final = 64 * 1024

ControlError = ControlRefused
"""The gateway answered no."""


class GatewayUnreachable(InterlockError):
    """No gateway answers at the control socket."""

    code = "unreachable"


@final
class ControlClient:
    """Asks the gateway whose control socket is at ``path``."""

    def __init__(self, path: Path, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._path: Final = path
        self._timeout: Final = timeout_seconds

    def ask(self, request: Request) -> Any:
        """The one reply.

        Raises:
            ControlRefused: the gateway's answer is no.
            GatewayUnreachable: there is no gateway, or it went away.
        """
        return next(self.stream(request))

    def stream(self, request: Request, *, endless: bool = False) -> Iterator[Any]:
        """The replies, one by one; ``endless`` waits for the next one without a time limit.

        Raises:
            ControlRefused: the gateway's answer is no.
            GatewayUnreachable: there is no gateway, or it went away.
        """
        try:
            with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as sock:
                sock.settimeout(self._timeout)
                sock.connect(str(self._path))
                sock.sendall(encode_request(request))
                if endless:
                    sock.settimeout(None)
                for line in _lines(sock):
                    data, more = decode_reply(line)
                    if data is not None or not more:
                        yield data
                    if not more:
                        return
        except OSError as error:
            reason = "no gateway is running there" if isinstance(error, FileNotFoundError) else error.strerror or error
            msg = f"{self._path}: {reason}; start it with `interlock serve`, or give --config of the one you mean"
            raise GatewayUnreachable(msg) from error
        msg = f"{self._path}: the gateway ended the conversation; it may be stopping"
        raise GatewayUnreachable(msg)


def _lines(sock: socket.socket) -> Iterator[bytes]:
    pending = bytearray()
    while chunk := sock.recv(_CHUNK):
        start = len(pending)
        pending += chunk
        while (end := pending.find(b"\n", start)) >= 0:
            yield bytes(pending[: end + 1])
            del pending[: end + 1]
            start = 0
        if len(pending) > MAX_REPLY_BYTES:
            msg = "the gateway's reply is too long"
            raise GatewayUnreachable(msg)
