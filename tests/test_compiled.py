"""The interpreted form can be had though an extension lies beside the source."""

import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from tests.architecture.project import SOURCE


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """An ``interlock`` with one module whose extension can't be loaded, so that loading it shows."""
    folder = tmp_path / "interlock"
    (folder / "room").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "room" / "__init__.py").touch()
    (folder / "compiled.py").write_bytes((SOURCE / "compiled.py").read_bytes())
    (folder / "room" / "loop.py").write_text("FORM = 'source'\n")
    (folder / "room" / f"loop{EXTENSION_SUFFIXES[0]}").write_bytes(b"no extension at all")
    return tmp_path


def run(package: Path, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_python_takes_the_extension_by_itself(package: Path) -> None:
    done = run(package, "import interlock.room.loop")
    assert "ImportError" in done.stderr


def test_finder_takes_the_source_and_reports_nothing_compiled(package: Path) -> None:
    code = (
        "from interlock.compiled import compiled_modules, load_from_source\n"
        "load_from_source(); load_from_source()\n"
        "import json, interlock.room.loop as loop\n"
        "print(loop.FORM, compiled_modules())"
    )
    done = run(package, code)
    assert (done.stdout, done.stderr) == ("source []\n", "")


def test_asking_after_an_extension_was_loaded_is_an_error(package: Path) -> None:
    code = (
        "import sys, types\n"
        "from interlock.compiled import load_from_source\n"
        f"loop = types.ModuleType('interlock.room.loop'); loop.__file__ = 'loop{EXTENSION_SUFFIXES[0]}'\n"
        "sys.modules['interlock.room.loop'] = loop\n"
        "load_from_source()"
    )
    assert "already loaded in compiled form: interlock.room.loop" in run(package, code).stderr
