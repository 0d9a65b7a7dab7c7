"""The project as its own tests see it: its folders, its settings and the syntax trees of its files."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "interlock"
TESTS = ROOT / "tests"


def settings() -> dict[str, Any]:
    """Return the [tool.interlock] table of pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    table: dict[str, Any] = tomllib.loads(text)["tool"]["interlock"]
    return table


def python_files(folder: Path) -> list[Path]:
    """Return the Python files under a folder, sorted."""
    return sorted(folder.rglob("*.py"))


def tree(path: Path) -> ast.Module:
    """Return the file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def dotted(node: ast.expr) -> str:
    """Return the dotted name that an expression is (``asyncio.sleep``), or an empty text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Yield every call in a file by the dotted name that is called."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield dotted(node.func), node


def imported_names(path: Path) -> set[str]:
    """Return everything that a file imports, as dotted names."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names
