"""A value that must never be shown (P5, T24)."""

from typing import Final, final


@final
class Secret:
    """Text that no ``repr``, ``str``, format or traceback of locals reveals; ``reveal()`` is the one way to it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text: Final = text

    def reveal(self) -> str:
        """The text itself; call it only where the bytes are about to be used."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> str:
        msg = "a Secret is not pickled"
        raise TypeError(msg)
