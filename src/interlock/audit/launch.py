"""What the supervisor needs to run a recorder: channels, the process, and the same sockets again after a crash."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from interlock.audit.client import BUFFER_BYTES, enlarge_buffer
from interlock.audit.store import Limits

READY_SECONDS: Final = 30.0
_INHERITED: Final = frozenset(
    """
    PATH LANG LANGUAGE LC_ALL LC_CTYPE LC_MESSAGES LC_TIME LC_COLLATE LC_NUMERIC TZ LD_LIBRARY_PATH
    PYTHONPATH PYTHONHOME PYTHONSAFEPATH PYTHONNOUSERSITE PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX PYTHONOPTIMIZE
    PYTHONUTF8 PYTHONIOENCODING PYTHONUNBUFFERED PYTHONWARNINGS PYTHONFAULTHANDLER PYTHONHASHSEED PYTHONMALLOC
    INTERLOCK_PURE INTERLOCK_REQUIRE_COMPILED
    """.split()  # noqa: SIM905 - a list of names reads best as one
)


@dataclass(frozen=True, slots=True)
class WorkerEnd:
    """What a worker inherits: pass both descriptors (``pass_fds``) and tell it their numbers."""

    sock: socket.socket
    kick: int
    channel: str

    def close(self) -> None:
        """Close the supervisor's copy: when the worker is gone, this is how the recorder learns it."""
        if self.sock.fileno() >= 0:
            self.sock.close()
            os.close(self.kick)


@dataclass(frozen=True, slots=True)
class _Channel:
    """Both ends of a channel, held open by the supervisor, so that nothing recorded dies with a process."""

    worker: str
    end: WorkerEnd
    recorder_sock: socket.socket
    recorder_kick: int


def recorder_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What the recorder needs of the gateway's environment, where upstream passwords may be (P5).

    A list, not a pattern: a secret may be called anything, ``INTERLOCK_TOKEN`` is one.
    """
    return {name: value for name, value in environment.items() if name in _INHERITED}


class RecorderProcess:
    """The recorder as a child process. Not thread-safe; ``wait``-like calls don't block except where they say so."""

    def __init__(
        self,
        directory: Path,
        *,
        instance: str,
        durability: str,
        random: Callable[[int], bytes],
        limits: Limits | None = None,
        user: str | None = None,
        heartbeat_seconds: float = 60.0,
        command: tuple[str, ...] = (sys.executable, "-m", "interlock.audit.recorder"),
    ) -> None:
        self._directory = directory
        self._instance = instance
        self._durability = durability
        self._random = random
        self._limits = limits or Limits()
        self._user = user
        self._heartbeat_seconds = heartbeat_seconds
        self._command = command
        self._channels: dict[str, _Channel] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """The running process, or None."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def control(self) -> socket.socket | None:
        """Where the recorder's reports (JSON) arrive; readable at its end too, so a loop can watch it."""
        return self._control

    def add_channel(self, worker: str) -> WorkerEnd:
        """Make a worker's channel, and hand it to the recorder if that runs."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        enlarge_buffer(ours, BUFFER_BYTES)
        kick_out, kick_in = os.pipe()
        made = _Channel(worker, WorkerEnd(ours, kick_in, self._random(8).hex()), theirs, kick_out)
        self._channels[made.end.channel] = made
        if self.pid is not None and self._control is not None:
            message = {"do": "add", "channel": made.end.channel, "worker": worker}
            socket.send_fds(self._control, [json.dumps(message).encode()], [theirs.fileno(), kick_out])
        return made.end

    def end_channel(self, channel: str) -> None:
        """The worker is gone: let go of its end. Ours stays until the recorder says that it has all of it."""
        made = self._channels.get(channel)
        if made is not None:
            made.end.close()

    def _forget(self, channel: str) -> None:
        made = self._channels.pop(channel, None)
        if made is not None:
            made.end.close()
            made.recorder_sock.close()
            os.close(made.recorder_kick)

    def start(self) -> None:
        """Start the process with all channels; returns when it says that it is ready.

        Raises:
            OSError: it ended, or said nothing in time.
        """
        kind = socket.SOCK_SEQPACKET if sys.platform.startswith("linux") else socket.SOCK_DGRAM
        ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
        config_out, config_in = os.pipe()
        channels = list(self._channels.values())
        config: dict[str, Any] = {
            "directory": str(self._directory),
            "instance": self._instance,
            "durability": self._durability,
            "supervisor_uid": os.getuid(),
            "control": theirs.fileno(),
            "limits": msgspec.to_builtins(self._limits),
            "heartbeat_seconds": self._heartbeat_seconds,
            "channels": [
                {
                    "sock": made.recorder_sock.fileno(),
                    "kick": made.recorder_kick,
                    "channel": made.end.channel,
                    "worker": made.worker,
                }
                for made in channels
            ],
        }
        fds = [config_out, theirs.fileno()]
        for made in channels:
            fds += [made.recorder_sock.fileno(), made.recorder_kick]
        try:
            self._process = subprocess.Popen(
                [*self._command, "--config-fd", str(config_out)],
                pass_fds=fds,
                env=recorder_environment(os.environ),
                stdin=subprocess.DEVNULL,
                umask=0o077,
                user=self._user,
                extra_groups=[] if self._user is not None else None,
                start_new_session=False,
            )
            os.close(config_out)
            with open(config_in, "wb") as file:  # noqa: PTH123 - a pipe
                file.write(json.dumps(config).encode())
        finally:
            theirs.close()
        if self._control is not None:
            self._control.close()
        self._control = ours
        ours.settimeout(READY_SECONDS)
        try:
            report = json.loads(ours.recv(4096) or b"{}")
        except TimeoutError:
            report = {}
        ours.setblocking(False)
        if report.get("state") != "ready" and report.get("state") != "refusing":
            self.kill()
            msg = "the recorder did not start; see its message above"
            raise OSError(msg)

    def reports(self) -> list[dict[str, Any]]:
        """What the recorder reported since the last call; never blocks."""
        found: list[dict[str, Any]] = []
        while self._control is not None:
            try:
                data = self._control.recv(4096)
            except (BlockingIOError, ConnectionError):
                break
            if not data:
                break
            report = json.loads(data)
            if report.get("state") == "channel_ended":
                self._forget(report["channel"])
            found.append(report)
        return found

    def restart_if_dead(self) -> bool:
        """Start it again if it died, with the same sockets; True if it had to be.

        Raises:
            OSError: it doesn't start.
        """
        if self.pid is not None:
            return False
        self.start()
        return True

    def stop(self, timeout_seconds: float = 10.0) -> int | None:
        """Ask it to drain and end; blocks until it has, and kills it if it takes too long."""
        process = self._process
        if process is None:
            return None
        process.terminate()
        try:
            return process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return process.returncode

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Stop it and let go of everything."""
        self.stop()
        for channel in list(self._channels):
            self._forget(channel)
        if self._control is not None:
            self._control.close()
            self._control = None
