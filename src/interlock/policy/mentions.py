"""What of the context a policy reads: the decision cache is keyed by that and nothing less.

Sound by construction: a read of ``context`` that isn't a plain chain of attributes counts as reading everything.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from cedarpy import pst


@dataclass(frozen=True, slots=True)
class Mentions:
    """Attributes of the context, and facts, that some policy reads."""

    attributes: frozenset[str] = frozenset()
    facts: frozenset[str] = frozenset()
    everything: bool = False
    """The context is used as a whole."""
    all_facts: bool = False

    def __or__(self, other: "Mentions") -> "Mentions":
        return Mentions(
            self.attributes | other.attributes,
            self.facts | other.facts,
            self.everything or other.everything,
            self.all_facts or other.all_facts,
        )


def find_mentions(policy: pst.Template) -> Mentions:
    """What the policy's conditions read of the context."""
    found = [mention for clause in policy.clauses for mention in _paths(clause.expr)]
    return Mentions(
        attributes=frozenset(path[0] for path, _ in found if path),
        facts=frozenset(path[1] for path, _ in found if path[:1] == ("facts",) and len(path) > 1),
        everything=any(path == () for path, _ in found),
        all_facts=any(path == ("facts",) and is_value for path, is_value in found),
    )


def find_groups_tested(policy: pst.Template) -> frozenset[str]:
    """Names that the conditions look for in ``context.approved_by`` by contains or containsAll."""
    found: set[str] = set()
    for clause in policy.clauses:
        for node in _nodes(clause.expr):
            if isinstance(node, pst.BinaryOp) and _path(node.left) == ("approved_by",):
                if node.op == "contains" and isinstance(node.right, pst.StringLit):
                    found.add(node.right.value)
                elif node.op == "contains_all" and isinstance(node.right, pst.Set):
                    found.update(e.value for e in node.right.elements if isinstance(e, pst.StringLit))
    return frozenset(found)


def _path(node: object) -> tuple[str, ...] | None:
    """``("facts", "bounded")`` for ``context.facts.bounded``, None for what isn't a chain on ``context``."""
    names: list[str] = []
    while isinstance(node, pst.GetAttr):
        names.append(node.attr)
        node = node.base
    if isinstance(node, pst.Var) and node.name == "context":
        return tuple(reversed(names))
    return None


def _paths(root: object) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Each chain on ``context``, and whether its value is read, not only asked whether it is there."""
    stack = [root]
    while stack:
        node = stack.pop()
        path = _path(node)
        base = _path(node.base) if isinstance(node, pst.HasAttr) else None
        if path is not None:
            yield path, True
        elif base is not None and isinstance(node, pst.HasAttr):
            yield (*base, *node.attrs), False
        else:
            stack.extend(_children(node))


def _nodes(root: object) -> Iterator[object]:
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(_children(node))


def _children(node: Any) -> list[object]:
    if isinstance(node, tuple):
        return list(node)
    if isinstance(node, Mapping):
        return list(node.values())
    if is_dataclass(node) and not isinstance(node, type):
        return [getattr(node, f.name) for f in fields(node)]
    return []
