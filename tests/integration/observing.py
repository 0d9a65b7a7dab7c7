"""Runs steps on a libpq connection and writes down everything the client can see, for comparing two ways to a server.

It sits on ``psycopg.pq``, where results, errors, notices and notifications are still what libpq made of the wire.
"""

import re
import select
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import pq

FIRST_USER_OID = 16384
FIELDS = tuple(field for field in pq.DiagnosticField)
"""Every field of an error or notice, the server's source file and line with them."""
UNKNOWN_NAMES = {"26000", "34000"}
"""The gateway knows the session's statements and portals, and itself answers for one that isn't there: it has no source
line of the server to show."""


@dataclass(frozen=True, slots=True)
class Query:
    """A simple Query; ``data`` answers a COPY FROM STDIN, None fails it from the client's side."""

    text: str
    data: Sequence[bytes] | None = ()


@dataclass(frozen=True, slots=True)
class Execute:
    """Parse, Bind, Describe, Execute, Sync of the unnamed statement (PQexecParams)."""

    text: str
    values: Sequence[bytes | None] = ()
    binary: bool = False
    types: Sequence[int] = ()
    formats: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Prepare:
    name: str
    text: str
    types: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """Bind and Execute of a prepared statement."""

    name: str
    values: Sequence[bytes | None] = ()
    binary: bool = False


@dataclass(frozen=True, slots=True)
class Describe:
    name: str


@dataclass(frozen=True, slots=True)
class DescribePortal:
    name: str


@dataclass(frozen=True, slots=True)
class Sync:
    """A pipeline's Sync; only inside ``Pipeline``."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Steps sent without waiting for answers (libpq's pipeline mode), ended by a Sync."""

    steps: Sequence["Execute | Prepare | Run | Describe | Sync"]


@dataclass(frozen=True, slots=True)
class Listen:
    """Wait for so many notifications."""

    count: int


Step = Query | Execute | Prepare | Run | Describe | DescribePortal | Pipeline | Listen


class Observer:
    """One connection; ``seen`` is what came of each step."""

    def __init__(self, conninfo: str) -> None:
        self._c = pq.PGconn.connect(conninfo.encode())
        assert self._c.status == pq.ConnStatus.OK, self._c.error_message.decode()
        self.seen: list[tuple[str, Any]] = []
        self._c.notice_handler = lambda result: self.seen.append(("notice", _fields(result)))

    def close(self) -> None:
        """End the connection."""
        self._c.finish()

    def parameters(self, names: Sequence[str]) -> dict[str, str | None]:
        """ParameterStatus values as libpq knows them now."""
        found = ((name, self._c.parameter_status(name.encode())) for name in names)
        return {name: None if value is None else value.decode() for name, value in found}

    def do(self, step: Step) -> None:
        """Run one step and note everything that comes back."""
        c = self._c
        match step:
            case Query():
                c.send_query(step.text.encode())
                self._drain(step.data)
            case Execute() | Prepare() | Run() | Describe() | DescribePortal():
                self._send(step)
                self._drain(())
            case Pipeline():
                c.enter_pipeline_mode()
                waiting = 1
                for part in step.steps:
                    if isinstance(part, Sync):
                        c.pipeline_sync()
                        waiting += 1
                    else:
                        self._send(part)
                c.pipeline_sync()
                while waiting:
                    result = self._next()
                    if result is None:
                        continue
                    self.seen.append(("result", _shown(result)))
                    waiting -= result.status == pq.ExecStatus.PIPELINE_SYNC
                c.exit_pipeline_mode()
            case Listen():
                got = 0
                while got < step.count:
                    while notify := c.notifies():
                        self.seen.append(("notify", (notify.relname, notify.extra)))
                        got += 1
                    if got < step.count:
                        self._wait()
        self.seen.append(("status", pq.TransactionStatus(c.transaction_status).name))

    def _send(self, part: Execute | Prepare | Run | Describe | DescribePortal) -> None:
        c = self._c
        match part:
            case Execute():
                c.send_query_params(
                    part.text.encode(),
                    list(part.values),
                    param_types=list(part.types) or None,
                    param_formats=list(part.formats) or None,
                    result_format=int(part.binary),
                )
            case Prepare():
                c.send_prepare(part.name.encode(), part.text.encode(), list(part.types) or None)
            case Run():
                c.send_query_prepared(part.name.encode(), list(part.values), result_format=int(part.binary))
            case Describe():
                c.send_describe_prepared(part.name.encode())
            case DescribePortal():
                c.send_describe_portal(part.name.encode())

    def _wait(self) -> None:
        while self._c.flush():
            select.select([], [self._c.socket], [])
        select.select([self._c.socket], [], [], 30)
        self._c.consume_input()

    def _next(self) -> pq.abc.PGresult | None:
        while True:
            flushed = not self._c.flush()
            if not self._c.is_busy():
                return self._c.get_result()
            select.select([self._c.socket], [] if flushed else [self._c.socket], [], 30)
            self._c.consume_input()

    def _drain(self, data: Sequence[bytes] | None) -> None:
        while (result := self._next()) is not None:
            self.seen.append(("result", _shown(result)))
            if result.status == pq.ExecStatus.COPY_IN:
                for piece in data or ():
                    self._c.put_copy_data(piece)
                self._c.put_copy_end(b"the client gives up" if data is None else None)
            elif result.status == pq.ExecStatus.COPY_OUT:
                self._copy_out()

    def _copy_out(self) -> None:
        while True:
            count, data = self._c.get_copy_data(1)
            if count > 0:
                self.seen.append(("copy", bytes(data)))
            elif count == 0:
                self._wait()
            else:
                return


