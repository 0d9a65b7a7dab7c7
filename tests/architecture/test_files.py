"""Where files are, what they are called, and that each source file has a test file of its own."""

import ast
import re

import pytest

from tests.architecture.project import ROOT, SOURCE, TESTS, python_files, settings, tree

DRAWERS = {"utils", "util", "helpers", "helper", "common", "manager", "service", "base", "misc"}
LOCKS = ["requirements.lock", "requirements-dev.lock", "requirements-bootstrap.lock"]


def has_code(path_tree: ast.Module) -> bool:
    """Whether a module defines anything that can be tested (a package that only lists names doesn't)."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(node, kinds) for node in path_tree.body)


def test_every_source_file_with_code_has_its_own_test_file_or_a_listed_reason() -> None:
    excused = settings()["without_own_tests"]
    missing = []
    for path in python_files(SOURCE):
        name = path.relative_to(SOURCE).as_posix()
        test = TESTS / path.relative_to(SOURCE).with_name(f"test_{path.stem.strip('_')}.py")
        if name not in excused and not test.is_file() and has_code(tree(path)):
            missing.append(f"{name}: no {test.relative_to(ROOT)}")
    assert missing == []


def test_every_excuse_names_a_file_that_exists_needs_it_and_gives_a_reason() -> None:
    for name, reason in settings()["without_own_tests"].items():
        path = SOURCE / name
        assert path.is_file(), name
        assert len(reason) > 10, name
        assert not (TESTS / name).with_name(f"test_{path.stem.strip('_')}.py").is_file(), name


def test_no_file_is_a_drawer() -> None:
    paths = [p for folder in (SOURCE, TESTS, ROOT / "bench") for p in python_files(folder)]
    named = [p for p in paths if DRAWERS & {part.removesuffix(".py") for part in p.relative_to(ROOT).parts}]
    assert named == []


def test_every_room_says_what_lives_in_it() -> None:
    silent = [p for p in python_files(SOURCE) if not ast.get_docstring(tree(p)) and p.stat().st_size]
    assert silent == []


@pytest.mark.parametrize("name", LOCKS)
def test_lock_pins_every_package_by_hash_and_names_no_registry(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text
    pins = re.split(r"\n(?=[A-Za-z0-9])", text.strip())
    assert pins
    assert [pin for pin in pins if "==" not in pin or "--hash=sha256:" not in pin] == []


def test_every_dependency_has_its_line_that_says_why() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = text.partition("\ndependencies = [")[2].partition("\n]")[0]
    names = re.findall(r'^ *"([A-Za-z0-9_.-]+)', project, re.MULTILINE)
    said = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").lower()
    assert names
    assert [name for name in names if f"`{name.lower()}`" not in said] == []
