"""Cutting the constants out of a text, so that statements that differ in nothing else share an analysis.

Sound because it is checked, not guessed: an analysis is kept for a shape only if the grammar put a constant, on which
no fact depends, exactly where each constant was cut out. Only texts are cut whose tokens can't be mistaken: plain
ASCII without double quotes, dollar signs, backslashes and comments.
"""

import re
from typing import Final

MAX_TEMPLATE_CHARACTERS: Final = 4096

_STRING = re.compile(r"'[^'\\]*'")
_INTEGER = re.compile(r"\b(?<![.$])[0-9]{1,9}\b(?!\.)", re.ASCII)


def shape_of(text: str) -> str | None:
    """The text with its simple constants cut out, or None if it has none or can't be read safely.

    Each string becomes ``''`` and each integer ``0``, which are what they would become themselves.
    """
    if not text.isascii() or len(text) > MAX_TEMPLATE_CHARACTERS:
        return None
    strings = 0
    shape = text
    if "'" in text:
        shape, strings = _STRING.subn("''", text)
    if '"' in shape or "$" in shape or "\\" in shape or "--" in shape or "/*" in shape:
        return None
    shape, integers = _INTEGER.subn("0", shape)
    return shape if strings or integers else None


def constants_in(text: str) -> list[int]:
    """Where the constants stood that ``shape_of`` cut out."""
    found = [match.start() for match in _STRING.finditer(text)]
    blanked = _STRING.sub(lambda match: "'" + " " * (len(match[0]) - 2) + "'", text)
    found.extend(match.start() for match in _INTEGER.finditer(blanked))
    return found


def depends_on_none(text: str, safe: set[int]) -> bool:
    """Tell whether the grammar has a constant without influence at each place that was cut out.

    A negative number's place in the tree is its sign.
    """
    for start in constants_in(text):
        if start in safe:
            continue
        before = start - 1
        while before >= 0 and text[before] in " \t\n\r":
            before -= 1
        if before < 0 or text[before] != "-" or before not in safe:
            return False
    return True
