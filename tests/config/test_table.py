from pathlib import Path

import pytest

from interlock.config.table import Table
from interlock.core.errors import ConfigError


def table(**values: object) -> Table:
    return Table(values, file=Path("/etc/x.toml"), key="part")


def test_reader_leaves_a_key_unasked_and_it_is_refused_with_the_known_ones() -> None:
    reader = table(zzzzzz=1)
    reader.integer("count", 3)
    with pytest.raises(ConfigError, match=r'part\.zzzzzz: is not a known key; known here: "count"'):
        reader.finish()


def test_reader_asks_for_texts_and_gets_a_mixed_list() -> None:
    with pytest.raises(ConfigError, match="list of text"):
        table(names=["a", 1]).texts("names")
    with pytest.raises(ConfigError, match="twice"):
        table(names=["a", "a"]).texts("names")


def test_reader_gets_an_empty_or_nul_bearing_text() -> None:
    for value in ("", "  ", "a\0b"):
        with pytest.raises(ConfigError):
            table(name=value).text("name")


def test_reader_resolves_paths_from_the_file_s_folder() -> None:
    assert table(p="file:a/b").path("p") == Path("/etc/a/b")
    assert table(p="/c").path("p") == Path("/c")


def test_reader_asks_for_a_boolean() -> None:
    assert table(on=True).boolean("on", default=False) is True
    with pytest.raises(ConfigError, match="true or false, not a whole number"):
        table(on=1).boolean("on", default=False)


def test_secret_s_command_cannot_be_split() -> None:
    with pytest.raises(ConfigError, match="split"):
        table(password="command:a 'b").secret("password")
    with pytest.raises(ConfigError, match="list of text"):
        table(password={"command": []}).secret("password")
