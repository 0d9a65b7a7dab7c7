"""An upper bound of how deep a text's tree can be, from its tokens alone.

The library recurses over its tree without a limit, so a large text that nests deep would end the process. Below one
list element no tree is deeper than the element has tokens; only set operations and joins nest across commas. AND and
OR chains are flat in the tree, so they separate too, unless CASE or BETWEEN gives their words another meaning.
"""

import re
from typing import Final

DEEP: Final = 32768
"""Levels that an 8 MiB stack holds with room to spare (measured: 132 bytes a level at most, 63,000 levels)."""

_CHAIN: Final = re.compile(rb"(?i)union|intersect|except|join|with|then|when|else|begin")
_FLAT: Final = re.compile(rb"(?i)and|or")
_NOT_FLAT: Final = re.compile(rb"(?i)\b(?:case|between)\b")
_OPEN: Final = frozenset(b"([")
_CLOSE: Final = frozenset(b")]")


def nesting_bound(tokens: bytes, text: bytes) -> int:
    """Bound the depth of the tree of ``text``.

    Spec: libpg_query's ScanResult (version = 1, tokens = 2 of start = 1, end = 2, token = 4, keyword_kind = 5).
    """
    groups: list[list[int]] = [[0, 0, 0]]
    deepest = 0
    flat = _NOT_FLAT.search(text) is None
    for start, end in _spans(tokens):
        first = text[start] if start < len(text) else 0
        group = groups[-1]
        if end - start == 1:
            if first in _OPEN:
                groups.append([0, 0, 0])
                continue
            if first in _CLOSE and len(groups) > 1:
                inner = groups.pop()
                depth = max(inner[0] + inner[1], inner[2]) + inner[1] + 1
                groups[-1][0] += depth
                continue
            if first == 0x2C:
                group[2] = max(group[2], group[0])
                group[0] = 0
                continue
            if first == 0x3B and len(groups) == 1:
                deepest = max(deepest, group[0] + group[1], group[2] + group[1])
                groups = [[0, 0, 0]]
                continue
        if flat and 2 <= end - start <= 3 and _FLAT.fullmatch(text, start, end):
            group[2] = max(group[2], group[0])
            group[0] = 0
            continue
        group[0] += 1
        if end - start <= 9 and _CHAIN.fullmatch(text, start, end):
            group[1] += 1
    rest = sum(max(group[0], group[2]) + group[1] for group in groups)
    return max(deepest, rest)


def _spans(tokens: bytes) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    at, size = 0, len(tokens)
    while at < size:
        tag, at = _varint(tokens, at)
        if tag != 0x12:
            _, at = _varint(tokens, at)
            continue
        length, at = _varint(tokens, at)
        stop = at + length
        start = end = 0
        while at < stop:
            field, at = _varint(tokens, at)
            value, at = _varint(tokens, at)
            if field == 0x08:
                start = value
            elif field == 0x10:
                end = value
        spans.append((start, end))
    return spans


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
