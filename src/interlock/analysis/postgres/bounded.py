"""Does a condition narrow down the rows of its target? When in doubt it doesn't.

A condition narrows if it compares a column of the target with something that isn't made of the same column. What is
constant, mentions no column of the target, compares a column with itself, or holds for each value, doesn't. This
can't be complete (``length(name) >= 0``), but it never takes a condition without a column for a bound.
"""

from collections import Counter
from typing import Any, Final

import orjson

Node = dict[str, Any]

MAX_DEPTH: Final = 100
_TRUE_PATTERNS: Final = frozenset(("", ".*", "^", "$", "^.*", ".*$", "^.*$", ".+", "^.+$", ".", ".?", "(.*)", "^(.*)$"))
_NEGATED: Final = {"=": "<>", "<>": "=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_COMPARISONS: Final = frozenset(_NEGATED)
_REGEX: Final = frozenset(("~", "~*", "!~", "!~*"))


class Target:
    """The relation whose rows are at stake, and the names by which its columns are told apart."""

    def __init__(self, relation: Node, others: list[Node]) -> None:
        self.name: Final[str] = relation.get("relname", "")
        self.alias: Final[str] = relation.get("alias", {}).get("aliasname", self.name)
        self.selves: Final = {self.alias, self.name}
        for other in others:
            body = other.get("RangeVar")
            if body and body.get("relname") == self.name:
                self.selves.add(body.get("alias", {}).get("aliasname", self.name))

    def column(self, reference: Node, *, qualified: bool) -> str:
        """The column's name if it is the target's, else ``""``."""
        parts = [field.get("String", {}).get("sval", "*") for field in reference.get("fields", ())]
        if len(parts) == 1:
            return "" if qualified else parts[0]
        return parts[-1] if parts[-2] in self.selves else ""


def narrows(
    condition: Node | None, target: Target, *, negated: bool = False, qualified: bool = False, depth: int = 0
) -> bool:
    """Tell whether ``condition`` (negated or not) leaves out rows of the target."""
    if not condition or depth > MAX_DEPTH:
        return False
    ((kind, node),) = condition.items()

    def inner(part: Node | None, *, flip: bool = False) -> bool:
        return narrows(part, target, negated=negated != flip, qualified=qualified, depth=depth + 1)

    if kind == "BoolExpr":
        arms = node.get("args", [])
        if node["boolop"] == "NOT_EXPR":
            return inner(arms[0], flip=True)
        if (node["boolop"] == "AND_EXPR") != negated:
            return any(inner(arm) for arm in arms)
        return all(inner(arm) for arm in arms) and not _complementary(arms)
    if kind == "NullTest":
        is_null = (node["nulltesttype"] == "IS_NULL") != negated
        return is_null and _once(node.get("arg"), target, qualified=qualified)
    if kind == "BooleanTest":
        test = node["booltesttype"]
        if test in ("IS_TRUE", "IS_NOT_FALSE"):
            return inner(node["arg"])
        if test in ("IS_FALSE", "IS_NOT_TRUE"):
            return inner(node["arg"], flip=True)
        return (test == "IS_UNKNOWN") != negated and _once(node["arg"], target, qualified=qualified)
    if kind == "A_Expr":
        return _comparison_narrows(node, target, negated=negated, qualified=qualified, depth=depth)
    if kind == "CaseExpr":
        return _case_narrows(node, target, negated=negated, qualified=qualified, depth=depth)
    if kind in ("CoalesceExpr", "MinMaxExpr"):
        arms = [arm for arm in node.get("args", []) if not _is_false(arm, negated=negated)]
        return bool(arms) and all(inner(arm) for arm in arms)
    if kind == "SubLink":
        return _sublink_narrows(node, target, negated=negated, qualified=qualified, depth=depth)
    if kind in ("TypeCast", "CollateClause"):
        return inner(node.get("arg"))
    if kind == "CurrentOfExpr":
        return True
    if kind == "ColumnRef":
        return bool(target.column(node, qualified=qualified))
    if kind in ("A_Const", "ParamRef"):
        return False
    return _once(condition, target, qualified=qualified)


def _comparison_narrows(node: Node, target: Target, *, negated: bool, qualified: bool, depth: int) -> bool:
    kind = node["kind"]
    operator = node["name"][-1].get("String", {}).get("sval", "") if node.get("name") else ""
    left, right = node.get("lexpr"), node.get("rexpr")
    whole = {"A_Expr": node}
    if kind in ("AEXPR_OP", "AEXPR_DISTINCT", "AEXPR_NOT_DISTINCT"):
        equal = (operator == "=" and kind == "AEXPR_OP") or kind == "AEXPR_NOT_DISTINCT"
        unequal = kind == "AEXPR_DISTINCT" or (operator in ("<>", "!=") and kind == "AEXPR_OP")
        for one, other in ((left, right), (right, left)):
            truth = _boolean(other)
            if truth is not None and (equal or unequal) and _is_condition(one):
                flip = (truth is False) != unequal
                return narrows(one, target, negated=negated != flip, qualified=qualified, depth=depth + 1)
            if kind != "AEXPR_OP" and _is_null(other) and unequal != negated:
                return False
    if kind in ("AEXPR_LIKE", "AEXPR_ILIKE", "AEXPR_SIMILAR") and not _pattern_narrows(right, "%"):
        return False
    if kind == "AEXPR_OP" and operator in _REGEX and not _pattern_narrows(right, ""):
        return False
    if kind == "AEXPR_OP" and operator in ("~~", "~~*", "!~~", "!~~*") and not _pattern_narrows(right, "%"):
        return False
    if _boolean_operands(left, right, operator):
        return False
    if kind in ("AEXPR_IN", "AEXPR_OP_ANY", "AEXPR_OP_ALL") and _holds(right, left):
        return False
    if (
        kind in ("AEXPR_OP_ANY", "AEXPR_OP_ALL")
        and right
        and "SubLink" in right
        and _whole_table(right["SubLink"], target)
    ):
        return False
    return _once(whole, target, qualified=qualified)


def _boolean_operands(left: Node | None, right: Node | None, operator: str) -> bool:
    """Comparing two conditions with each other, as in ``(a = 1) = (a = 1)``: not understood, so no bound."""
    return operator in _COMPARISONS and _is_condition(left) and _is_condition(right)


def _case_narrows(node: Node, target: Target, *, negated: bool, qualified: bool, depth: int) -> bool:
    if "arg" in node:
        return False
    fallback = node.get("defresult")
    if fallback is not None and not _is_false(fallback, negated=negated):
        return False
    for arm in node.get("args", []):
        when = arm["CaseWhen"]
        result = when.get("result")
        if _is_false(result, negated=negated) or narrows(
            result, target, negated=negated, qualified=qualified, depth=depth + 1
        ):
            continue
        if not narrows(when.get("expr"), target, qualified=qualified, depth=depth + 1):
            return False
    return fallback is not None or not negated


def _sublink_narrows(node: Node, target: Target, *, negated: bool, qualified: bool, depth: int) -> bool:
    select = node.get("subselect", {}).get("SelectStmt", {})
    kind = node["subLinkType"]
    if kind == "EXISTS_SUBLINK":
        return narrows(select.get("whereClause"), target, qualified=True, depth=depth + 1)
    if kind in ("ANY_SUBLINK", "ALL_SUBLINK"):
        if negated and not select.get("fromClause"):
            return False
        if _whole_table(node, target):
            return False
        return _once(node.get("testexpr"), target, qualified=qualified)
    return _once({"SubLink": node}, target, qualified=qualified)


def _whole_table(sublink: Node, target: Target) -> bool:
    select = sublink.get("subselect", {}).get("SelectStmt", {})
    if any(
        select.get(clause) for clause in ("whereClause", "limitCount", "havingClause", "groupClause", "limitOffset")
    ):
        inside = Target({"relname": target.name}, select.get("fromClause", []))
        return "whereClause" in select and not narrows(select["whereClause"], inside)
    if "larg" in select:
        return True
    return any(item.get("RangeVar", {}).get("relname") == target.name for item in select.get("fromClause", []))


def _once(expression: Node | None, target: Target, *, qualified: bool) -> bool:
    """Tell whether a column of the target occurs exactly once: a column on both sides proves nothing."""
    counts = _columns(expression, target, qualified=qualified)
    return any(count == 1 for count in counts.values())


def _columns(expression: Node | None, target: Target, *, qualified: bool) -> Counter[str]:
    counts: Counter[str] = Counter()
    stack: list[tuple[Any, bool]] = [(expression, qualified)]
    while stack:
        item, only_qualified = stack.pop()
        if isinstance(item, list):
            stack.extend((part, only_qualified) for part in item)
        elif isinstance(item, dict):
            for kind, value in item.items():
                if kind == "ColumnRef":
                    name = target.column(value, qualified=only_qualified)
                    if name:
                        counts[name] += 1
                elif kind == "A_Expr" and _is_zero_product(value):
                    continue
                elif kind == "SelectStmt":
                    stack.append((value, True))
                elif isinstance(value, dict | list):
                    stack.append((value, only_qualified))
    return counts


def _complementary(arms: list[Node]) -> bool:
    """Tell whether an arm is the negation of another one, so that OR of both always holds (NULL apart)."""
    seen = {_key(arm, negated=False) for arm in arms}
    return any(_key(arm, negated=True) in seen for arm in arms)


def _key(arm: Node, *, negated: bool) -> bytes:
    ((kind, node),) = arm.items()
    while kind == "BoolExpr" and node["boolop"] == "NOT_EXPR":
        ((kind, node),) = node["args"][0].items()
        negated = not negated
    if kind == "A_Expr" and node["kind"] == "AEXPR_OP" and len(node["name"]) == 1:
        operator = node["name"][0]["String"]["sval"]
        operator = "<>" if operator == "!=" else operator
        if operator in _NEGATED:
            operator = _NEGATED[operator] if negated else operator
            left, right = _shape(node.get("lexpr")), _shape(node.get("rexpr"))
            if operator in ("=", "<>"):
                left, right = sorted((left, right))
            elif operator in (">", ">="):
                left, right, operator = right, left, {">": "<", ">=": "<="}[operator]
            return b"\0".join((operator.encode(), left, right))
    if (
        kind == "A_Expr"
        and len(node.get("name", ())) == 1
        and node["kind"] in ("AEXPR_LIKE", "AEXPR_ILIKE", "AEXPR_IN")
    ):
        operator = node["name"][0]["String"]["sval"]
        plain = operator in ("~~", "~~*", "=")
        return b"\0".join((str(plain != negated).encode(), _shape(node.get("lexpr")), _shape(node.get("rexpr"))))
    if kind == "NullTest":
        test = (node["nulltesttype"] == "IS_NULL") != negated
        return b"null\0" + str(test).encode() + _shape(node.get("arg"))
    if kind == "A_Expr" and "BETWEEN" in node["kind"]:
        plain = "NOT" not in node["kind"]
        return b"between\0" + str(plain != negated).encode() + _shape(node.get("lexpr")) + _shape(node.get("rexpr"))
    return (b"not\0" if negated else b"") + _shape({kind: node})


def _shape(expression: Any) -> bytes:
    """The expression without its positions and qualifiers, to be compared."""
    try:
        return orjson.dumps(_strip(expression, 0))
    except (orjson.JSONEncodeError, RecursionError):
        return b"deep"


def _strip(item: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise RecursionError
    if isinstance(item, list):
        return [_strip(part, depth + 1) for part in item]
    if isinstance(item, dict):
        if "ColumnRef" in item:
            return {"ColumnRef": item["ColumnRef"].get("fields", [])[-1:]}
        return {
            key: _strip(value, depth + 1) for key, value in item.items() if "location" not in key and "list_" not in key
        }
    return item


def _holds(items: Node | None, item: Node | None) -> bool:
    """Tell whether a list or array holds the very expression that is looked for."""
    if not items or not item:
        return False
    parts = items.get("List", {}).get("items") or items.get("A_ArrayExpr", {}).get("elements") or []
    wanted = _shape(item)
    return any(_shape(part) == wanted for part in parts)


def _pattern_narrows(pattern: Node | None, wildcards: str) -> bool:
    text = _text(pattern)
    if text is None:
        return bool(pattern)
    if wildcards:
        return text.strip(wildcards) not in ("", "_")
    return text not in _TRUE_PATTERNS


def _text(node: Node | None) -> str | None:
    while node and "TypeCast" in node:
        node = node["TypeCast"].get("arg")
    value = (node or {}).get("A_Const", {}).get("sval")
    return None if value is None else str(value.get("sval", ""))


def _boolean(node: Node | None) -> bool | None:
    if node and "A_Const" in node and "boolval" in node["A_Const"]:
        return bool(node["A_Const"]["boolval"].get("boolval", False))
    text = _text(node) if node and "TypeCast" in node and _is_bool_type(node["TypeCast"]) else None
    if text is None:
        return None
    return text.strip().lower() in ("t", "tr", "tru", "true", "y", "ye", "yes", "on", "1")


def _is_bool_type(cast: Node) -> bool:
    names = cast.get("typeName", {}).get("names", [])
    return bool(names) and names[-1].get("String", {}).get("sval") in ("bool", "boolean")


def _is_null(node: Node | None) -> bool:
    return bool(node) and bool((node or {}).get("A_Const", {}).get("isnull"))


def _is_false(node: Node | None, *, negated: bool) -> bool:
    return node is None or _is_null(node) or _boolean(node) is negated


def _is_condition(node: Node | None) -> bool:
    if not node:
        return False
    ((kind, body),) = node.items()
    if kind == "A_Expr":
        operator = body["name"][-1].get("String", {}).get("sval", "") if body.get("name") else ""
        return body["kind"] != "AEXPR_NULLIF" and (
            body["kind"] != "AEXPR_OP" or operator in _COMPARISONS or operator in _REGEX
        )
    if kind == "SubLink":
        return bool(body["subLinkType"] in ("EXISTS_SUBLINK", "ANY_SUBLINK", "ALL_SUBLINK"))
    return kind in ("BoolExpr", "NullTest", "BooleanTest")


def _is_zero_product(node: Node) -> bool:
    if node["kind"] != "AEXPR_OP" or node["name"][-1].get("String", {}).get("sval") != "*":
        return False
    sides: list[Node] = [node.get("lexpr") or {}, node.get("rexpr") or {}]
    return any(side.get("A_Const", {}).get("ival") == {} for side in sides)
