"""Cut the text of a policy file into single policies, so that each error has its line.

Cedar's own messages carry no position. The cut follows Cedar's lexical rules (line comments, string literals with
backslash escapes, ``;`` ends a policy) and is not trusted: each piece must parse as exactly one policy.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PolicyText:
    """The text of one policy and the line that it starts on."""

    text: str
    line: int


def split_policies(source: str) -> list[PolicyText]:
    """Cut at each ``;`` outside comments and strings; text after the last one is a piece too (and won't parse)."""
    pieces: list[PolicyText] = []
    start = 0
    first: int | None = None
    i = 0
    end = len(source)
    while i < end:
        c = source[i]
        if c == "/" and source.startswith("//", i):
            newline = source.find("\n", i)
            i = end if newline < 0 else newline
            continue
        if first is None and not c.isspace():
            first = i
        if c == '"':
            i = _after_string(source, i + 1)
            continue
        if c == ";":
            pieces.append(_piece(source, start, i + 1, i if first is None else first))
            start, first = i + 1, None
        i += 1
    if first is not None:
        pieces.append(_piece(source, start, end, first))
    return pieces


def _after_string(source: str, i: int) -> int:
    """The index behind the closing quote, or the end of the text."""
    while i < len(source):
        if source[i] == "\\":
            i += 2
        elif source[i] == '"':
            return i + 1
        else:
            i += 1
    return len(source)


def _piece(source: str, start: int, end: int, first: int) -> PolicyText:
    return PolicyText(source[start:end], source.count("\n", 0, first) + 1)
