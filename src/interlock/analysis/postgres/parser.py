"""libpg_query by ctypes: text -> PostgreSQL's own raw parse tree, as plain dicts.

The library is the one that the ``postgast`` wheel ships (BSD-2); nothing of its Python is imported. A call releases
the GIL. Locations in the tree are byte offsets of the UTF-8 text.
"""

import ctypes
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import orjson

from interlock.analysis.postgres.depth import DEEP, nesting_bound
from interlock.analysis.postgres.statement import SyntaxRejected
from interlock.core.errors import LimitExceeded

Node = dict[str, Any]

SHALLOW_BYTES: Final = 65536
"""The library writes its tree by recursion, about 66 bytes of C stack a byte of the worst text: so far it's safe."""

DEPTH_LIMIT: Final = "tree depth"
DECODER_DEPTH: Final = 1024
"""Levels of JSON that orjson reads."""

_EXPRESSION = re.compile(rb'"PLpgSQL_expr":\{"query":"((?:[^"\\]|\\.)*)"(?:,"parseMode":(\d+))?\}')
_KIND = re.compile(rb'"(PLpgSQL_\w+)":\{')


class _Error(ctypes.Structure):
    _fields_ = (
        ("message", ctypes.c_char_p),
        ("funcname", ctypes.c_char_p),
        ("filename", ctypes.c_char_p),
        ("lineno", ctypes.c_int),
        ("cursorpos", ctypes.c_int),
        ("context", ctypes.c_char_p),
    )


class _ParseResult(ctypes.Structure):
    _fields_ = (
        ("parse_tree", ctypes.c_char_p),
        ("stderr_buffer", ctypes.c_char_p),
        ("error", ctypes.POINTER(_Error)),
    )


class _Bytes(ctypes.Structure):
    _fields_ = (("length", ctypes.c_size_t), ("data", ctypes.c_void_p))


class _ScanResult(ctypes.Structure):
    _fields_ = (
        ("tokens", _Bytes),
        ("stderr_buffer", ctypes.c_char_p),
        ("error", ctypes.POINTER(_Error)),
    )


class _PlpgsqlResult(ctypes.Structure):
    _fields_ = (("functions", ctypes.c_char_p), ("error", ctypes.POINTER(_Error)))


class Grammar:
    """The loaded library. One is enough for a process; its calls may run in any thread."""

    def __init__(self, library: Path | None = None) -> None:
        loaded = ctypes.CDLL(str(library or _shipped_library()))
        self._parse: Final = loaded.pg_query_parse
        self._parse.argtypes = (ctypes.c_char_p,)
        self._parse.restype = _ParseResult
        self._free_parse: Final = loaded.pg_query_free_parse_result
        self._free_parse.argtypes = (_ParseResult,)
        self._free_parse.restype = None
        self._scan: Final = loaded.pg_query_scan
        self._scan.argtypes = (ctypes.c_char_p,)
        self._scan.restype = _ScanResult
        self._free_scan: Final = loaded.pg_query_free_scan_result
        self._free_scan.argtypes = (_ScanResult,)
        self._free_scan.restype = None
        self._plpgsql: Final = loaded.pg_query_parse_plpgsql
        self._plpgsql.argtypes = (ctypes.c_char_p,)
        self._plpgsql.restype = _PlpgsqlResult
        self._free_plpgsql: Final = loaded.pg_query_free_plpgsql_parse_result
        self._free_plpgsql.argtypes = (_PlpgsqlResult,)
        self._free_plpgsql.restype = None

    def parse(self, text: bytes) -> list[Node] | SyntaxRejected:
        """Parse a text to its raw statements: ``{"stmt": {Kind: {...}}, "stmt_location": n, "stmt_len": n}`` each.

        Trust: ``text`` is the client's, valid UTF-8 without NUL (a NUL would hide what follows it).

        Raises:
            LimitExceeded: the tree is too deep to be read; the text may still be valid SQL.
        """
        if len(text) > SHALLOW_BYTES:
            self._verify_shallow(text)
        result = self._parse(text)
        try:
            if result.error:
                return _rejected(result.error.contents)
            tree: bytes = result.parse_tree
        finally:
            self._free_parse(result)
        try:
            statements: list[Node] = orjson.loads(tree).get("stmts", [])
        except orjson.JSONDecodeError as error:
            raise LimitExceeded(DEPTH_LIMIT, limit=DECODER_DEPTH, got=DECODER_DEPTH + 1) from error
        return statements

    def parse_plpgsql(self, text: bytes) -> tuple[list[tuple[str, int]], frozenset[str], bool] | None:
        """Open the PL/pgSQL body of one CREATE FUNCTION or DO statement: None if it can't be read.

        Its expressions as (text, parse mode), the kinds of its nodes, and whether a cursor or query is dynamic. They
        are cut from the library's JSON by pattern because that JSON is broken for trigger functions; a quote inside
        a string is always escaped there, so a string can't pass for a node.
        """
        if len(text) > SHALLOW_BYTES:
            return None
        result = self._plpgsql(text)
        try:
            if result.error or not result.functions:
                return None
            raw: bytes = result.functions
        finally:
            self._free_plpgsql(result)
        expressions: list[tuple[str, int]] = []
        for quoted, mode in _EXPRESSION.findall(raw):
            try:
                expressions.append((orjson.loads(b'"' + quoted + b'"'), int(mode or b"0")))
            except orjson.JSONDecodeError:
                return None
        if len(expressions) != raw.count(b'"PLpgSQL_expr":{'):
            return None
        return expressions, frozenset(kind.decode() for kind in _KIND.findall(raw)), b'"dynquery":{' in raw

    def _verify_shallow(self, text: bytes) -> None:
        result = self._scan(text)
        try:
            if result.error:
                return
            tokens = ctypes.string_at(result.tokens.data, result.tokens.length)
        finally:
            self._free_scan(result)
        bound = nesting_bound(tokens, text)
        if bound > DEEP:
            raise LimitExceeded(DEPTH_LIMIT, limit=DEEP, got=bound)


def _shipped_library() -> Path:
    spec = find_spec("postgast")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for name in ("libpg_query.so", "libpg_query.dylib"):
            path = Path(folder) / name
            if path.is_file():
                return path
    msg = "libpg_query is missing: install the postgast wheel"
    raise FileNotFoundError(msg)


def _rejected(error: _Error) -> SyntaxRejected:
    message = (error.message or b"syntax error").decode("utf-8", "replace")
    return SyntaxRejected(message=message, position=max(error.cursorpos, 0))
