"""Text in, analysis out, with two caches: the exact text, and the text's shape without its constants."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from interlock.analysis.postgres import settle as settling
from interlock.analysis.postgres import utility as _utility  # noqa: F401 - adds its handlers to the walk's table
from interlock.analysis.postgres.parser import Grammar
from interlock.analysis.postgres.settle import Catalogue
from interlock.analysis.postgres.statement import (
    Analysis,
    Call,
    Name,
    Settled,
    Statement,
    SyntaxRejected,
)
from interlock.analysis.postgres.template import depends_on_none, shape_of
from interlock.analysis.postgres.walk import Walk
from interlock.core.errors import LimitExceeded

LARGE_BYTES: Final = 16384
MAX_CACHED_CHARACTERS: Final = 8192

UNPARSED: Final = Statement(
    kind="unparsed",
    leaves=("unknown/postgres.unparsed",),
    bounded=False,
    dynamic=True,
    lifts_read_only=True,
    changes_catalogue=True,
)
"""A text that the grammar may accept but whose tree can't be read."""


class Analyser:
    """Analyses texts; one for a process. Calls for texts over 16 KiB may run in a thread: they touch no cache."""

    def __init__(self, *, entries: int = 4096, grammar: Grammar | None = None) -> None:
        self._grammar: Final = grammar or Grammar()
        self._entries: Final = entries
        self._texts: Final[OrderedDict[str, Analysis | SyntaxRejected]] = OrderedDict()
        self._shapes: Final[OrderedDict[str, Analysis]] = OrderedDict()
        self._interned: Final[OrderedDict[tuple[object, ...], Settled]] = OrderedDict()

    def analyse(self, text: str) -> Analysis | SyntaxRejected:
        """Read a text to its statements' leaves.

        Trust: ``text`` is the client's, unverified; the session has ``standard_conforming_strings=on``.
        """
        if len(text) > MAX_CACHED_CHARACTERS:
            return self.analyse_uncached(text)[0]
        known = self._texts.get(text)
        if known is not None:
            return known
        shape = shape_of(text)
        if shape is not None:
            shared = self._shapes.get(shape)
            if shared is not None:
                return shared
        analysis, safe = self.analyse_uncached(text)
        if shape is not None and isinstance(analysis, Analysis) and depends_on_none(text, safe):
            self._keep(self._shapes, shape, analysis)
        else:
            self._keep(self._texts, text, analysis)
        return analysis

    def analyse_uncached(self, text: str) -> tuple[Analysis | SyntaxRejected, set[int]]:
        """Parse and walk; also returns where constants stand on which nothing depends. Safe in any thread."""
        if "\0" in text:
            return SyntaxRejected(message='invalid byte sequence for encoding "UTF8": 0x00', sqlstate="22021"), set()
        try:
            source = text.encode()
            parsed = self._grammar.parse(source)
        except UnicodeEncodeError:
            return SyntaxRejected(message='invalid byte sequence for encoding "UTF8"', sqlstate="22021"), set()
        except LimitExceeded:
            return Analysis(statements=(UNPARSED,), large=len(text) > LARGE_BYTES), set()
        if isinstance(parsed, SyntaxRejected):
            return parsed, set()
        safe: set[int] = set()
        statements = tuple(self._read(raw, source, safe) for raw in parsed)
        return Analysis(statements=statements, large=len(source) > LARGE_BYTES), safe

    def read_body(self, source: str) -> tuple[tuple[Call, ...], tuple[Name, ...], tuple[str, ...]] | None:
        """Read the body of an SQL function for the catalogue: calls, relations read and columns mentioned.

        None unless it does nothing but read, as far as its text tells.
        """
        analysis = self.analyse_uncached(source)[0]
        if isinstance(analysis, SyntaxRejected):
            return None
        statements = analysis.statements
        if any(statement.leaves != ("read/postgres.select",) for statement in statements):
            return None
        calls = tuple(call for statement in statements for call in statement.calls)
        relations = tuple(relation for statement in statements for relation in statement.read_relations)
        columns = tuple(column for statement in statements for column in statement.columns)
        return calls, relations, columns

    def settle(
        self,
        analysis: Analysis,
        catalogue: Catalogue | None,
        *,
        dirty: bool,
        prepared: Mapping[str, Statement],
        cursors: Mapping[str, Statement],
    ) -> Settled:
        """Join an analysis with session and catalogue; equal answers are one object."""
        if len(self._interned) > self._entries:
            self._interned.clear()
        return settling.settle(
            analysis, catalogue, dirty=dirty, prepared=prepared, cursors=cursors, interned=self._interned
        )

    def _read(self, raw: dict[str, Any], source: bytes, safe: set[int]) -> Statement:
        start = raw.get("stmt_location", 0)
        length = raw.get("stmt_len", 0)
        piece = source[start : start + length] if length else source[start:]
        walk = Walk(self._grammar)
        walk.run(raw.get("stmt", {}))
        safe |= walk.safe
        return walk.statement(piece.decode("utf-8", "replace").strip())

    def _keep(self, cache: OrderedDict[str, Any], key: str, value: object) -> None:
        if len(cache) >= self._entries:
            cache.popitem(last=False)
        cache[key] = value
