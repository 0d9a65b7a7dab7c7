# ruff: noqa: ARG001, SIM905 - handlers share one signature
"""Code inside a statement: the bodies of DO, CREATE FUNCTION and CREATE PROCEDURE, as facts.

A body never makes its statement milder: DO and CREATE FUNCTION are ``execute`` whatever they hold. What the body
would do is told by ``body_effects`` and ``body_writes``; what can't be read is ``unknown`` there, and ``dynamic``.
"""

from typing import Final

from interlock.analysis.postgres.statement import SyntaxRejected
from interlock.analysis.postgres.walk import Node, Scope, Walk, strings
from interlock.core.errors import LimitExceeded

MAX_BODY_DEPTH: Final = 3

_KNOWN_KINDS: Final = frozenset(
    """
    PLpgSQL_function PLpgSQL_var PLpgSQL_rec PLpgSQL_recfield PLpgSQL_row PLpgSQL_type PLpgSQL_expr PLpgSQL_nsitem
    PLpgSQL_stmt_block PLpgSQL_stmt_assign PLpgSQL_stmt_if PLpgSQL_if_elsif PLpgSQL_stmt_case PLpgSQL_case_when
    PLpgSQL_stmt_loop PLpgSQL_stmt_while PLpgSQL_stmt_fori PLpgSQL_stmt_fors PLpgSQL_stmt_forc PLpgSQL_stmt_foreach_a
    PLpgSQL_stmt_exit PLpgSQL_stmt_return PLpgSQL_stmt_return_next PLpgSQL_stmt_return_query PLpgSQL_stmt_raise
    PLpgSQL_raise_option PLpgSQL_stmt_assert PLpgSQL_stmt_execsql PLpgSQL_stmt_dynexecute PLpgSQL_stmt_dynfors
    PLpgSQL_stmt_getdiag PLpgSQL_diag_item PLpgSQL_stmt_open PLpgSQL_stmt_fetch PLpgSQL_stmt_close
    PLpgSQL_stmt_perform PLpgSQL_stmt_call PLpgSQL_stmt_commit PLpgSQL_stmt_rollback PLpgSQL_exception_block
    PLpgSQL_exception PLpgSQL_condition
    """.split()
)
_DYNAMIC_KINDS: Final = frozenset(("PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors"))
_MODES: Final = {"FUNC_PARAM_OUT": "out ", "FUNC_PARAM_INOUT": "inout "}
_STATEMENT_MODE: Final = 0
_EXPRESSION_MODE: Final = 2


def on_do(walk: Walk, node: Node, scope: Scope) -> None:
    """DO: code of a language, run at once."""
    walk.does("execute", "do")
    walk.lifts_read_only = True
    walk.changes_catalogue = True
    language, body = "plpgsql", ""
    for item in node.get("args", ()):
        option = item["DefElem"]
        value = option.get("arg", {}).get("String", {}).get("sval", "")
        if option["defname"] == "language":
            language = value.lower()
        elif option["defname"] == "as":
            body = value
    walk.languages.add(language)
    if language == "plpgsql":
        plpgsql_body(walk, body, "create function f() returns void language plpgsql as ")
    else:
        unreadable(walk)


def on_function_definition(walk: Walk, node: Node, scope: Scope) -> None:
    """CREATE FUNCTION or PROCEDURE: code that later statements run."""
    procedure = bool(node.get("is_procedure"))
    walk.does("execute", "create_procedure" if procedure else "create_function")
    walk.changes_catalogue = True
    kind = "procedure" if procedure else "function"
    walk.creates.add(f"{kind}:{'.'.join(strings(node.get('funcname')))}")
    for item in node.get("parameters", ()):
        walk.push(item.get("FunctionParameter", {}).get("defexpr"), scope)
    language, bodies = "sql", tuple[str, ...]()
    for item in node.get("options", ()):
        option = item.get("DefElem", {})
        argument = option.get("arg", {})
        if option.get("defname") == "language":
            language = argument.get("String", {}).get("sval", "").lower()
        elif option.get("defname") == "as":
            bodies = strings(argument.get("List", {}).get("items"))
    walk.languages.add(language)
    if "sql_body" in node:
        inner = Walk(walk.grammar, body_depth=walk.body_depth + 1)
        inner.run(node["sql_body"])
        add_body(walk, inner)
    elif language == "sql" and bodies:
        sql_body(walk, bodies[0])
    elif language == "plpgsql" and bodies:
        plpgsql_body(walk, bodies[0], _header(node))
    else:
        if language == "c" and bodies:
            walk.files.add(bodies[0])
        unreadable(walk)


