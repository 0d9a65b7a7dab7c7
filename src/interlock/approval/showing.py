"""Text for a person's eyes: what could hide or pretend is made visible (T19).

Marked, as ``‹U+202E RIGHT-TO-LEFT OVERRIDE›``: control characters (also those that drive a terminal), bidirectional
and other format characters, unusual spaces, lone surrogates, unassigned and private characters, combining marks that
don't compose, compatibility forms that normalise to ASCII, and letters that look Latin but aren't, where they stand in
a word with Latin ones or in a word of such letters only. Long runs of spaces or line breaks, which push text out of
sight, are shown as their count. Nothing is cut.
"""

# ruff: noqa: RUF001, RUF002 - look-alikes are the subject

import re
import unicodedata
from typing import Final

from interlock.core.action import Action

_STRANGE: Final = re.compile(r"[^\n\t -~]")
_WORD: Final = re.compile(r"[^\W_]+(?:_[^\W_]+)*")
_SPACES: Final = re.compile(r"[ \t]{40,}")
_BREAKS: Final = re.compile(r"\n(?:[ \t]*\n){9,}")
_ALWAYS: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"})
_QUOTES: Final = frozenset("‹›")

_LOOK_LATIN: Final = frozenset(
    "АВЕЅІЈКМНОРСТУХЬаеорсухѕіјһԁԛԝӏҮүҺ"  # Cyrillic
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧαινορτυχγω"  # Greek
    "ՍՏօսցոհԼ"  # Armenian
    "ıȷɑɡɩʋɪʏℓ"  # Latin look-alikes of ASCII, and script l
    "ᎪᎬᎢᎳᏀᎠᏚᏢᎻᎷᏃᏙᏞᏟᏦ"  # Cherokee
)


def with_parameters(action: Action) -> str:
    """The action's text and, below it, every bound parameter: quoted text, or hexadecimal where it isn't UTF-8."""
    if not action.parameters:
        return action.text
    lines = [action.text, "-- bound parameters:"]
    for number, value in enumerate(action.parameters, 1):
        if value is None:
            lines.append(f"-- ${number} = NULL")
            continue
        try:
            lines.append(f"-- ${number} = {value.decode()!r}")
        except UnicodeDecodeError:
            lines.append(f"-- ${number} = bytes {value.hex()}")
    return "\n".join(lines)


def show(text: str) -> tuple[str, int]:
    """The text with everything invisible or misleading marked, and the number of marks."""
    if text.isascii():
        return _shorten_runs(*_STRANGE.subn(lambda found: mark(found.group()), text))
    suspects = _suspects(text)
    marks = 0

    def shown(found: re.Match[str]) -> str:
        nonlocal marks
        at, character = found.start(), found.group()
        if at not in suspects and not _is_hidden(character, text[at - 1 : at]):
            return character
        marks += 1
        return mark(character)

    return _shorten_runs(_STRANGE.sub(shown, text), marks)


def show_line(text: str) -> str:
    """As ``show``, on one line: for names and reasons in lists."""
    return show(text)[0].replace("\n", mark("\n")).replace("\t", " ")


def mark(character: str) -> str:
    """The visible form of one character."""
    name = unicodedata.name(character, "")
    return f"‹U+{ord(character):04X} {name}›" if name else f"‹U+{ord(character):04X}›"


def _is_hidden(character: str, previous: str) -> bool:
    category = unicodedata.category(character)
    if category in _ALWAYS or character in _QUOTES:
        return True
    if category in ("Mn", "Me", "Mc"):
        return category == "Me" or (category == "Mn" and len(unicodedata.normalize("NFC", previous + character)) > 1)
    compatible = unicodedata.normalize("NFKC", character)
    return compatible != character and compatible.isascii()


def _suspects(text: str) -> set[int]:
    """Indexes of letters that look Latin, in words where that may deceive."""
    found: set[int] = set()
    for word in _WORD.finditer(text):
        letters = word.group()
        if letters.isascii():
            continue
        similar = [word.start() + i for i, letter in enumerate(letters) if letter in _LOOK_LATIN]
        mixed = any(letter.isascii() and letter.isalpha() for letter in letters)
        only = all(letter in _LOOK_LATIN or letter.isascii() for letter in letters)
        if mixed or only:
            found.update(similar)
    return found


def _shorten_runs(text: str, marks: int) -> tuple[str, int]:
    text, spaces = _SPACES.subn(lambda run: f" ‹{len(run.group())} spaces› ", text)
    text, breaks = _BREAKS.subn(lambda run: f"\n‹{run.group().count(chr(10))} line breaks›\n", text)
    return text, marks + spaces + breaks
