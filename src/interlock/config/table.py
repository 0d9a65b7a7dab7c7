"""Typed reads from one TOML table: every key is asked for by name and type, and ``finish`` refuses the rest."""

import difflib
import shlex
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NoReturn, TypeGuard

from interlock.core.errors import ConfigError
from interlock.core.resource import SecretReference

_KINDS = {"str": "text", "int": "a whole number", "bool": "true or false", "dict": "a table", "list": "a list"}


class Table:
    """A TOML table being read; ``key`` names it in errors, as in ``resources[2].upstream``."""

    def __init__(self, values: Mapping[str, object], *, file: Path, key: str = "") -> None:
        self._values = values
        self._file = file
        self._key = key
        self._known: set[str] = set()

    def fail(self, name: str, reason: str) -> NoReturn:
        """Refuse the file because of this key."""
        raise ConfigError(str(self._file), self._path(name), reason)

    def has(self, name: str) -> bool:
        """True if the key is written; asking makes it a known key."""
        self._known.add(name)
        return name in self._values

    def raw(self, name: str) -> object:
        """The value as TOML gave it, or None."""
        self._known.add(name)
        return self._values.get(name)

    def text(self, name: str, default: str | None = None) -> str:
        """A string that isn't empty."""
        value = self.raw(name)
        if value is None:
            return default if default is not None else self.fail(name, "is missing; add it")
        if not isinstance(value, str):
            self._wrong_type(name, value, "str")
        if not value.strip() or "\0" in value:
            self.fail(name, "is empty; give it a value or remove the line")
        return value

    def optional_text(self, name: str) -> str | None:
        """A string, or None where the key isn't written."""
        return self.text(name) if self.has(name) else None

    def integer(self, name: str, default: int, *, least: int = 0, most: int | None = None) -> int:
        """A whole number within limits (TOML booleans aren't numbers)."""
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool):
            self._wrong_type(name, value, "int")
        if value < least:
            self.fail(name, f"{value} is too small; the least is {least}")
        if most is not None and value > most:
            self.fail(name, f"{value} is too large; the most is {most}")
        return value

    def boolean(self, name: str, *, default: bool) -> bool:
        """True or false."""
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self._wrong_type(name, value, "bool")
        return value

    def choice(self, name: str, choices: Collection[str], default: str | None = None) -> str:
        """One of the listed words."""
        value = self.text(name, default)
        if value not in choices:
            self.fail(name, f"{value!r} isn't one of {_listed(choices)}{_suggest(value, choices)}")
        return value

    def texts(self, name: str, default: tuple[str, ...] = (), *, choices: Collection[str] = ()) -> tuple[str, ...]:
        """A list of distinct strings."""
        value = self.raw(name)
        if value is None:
            return default
        if not _is_texts(value):
            self.fail(name, 'must be a list of text, as in ["a", "b"]')
        for item in value:
            if choices and item not in choices:
                self.fail(name, f"{item!r} isn't one of {_listed(choices)}{_suggest(item, choices)}")
        if len(set(value)) != len(value):
            self.fail(name, "lists the same value twice; remove one")
        return tuple(value)

    def text_map(self, name: str) -> dict[str, str]:
        """A table of strings."""
        value = self.raw(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._wrong_type(name, value, "dict")
        table = Table(value, file=self._file, key=self._path(name))
        return {key: table.text(key) for key in value}

    def table(self, name: str) -> "Table":
        """A table; an empty one where the key isn't written."""
        value = self.raw(name)
        if value is None:
            return Table({}, file=self._file, key=self._path(name))
        if not isinstance(value, dict):
            self._wrong_type(name, value, "dict")
        return Table(value, file=self._file, key=self._path(name))

    def tables(self, name: str, *, single: bool = False) -> list["Table"]:
        """A list of tables; with ``single``, one table counts as a list of one."""
        value = self.raw(name)
        if value is None:
            return []
        if single and isinstance(value, dict):
            return [Table(value, file=self._file, key=self._path(name))]
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.fail(name, "must be a table" + (" or a list of tables" if single else f" list, written [[{name}]]"))
        return [
            Table(item, file=self._file, key=f"{self._path(name)}[{number}]") for number, item in enumerate(value, 1)
        ]

    @property
    def names(self) -> list[str]:
        """The names written in this table."""
        return list(self._values)

    def path(self, name: str, default: Path | None = None) -> Path:
        """A path relative to the file, made absolute; the prefix ``file:`` is allowed."""
        text = self.text(name, None if default is None else str(default))
        return self.resolve(text.removeprefix("file:"))

    def resolve(self, text: str) -> Path:
        """A path relative to the file, made absolute."""
        return (self._file.parent / Path(text).expanduser()).absolute()

    def secret(self, name: str, default: SecretReference | None = None) -> SecretReference:
        """A reference to a secret; the secret itself, written here, is refused without repeating it."""
        value = self.raw(name)
        if value is None:
            if default is None:
                self.fail(name, "is missing; add it")
            return self._located(default)
        if isinstance(value, dict):
            table = Table(value, file=self._file, key=self._path(name))
            argv = table.texts_ordered("command")
            table.finish()
            return SecretReference("command", shlex.join(argv))
        if not isinstance(value, str):
            self._wrong_type(name, value, "str")
        kind, colon, target = value.partition(":")
        if not colon or kind not in {"env", "file", "command"} or not target.strip():
            self.fail(
                name,
                "must be a reference, never the secret itself: env:NAME, file:PATH, command:PROGRAM ARGUMENTS "
                'or { command = ["program", "argument"] }',
            )
        if kind == "command":
            self._verify_command(name, target)
        return self._located(SecretReference(kind, target))

    def texts_ordered(self, name: str) -> list[str]:
        """A list of strings, not empty, in which repeats are allowed."""
        value = self.raw(name)
        if not _is_texts(value) or not value:
            self.fail(name, 'must be a list of text, as in ["program", "argument"]')
        return list(value)

    def finish(self) -> None:
        """Refuse keys that nobody asked for."""
        unknown = sorted(set(self._values) - self._known)
        if unknown:
            name = unknown[0]
            hint = _suggest(name, self._known) or f"; known here: {_listed(sorted(self._known))}"
            self.fail(name, f"is not a known key{hint}")

    def _verify_command(self, name: str, target: str) -> None:
        try:
            argv = shlex.split(target)
        except ValueError as error:
            self.fail(name, f"can't be split into a program and its arguments: {error}")
        if not argv:
            self.fail(name, "names no program")

    def _located(self, reference: SecretReference) -> SecretReference:
        if reference.kind != "file":
            return reference
        return SecretReference("file", str(self.resolve(reference.target)))

    def _path(self, name: str) -> str:
        return ".".join(part for part in (self._key, name) if part)

    def _wrong_type(self, name: str, value: object, wanted: str) -> NoReturn:
        got = _KINDS.get(type(value).__name__, type(value).__name__)
        self.fail(name, f"must be {_KINDS[wanted]}, not {got}")


def _is_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(item, str) and item for item in value)


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)


def _suggest(word: str, words: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(words), n=1)
    return f'; did you mean "{near[0]}"?' if near else ""
