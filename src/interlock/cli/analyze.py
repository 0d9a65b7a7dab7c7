"""``interlock analyze``: statements on stdin, what they do on stdout; no gateway, no configuration."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Annotated, Any, Final

import msgspec
import typer

from interlock.core.action import NO_FACTS, Action, Facts

MAX_STATEMENT_BYTES: Final = 64 * 1024 * 1024
DEFAULT_STATEMENT_BYTES: Final = 1024 * 1024

JsonlOption = Annotated[bool, typer.Option("--jsonl", help='Read {"id", "text"} lines from stdin; else one statement.')]
MaxBytesOption = Annotated[
    int, typer.Option(help="Longer texts are not parsed, as in the gateway.", min=1, max=MAX_STATEMENT_BYTES)
]


class _Line(msgspec.Struct, frozen=True):
    text: str
    id: str | int | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One text to analyse, or what is wrong with its line."""

    id: str | int | None
    text: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Analysed:
    """What a text does."""

    kind: str
    leaves: tuple[str, ...]
    facts: Facts
    error: dict[str, object] | None


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command("postgres")(postgres)
    group.callback()(lambda: None)


def postgres(*, jsonl: JsonlOption = False, max_bytes: MaxBytesOption = DEFAULT_STATEMENT_BYTES) -> None:
    """Say what PostgreSQL statements do: effects, kind, facts. Functions count as a stock server's.

    Example: echo '{"id": 1, "text": "DELETE FROM orders"}' | interlock analyze postgres --jsonl

    Example: echo 'DROP TABLE orders' | interlock analyze postgres
    """
    reader = PostgresReader(max_bytes)
    for question in read_questions(sys.stdin.buffer, jsonl=jsonl):
        write_line(described(question, reader.read(question)))


def described(question: Question, analysed: Analysed) -> dict[str, Any]:
    """The line that answers a question."""
    return {
        "id": question.id,
        "effects": effects_of(analysed.leaves),
        "kind": analysed.kind,
        "facts": dict(analysed.facts),
        "error": analysed.error,
    }


class PostgresReader:
    """Analyses texts one by one, each as if in a session of its own."""

    def __init__(self, max_bytes: int) -> None:
        from interlock.analysis.postgres.analyser import UNPARSED, Analyser
        from interlock.analysis.postgres.statement import Analysis

        self._analyser = Analyser()
        self._max_bytes = max_bytes
        self._unparsed = Analysis(statements=(UNPARSED,))

    def read(self, question: Question) -> Analysed:
        """What the text does; what can't be read has the effect ``unknown``."""
        from interlock.analysis.postgres.statement import SyntaxRejected

        size = len(question.text.encode("utf-8", "surrogatepass"))
        if question.error:
            return self._unknown({"code": "bad_line", "message": question.error, "position": 0})
        if size > self._max_bytes:
            return self._unknown({"code": "limit", "message": f"{size} bytes, over {self._max_bytes}", "position": 0})
        analysis = self._analyser.analyse(question.text)
        if isinstance(analysis, SyntaxRejected):
            return self._unknown(
                {"code": analysis.sqlstate, "message": analysis.message, "position": analysis.position}
            )
        settled = self._analyser.settle(analysis, None, dirty=False, prepared={}, cursors={})
        return Analysed(settled.kind, settled.leaves, settled.facts, None)

    def _unknown(self, error: dict[str, object]) -> Analysed:
        settled = self._analyser.settle(self._unparsed, None, dirty=False, prepared={}, cursors={})
        return Analysed(settled.kind, settled.leaves, settled.facts, error)


def read_questions(stream: IO[bytes], *, jsonl: bool) -> Iterator[Question]:
    """The texts on a stream: a JSON object a line, or one text in all. Empty lines are passed over."""
    if not jsonl:
        data = stream.read(MAX_STATEMENT_BYTES + 1)
        yield _decoded(data)
        return
    while line := stream.readline(2 * MAX_STATEMENT_BYTES):
        if line.strip():
            yield _decode_line(line)


def effects_of(leaves: tuple[str, ...]) -> list[str]:
    """The distinct effects, in the vocabulary's order."""
    action = Action(id="", kind="", leaves=leaves, facts=NO_FACTS, text="", payload=b"", digest="")
    return [effect.value for effect in action.effects]


def write_line(value: object) -> None:
    """One JSON object on a line, at once: whoever asks line by line waits for it."""
    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
    sys.stdout.buffer.flush()


def _decoded(data: bytes) -> Question:
    try:
        return Question(None, data.decode())
    except UnicodeDecodeError as error:
        return Question(None, "", f"not UTF-8 at byte {error.start}")


def _decode_line(line: bytes) -> Question:
    try:
        decoded = msgspec.json.decode(line, type=_Line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Question(_find_id(line), "", f'a line is {{"id": ..., "text": "..."}}: {error}')
    return Question(decoded.id, decoded.text)


def _find_id(line: bytes) -> str | int | None:
    """The id of a line that is wrong otherwise, so that the answer can be told from others."""
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    value = found.get("id") if isinstance(found, dict) else None
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None
