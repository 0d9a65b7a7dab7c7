"""Who may import whom: the contracts hold, and they would notice if they didn't."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.project import ROOT

LINT = Path(sys.executable).with_name("lint-imports")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the contracts of a copy of the project."""
    return subprocess.run(
        [str(LINT), "--no-cache", "--config", str(folder / "pyproject.toml")],
        cwd=folder,
        env={"PYTHONPATH": str(folder / "src"), "PATH": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contracts_hold(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("core", "import asyncio"),
        ("wire", "import time"),
        ("policy", "import random"),
        ("protocols", "import interlock.policy"),
        ("policy", "import interlock.approval"),
        ("core", "import interlock.gate"),
    ],
)
def test_a_forbidden_import_is_noticed(copy: Path, room: str, line: str) -> None:
    path = copy / "src" / "interlock" / room / "__init__.py"
    path.write_text(path.read_text(encoding="utf-8") + f"\n{line}\n", encoding="utf-8")
    assert lint(copy).returncode == 1


def test_a_room_that_no_layer_names_is_noticed(copy: Path) -> None:
    (copy / "src" / "interlock" / "drawer.py").write_text('"""Not in any layer."""\n', encoding="utf-8")
    assert lint(copy).returncode == 1
