"""What a process does first, seen from outside: in processes of their own, since none of it can be undone."""

import resource
import subprocess
import sys
from pathlib import Path

BODY = """
import ctypes, gc, os, resource, sys
from interlock.app.hardening import harden, raise_descriptor_limit, rest_collector
"""


def run(code: str, *arguments: str, **options: object) -> str:
    command = [sys.executable, "-c", BODY + code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, **options)  # type: ignore[call-overload]
    return str(done.stdout).strip()


def test_hardened_process_leaves_no_core_no_readable_file_and_is_not_dumpable_T24(tmp_path: Path) -> None:
    code = """
harden()
open(sys.argv[1], "w").close()
print(*resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""
    assert run(code, str(tmp_path / "made")) == "0 0 0"
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o600


def test_descriptors_are_raised_as_far_as_the_system_allows_and_never_lowered() -> None:
    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 256))

    code = "print(raise_descriptor_limit(128), raise_descriptor_limit(10_000), raise_descriptor_limit(1))"
    assert run(code, preexec_fn=lower) == "128 256 256"


def test_resting_collector_still_collects_what_sessions_leave() -> None:
    code = """
import weakref
class Thing: pass
old = Thing(); old.self = old; gone = weakref.ref(old); del old
rest_collector()
assert gone() is None
frozen = gc.get_freeze_count()
new = Thing(); new.self = new; left = weakref.ref(new); del new
for _ in range(30_000): [].append([[]])
keep = [[] for _ in range(30_000)]
print(frozen > 1000, gc.isenabled(), left() is None)
"""
    assert run(code) == "True True True"