def observe(conninfo: str, steps: Sequence[Step], *, hide: Callable[[str], str] = str) -> list[tuple[str, Any]]:
    """Run the steps on a connection of their own; ``hide`` takes away what differs without meaning anything."""
    observer = Observer(conninfo)
    try:
        for step in steps:
            observer.do(step)
        return [(kind, _hidden(what, hide)) for kind, what in observer.seen]
    finally:
        observer.close()


def _shown(result: pq.abc.PGresult) -> dict[str, Any]:
    status = pq.ExecStatus(result.status)
    shown: dict[str, Any] = {"status": status.name, "tag": result.command_status}
    if status in {pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.NONFATAL_ERROR}:
        return shown | {"error": _fields(result)}
    shown["columns"] = [
        (
            result.fname(i),
            _type(result.ftype(i)),
            result.fmod(i),
            result.fsize(i),
            result.fformat(i),
            result.ftablecol(i),
            _type(result.ftable(i)),
        )
        for i in range(result.nfields)
    ]
    shown["parameters"] = [_type(result.param_type(i)) for i in range(result.nparams)]
    shown["oid"] = result.oid_value
    shown["rows"] = [tuple(result.get_value(r, c) for c in range(result.nfields)) for r in range(result.ntuples)]
    return shown


def _type(oid: int) -> int:
    """What a test made has another OID each time."""
    return min(FIRST_USER_OID, oid)


def _fields(result: pq.abc.PGresult) -> dict[str, str]:
    found = ((field.name, result.error_field(field)) for field in FIELDS)
    fields = {name: value.decode(errors="replace") for name, value in found if value is not None}
    if fields.get("SQLSTATE") in UNKNOWN_NAMES:
        fields = {name: value for name, value in fields.items() if not name.startswith("SOURCE_")}
    return fields


def _hidden(value: Any, hide: Callable[[str], str]) -> Any:
    match value:
        case str():
            return hide(value)
        case bytes():
            return hide(value.decode("utf-8", "surrogateescape"))
        case dict():
            return {name: _hidden(item, hide) for name, item in value.items()}
        case tuple() | list():
            return [_hidden(item, hide) for item in value]
        case _:
            return value


def without(*patterns: str) -> Callable[[str], str]:
    """A ``hide`` that replaces what fits one of these patterns."""
    one = re.compile("|".join(patterns))
    return lambda text: one.sub("~", text)
