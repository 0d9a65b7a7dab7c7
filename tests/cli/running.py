"""The command run in this process: arguments and stdin in, code and output out."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from interlock.cli import main


@dataclass(frozen=True)
class Answer:
    """What the command did."""

    code: int
    out: str
    err: str


def interlock(*arguments: str | Path, stdin: bytes = b"") -> Answer:
    """Run the command."""
    out, err = io.TextIOWrapper(io.BytesIO(), write_through=True), io.TextIOWrapper(io.BytesIO(), write_through=True)
    patch = pytest.MonkeyPatch()
    patch.setattr(sys, "argv", ["interlock", *map(str, arguments)])
    patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    patch.setenv("COLUMNS", "200")
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
    finally:
        patch.undo()
    return Answer(code, _text(out), _text(err))


def _text(stream: io.TextIOWrapper) -> str:
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()


def make_folder(path: Path, *options: str) -> Path:
    """A folder as ``interlock init`` makes it; its configuration file."""
    shop = ("--resource", "shop", "--address", "db:5432", "--user", "app", "--password", "env:SHOP_PASSWORD")
    answer = interlock("init", path, *(options or shop))
    assert answer.code == 0, answer
    return path / "interlock.toml"