def _header(node: Node) -> str:
    """A header that declares what the body can name: the parameters, and whether it returns rows.

    The types' names don't matter to the library and are left out, but for those that give the body a meaning.
    """
    plain: list[str] = []
    columns: list[str] = []
    for item in node.get("parameters", ()):
        parameter = item.get("FunctionParameter", {})
        name = parameter.get("name", "").replace('"', '""')
        column = f'"{name}" anything' if name else "anything"
        mode = parameter.get("mode")
        if mode == "FUNC_PARAM_TABLE":
            columns.append(column)
        else:
            plain.append(_MODES.get(mode, "") + column)
    if node.get("is_procedure"):
        return f"create procedure f({', '.join(plain)}) language plpgsql as "
    returned = node.get("returnType", {})
    names = strings(returned.get("names"))
    kind = names[-1] if names and names[-1] in ("void", "trigger", "event_trigger") else "anything"
    if columns:
        kind = f"table({', '.join(columns)})"
    elif returned.get("setof"):
        kind = "setof " + kind
    elif not returned:
        kind = ""
    returns = f"returns {kind}" if kind else ""
    return f"create function f({', '.join(plain)}) {returns} language plpgsql as "


def unreadable(walk: Walk) -> None:
    """The body can't be read: anything may be in it."""
    walk.dynamic = True
    walk.body_effects.add("unknown")


def sql_body(walk: Walk, body: str) -> None:
    """Read a body in SQL, given as text."""
    if walk.body_depth >= MAX_BODY_DEPTH or "\0" in body:
        unreadable(walk)
        return
    try:
        parsed = walk.grammar.parse(body.encode())
    except (LimitExceeded, UnicodeEncodeError):
        unreadable(walk)
        return
    if isinstance(parsed, SyntaxRejected):
        unreadable(walk)
        return
    for raw in parsed:
        inner = Walk(walk.grammar, body_depth=walk.body_depth + 1)
        inner.run(raw.get("stmt", {}))
        add_body(walk, inner)


def plpgsql_body(walk: Walk, body: str, header: str) -> None:
    """Read a body in PL/pgSQL: each of its statements and expressions."""
    tag = "b"
    while f"${tag}$" in body:
        tag += "b"
    opened = None
    if walk.body_depth < MAX_BODY_DEPTH and "\0" not in body:
        try:
            opened = walk.grammar.parse_plpgsql(f"{header}${tag}${body}${tag}$".encode())
        except UnicodeEncodeError:
            opened = None
    if opened is None:
        unreadable(walk)
        return
    expressions, kinds, dynamic_query = opened
    if dynamic_query or kinds & _DYNAMIC_KINDS:
        walk.dynamic = True
        walk.body_effects.add("execute")
    if not kinds <= _KNOWN_KINDS:
        unreadable(walk)
    for text, mode in expressions:
        if mode == _STATEMENT_MODE:
            sql_body(walk, text)
        elif mode == _EXPRESSION_MODE:
            sql_body(walk, "SELECT " + text)
        else:
            target, value = split_assignment(text)
            if value is None:
                unreadable(walk)
            else:
                sql_body(walk, "SELECT " + value)
                sql_body(walk, "SELECT " + target)


def split_assignment(text: str) -> tuple[str, str | None]:
    """Split ``target := value`` (or ``=``) at the first sign outside brackets and quotes."""
    depth = 0
    quoted = ""
    for at, character in enumerate(text):
        if quoted:
            if character == quoted:
                quoted = ""
        elif character in "'\"":
            quoted = character
        elif character in "[(":
            depth += 1
        elif character in "])":
            depth -= 1
        elif depth == 0 and character == "=":
            return text[:at], text[at + 1 :]
        elif depth == 0 and text.startswith(":=", at):
            return text[:at], text[at + 2 :]
    return text, None


def add_body(walk: Walk, inner: Walk) -> None:
    """Add what a body would do as facts of the statement that holds it."""
    leaves = inner.leaves
    if inner.reads:
        walk.body_effects.add("read")
    for leaf in leaves:
        walk.body_effects.add(leaf.partition("/")[0])
    walk.body_effects.update(inner.body_effects)
    walk.body_writes.update(".".join(name) for name in inner.writes)
    walk.body_writes.update(inner.body_writes)
    walk.calls.update((name, -1, "named") for name, _, kind in inner.calls if kind in ("function", "setting", "named"))
    walk.files.update(inner.files)
    walk.programs.update(inner.programs)
    walk.languages.update(inner.languages)
    walk.roles.update(inner.roles)
    walk.dynamic = walk.dynamic or inner.dynamic
    walk.bounded = walk.bounded and inner.bounded
