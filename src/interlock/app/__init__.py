"""The composition root: builds everything from the configuration, and knows every room.

supervisor.py  one process: binds, starts recorder and workers, reloads, routes, serves the control socket
worker.py      N processes: gate, listeners, mediators
protocols.py   the list of protocols
rules.py       what a reload replaces, all or nothing
house.py       what both kinds of process have alike
bus.py         the messages between them
"""

import asyncio
import logging
import sys

import uvloop

from interlock.app.bus import Snapshot
from interlock.app.hardening import harden
from interlock.app.logs import set_up_logging
from interlock.app.rules import Rules, read_snapshot
from interlock.app.supervisor import Supervisor
from interlock.config import Config
from interlock.core.errors import ConfigError, InterlockError, PolicyError

EXIT_OK = 0
EXIT_CONFIG = 3
EXIT_UNREACHABLE = 4

__all__ = ["serve"]


def serve(config: Config) -> int:
    """Run the gateway until SIGTERM or SIGINT; the exit status. Prints ``ready postgres=HOST:PORT`` when it listens."""
    harden()
    set_up_logging("supervisor", logging.getLogger().getEffectiveLevel())
    log = logging.getLogger("interlock.app")
    try:
        if not config.listeners:
            raise ConfigError(str(config.file), "listeners", "there is none: add [listeners.postgres]")
        snapshot, rules = read_snapshot(config.file, 1)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(snapshot, rules))
    except (ConfigError, PolicyError) as error:
        log.error("cannot_start", extra={"code": error.code, "reason": str(error)})  # noqa: TRY400 - says it all
        return EXIT_CONFIG
    except InterlockError as error:
        log.error("cannot_start", extra={"code": error.code, "reason": str(error)})  # noqa: TRY400 - says it all
        return EXIT_UNREACHABLE
    return EXIT_OK


async def _run(snapshot: Snapshot, rules: Rules) -> None:
    await Supervisor(rules.config, snapshot, rules, say=_say).run()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
