"""``interlock analyze postgres --jsonl``: one JSON line in, one out, in order, whatever the line holds."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import orjson

from interlock.analysis.postgres.analyser import Analyser
from interlock.analysis.postgres.statement import SyntaxRejected
from interlock.core.action import Effect

_ORDER: Final = tuple(Effect)


def analyse_lines(lines: Iterable[bytes], analyser: Analyser | None = None) -> Iterator[bytes]:
    """Answer ``{"id", "text"}`` lines with ``{"id", "effects", "kind", "facts", "error"}`` lines.

    Trust: the lines are anybody's. Empty lines are passed over. A line that isn't such an object is answered with an
    error and the id null. Functions are judged by the shipped lists alone.
    """
    judge = analyser or Analyser()
    for line in lines:
        if line.strip():
            yield orjson.dumps(_answer(line, judge)) + b"\n"


def _answer(line: bytes, analyser: Analyser) -> dict[str, Any]:
    try:
        asked = orjson.loads(line)
    except orjson.JSONDecodeError:
        return _error(None, "bad_json", "the line isn't JSON in UTF-8", 0)
    if not isinstance(asked, dict) or not isinstance(asked.get("text"), str):
        identity = asked.get("id") if isinstance(asked, dict) else None
        return _error(identity, "bad_request", 'the line isn\'t an object with a "text"', 0)
    identity = asked.get("id")
    analysis = analyser.analyse(asked["text"])
    if isinstance(analysis, SyntaxRejected):
        return _error(identity, analysis.sqlstate, analysis.message, analysis.position)
    settled = analyser.settle(analysis, None, dirty=False, prepared={}, cursors={})
    effects = {leaf.partition("/")[0] for leaf in settled.leaves}
    return {
        "id": identity,
        "effects": [effect.value for effect in _ORDER if effect in effects],
        "kind": settled.kind,
        "facts": dict(settled.facts),
        "error": None,
    }


def _error(identity: Any, code: str, message: str, position: int) -> dict[str, Any]:
    return {
        "id": identity,
        "effects": [Effect.UNKNOWN.value],
        "kind": "postgres.unparsed",
        "facts": {},
        "error": {"code": code, "message": message, "position": position},
    }
