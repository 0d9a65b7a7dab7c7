"""Habits that a linter can't hold: in tests, at the gate's mint, and with tasks."""

import ast

from tests.architecture.project import ROOT, SOURCE, TESTS, calls, imported_names, python_files, tree


def test_no_test_sleeps() -> None:
    sleeping = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in python_files(TESTS)
        for name, call in calls(path)
        if name in {"time.sleep", "sleep", "asyncio.sleep"} and not (call.args and is_zero(call.args[0]))
    ]
    assert sleeping == []


def is_zero(node: ast.expr) -> bool:
    """``asyncio.sleep(0)`` gives way and waits for no time."""
    return isinstance(node, ast.Constant) and node.value == 0


def test_no_test_mocks() -> None:
    mocking = [
        p for p in python_files(TESTS) if any(n.startswith(("unittest.mock", "mock")) for n in imported_names(p))
    ]
    assert mocking == []


def test_only_the_gate_can_name_the_mint_of_permits_P1() -> None:
    users = {
        path.relative_to(SOURCE).as_posix()
        for path in python_files(SOURCE)
        for node in ast.walk(tree(path))
        if (isinstance(node, ast.Name) and node.id == "GATE_MINT")
        or (isinstance(node, ast.Attribute) and node.attr in {"GATE_MINT", "_Mint"})
        or (isinstance(node, ast.alias) and node.name in {"GATE_MINT", "_Mint"})
    }
    assert {name for name in users if not name.startswith("gate/")} == {"core/permit.py"}


def test_no_task_lives_outside_a_group() -> None:
    loose = [
        f"{path.relative_to(ROOT)}:{call.lineno}: {name}"
        for path in python_files(SOURCE)
        for name, call in calls(path)
        if name in {"asyncio.create_task", "asyncio.ensure_future", "loop.create_task", "self._loop.create_task"}
    ]
    assert loose == []


def test_security_is_never_an_assert_about_what_came_from_outside() -> None:
    asserted = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for room in ("wire", "policy", "identity", "gate")
        for path in python_files(SOURCE / room)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Assert) and {"token", "credential", "permit"} & named_in(node)
    ]
    assert asserted == []


def named_in(node: ast.AST) -> set[str]:
    """Every plain name inside a node, but those of ``x is not None`` (which narrows a type)."""
    if isinstance(node, ast.Assert) and isinstance(node.test, ast.Compare):
        right = node.test.comparators[-1]
        if isinstance(right, ast.Constant) and right.value is None:
            return set()
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
