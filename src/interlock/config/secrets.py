"""Resolves a reference to a secret at the moment of use (P5): the value is never kept by the configuration.

Errors name the reference, never the value; a command's output and error text are not repeated either, since both may
hold the secret.
"""

import os
import shlex
import subprocess
from pathlib import Path

from interlock.core.errors import InterlockError
from interlock.core.resource import SecretReference
from interlock.core.secret import Secret

MAX_SECRET_BYTES = 64 * 1024
COMMAND_SECONDS = 10.0


class SecretUnavailable(InterlockError):
    """The reference can't be resolved; the text names it and how to mend it, never a value."""

    code = "secret_unavailable"


def resolve_secret(reference: SecretReference, *, timeout_seconds: float = COMMAND_SECONDS) -> Secret:
    """The secret text behind a reference; one trailing newline is dropped, as editors and ``echo`` add it.

    Blocks (a command may take until its time limit): call it in a thread from an event loop.

    Raises:
        SecretUnavailable: not set, unreadable, empty, over 64 KiB, not UTF-8, or the command failed.
    """
    data = resolve_bytes(reference, timeout_seconds=timeout_seconds)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        msg = f"{_named(reference)} isn't UTF-8 text"
        raise SecretUnavailable(msg) from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text or "\0" in text:
        msg = f"{_named(reference)} is empty"
        raise SecretUnavailable(msg)
    return Secret(text)


def resolve_bytes(reference: SecretReference, *, timeout_seconds: float = COMMAND_SECONDS) -> bytes:
    """The bytes behind a reference, unchanged: for keys.

    Raises:
        SecretUnavailable: as for ``resolve_secret``.
    """
    if reference.kind == "env":
        data = _read_environment(reference)
    elif reference.kind == "file":
        data = _read_file(reference)
    elif reference.kind == "command":
        data = _run_command(reference, timeout_seconds)
    else:
        msg = f"{_named(reference)} is of no known kind"
        raise SecretUnavailable(msg)
    if len(data) > MAX_SECRET_BYTES:
        msg = f"{_named(reference)} is over {MAX_SECRET_BYTES} bytes"
        raise SecretUnavailable(msg)
    return data


def _read_environment(reference: SecretReference) -> bytes:
    value = os.environb.get(os.fsencode(reference.target))
    if value is None:
        msg = f"{_named(reference)} is not set; set it in the gateway's environment"
        raise SecretUnavailable(msg)
    return value


def _read_file(reference: SecretReference) -> bytes:
    try:
        with Path(reference.target).open("rb") as file:
            return file.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        msg = f"{_named(reference)} can't be read: {error.strerror}"
        raise SecretUnavailable(msg) from None


def _run_command(reference: SecretReference, timeout_seconds: float) -> bytes:
    argv = shlex.split(reference.target)
    try:
        done = subprocess.run(  # the operator's own command, split without a shell
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_seconds, check=False
        )
    except subprocess.TimeoutExpired:
        msg = f"command {argv[0]!r} gave no secret within {timeout_seconds:g} s"
        raise SecretUnavailable(msg) from None
    except OSError as error:
        msg = f"command {argv[0]!r} can't be run: {error.strerror}"
        raise SecretUnavailable(msg) from None
    if done.returncode:
        msg = f"command {argv[0]!r} ended with status {done.returncode}; run it by hand to see why"
        raise SecretUnavailable(msg)
    return done.stdout


def _named(reference: SecretReference) -> str:
    if reference.kind == "command":
        return f"the output of command {shlex.split(reference.target)[0]!r}"
    return f"{reference.kind}:{reference.target}"
