"""What each of the gateway's processes does first: no core dumps, no reading by others, private files (T24)."""

import ctypes
import gc
import os
import resource
import sys
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def harden() -> None:
    """No core files, no ptrace or ``/proc/PID/mem`` for the same user's other processes, files for the owner only."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def raise_descriptor_limit(wanted: int) -> int:
    """Allow so many open descriptors if the system does; returns how many there may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


def rest_collector() -> None:
    """Have the cycle collector leave alone what lives for the whole process, and look at the rest seldom.

    Statements make no cycles and connections few. With the defaults, opening connections spent more than half of its
    time in full collections of modules, caches and policies.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
