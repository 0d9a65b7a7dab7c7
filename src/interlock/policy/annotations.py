"""Obligations as annotations: ``@approvers("dba") @expires("30m")`` and the others, read once at load."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from interlock.core.decision import Obligations

DEFAULT_EXPIRES_SECONDS: Final = 1800
MAX_EXPIRES_SECONDS: Final = 7 * 86400
MAX_ADVICE: Final = 300
MAX_COUNT: Final = 2**63 - 1
RECORD_LEVELS: Final = ("request", "full")
"""``request``: of the response only size and digest are kept. ``full`` is stricter and the default."""

_T = TypeVar("_T")
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
_DURATION = re.compile(r"([1-9][0-9]{0,6})([smhd])")
_SIZE = re.compile(r"([1-9][0-9]{0,18})(|KiB|MiB|GiB)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES: Final = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


class AnnotationError(ValueError):
    """An annotation that can't be obeyed; the text says what to write instead."""


@dataclass(frozen=True, slots=True)
class Duties:
    """What one policy's annotations ask for."""

    approvers: tuple[str, ...] = ()
    expires_seconds: int = DEFAULT_EXPIRES_SECONDS
    max_rows: int | None = None
    max_bytes: int | None = None
    require_reason: bool = False
    read_only: bool = False
    record: str | None = None
    advice: str = ""
    """For the client: what to do next."""


def decode_id(annotations: Mapping[str, str]) -> str:
    """The policy's name, from ``@id``.

    Raises:
        AnnotationError: none, or not usable as a name in logs and errors.
    """
    name = annotations.get("id")
    if name is None:
        msg = 'has no @id; give it a name of its own, as in @id("agents-read-only")'
        raise AnnotationError(msg)
    if not _ID.fullmatch(name):
        msg = f"@id({name[:80]!r}): use up to 64 of a-z, 0-9, '.', '_', '-', beginning with a letter or digit"
        raise AnnotationError(msg)
    return name


def decode_duties(effect: str, annotations: Mapping[str, str]) -> Duties:
    """Read every annotation of a policy.

    Raises:
        AnnotationError: one that isn't known, isn't well formed, or has no meaning on this effect.
    """
    for name in annotations:
        if name not in _KNOWN:
            msg = f"unknown annotation @{name}; known are {', '.join('@' + k for k in sorted(_KNOWN))}"
            raise AnnotationError(msg)
    nobody: tuple[str, ...] = ()
    approvers = _read(annotations, "approvers", _groups, nobody)
    if approvers and effect != "forbid":
        msg = "@approvers belongs on a forbid: approval lifts a forbid, it doesn't stand in for a permit"
        raise AnnotationError(msg)
    if "expires" in annotations and not approvers:
        msg = '@expires without @approvers does nothing; add @approvers("group") or remove it'
        raise AnnotationError(msg)
    if effect == "forbid" and not approvers:
        idle = sorted(set(annotations) & {"max_rows", "max_bytes", "require_reason", "read_only", "record"})
        if idle:
            msg = f"@{idle[0]} does nothing on a forbid that nobody can lift; put it on the permit, or add @approvers"
            raise AnnotationError(msg)
    return Duties(
        approvers=approvers,
        expires_seconds=_read(annotations, "expires", _duration, DEFAULT_EXPIRES_SECONDS),
        max_rows=_read(annotations, "max_rows", _count, None),
        max_bytes=_read(annotations, "max_bytes", _size, None),
        require_reason=_read(annotations, "require_reason", _flag, default=False),
        read_only=_read(annotations, "read_only", _flag, default=False),
        record=_read(annotations, "record", _record, None),
        advice=_read(annotations, "advice", _advice, ""),
    )


def strictest(duties: Iterable[Duties]) -> Obligations:
    """Join what several policies ask for: the smallest limits, every demand, the fullest recording."""
    rows: int | None = None
    size: int | None = None
    reason = read_only = False
    records: set[str] = set()
    for d in duties:
        rows = _smaller(rows, d.max_rows)
        size = _smaller(size, d.max_bytes)
        reason = reason or d.require_reason
        read_only = read_only or d.read_only
        if d.record is not None:
            records.add(d.record)
    return Obligations(
        max_rows=rows,
        max_bytes=size,
        require_reason=reason,
        read_only=read_only,
        record=max(records, key=RECORD_LEVELS.index, default="full"),
    )


def _smaller(a: int | None, b: int | None) -> int | None:
    if a is None or b is None:
        return b if a is None else a
    return min(a, b)


def _read(annotations: Mapping[str, str], name: str, decode: Callable[[str], _T], default: _T) -> _T:
    text = annotations.get(name)
    if text is None:
        return default
    try:
        return decode(text)
    except ValueError as error:
        msg = f"@{name}({text[:80]!r}): {error}"
        raise AnnotationError(msg) from error


def _groups(text: str) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",")]
    if len(set(names)) != len(names) or not all(_GROUP.fullmatch(name) for name in names):
        msg = 'write the groups whose approval it needs, each once, as in "dba" or "dba, security"'
        raise ValueError(msg)
    return tuple(sorted(names))


def _duration(text: str) -> int:
    match = _DURATION.fullmatch(text)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    if not 0 < seconds <= MAX_EXPIRES_SECONDS:
        msg = 'write a time of up to 7 days, as in "90s", "30m", "2h" or "1d"'
        raise ValueError(msg)
    return seconds


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,18}", text) or int(text) > MAX_COUNT:
        msg = 'write a whole number above 0, as in "10000"'
        raise ValueError(msg)
    return int(text)


def _size(text: str) -> int:
    match = _SIZE.fullmatch(text)
    size = int(match[1]) * _BYTES[match[2]] if match else 0
    if not 0 < size <= MAX_COUNT:
        msg = 'write bytes above 0, as in "1048576" or "1MiB"'
        raise ValueError(msg)
    return size


def _flag(text: str) -> bool:
    if text not in ("", "true"):
        msg = 'write it without a value or with "true"; remove it where it isn\'t meant'
        raise ValueError(msg)
    return True


def _record(text: str) -> str:
    if text not in RECORD_LEVELS:
        msg = 'write "full" or "request"'
        raise ValueError(msg)
    return text


def _advice(text: str) -> str:
    if not text or len(text) > MAX_ADVICE or not text.isprintable():
        msg = f"write one line of at most {MAX_ADVICE} printable characters"
        raise ValueError(msg)
    return text


_KNOWN: Final = frozenset(
    (
        "id",
        "description",
        "approvers",
        "expires",
        "require_reason",
        "max_rows",
        "max_bytes",
        "read_only",
        "record",
        "advice",
    )
)
