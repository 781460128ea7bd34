# SPDX-License-Identifier: GPL-3.0-or-later
"""The statements within the code of functions and DO blocks, those too that are put together when it runs."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

with contextlib.suppress(ImportError):  # the reader of the files says so
    import pglast
    import pglast.ast as node

# What stands for a part of a statement that is known only when it runs.
HOLE = "slipway_hole"
# The most texts that one statement is taken to be when its parts have several values.
_MOST = 64
_INPUTS = ("FUNC_PARAM_IN", "FUNC_PARAM_DEFAULT", "FUNC_PARAM_VARIADIC")
_FORMAT = re.compile(r"%(?:(?P<percent>%)|(?:(?P<position>\d+)\$)?-?\d*(?P<type>[sIL]))")
# By its first word, a statement that acts on its database alone, whatever the rest of it may be.
_OF_ROWS = {
    "analyze", "cluster", "delete", "insert", "lock", "merge", "refresh", "reindex", "select", "set", "truncate",
    "update", "vacuum", "values", "with",
}  # fmt: skip
# What may not follow CREATE, ALTER or DROP for that.
_SHARED = {"database", "group", "or", "owned", "role", "subscription", "system", "tablespace", "user"}


def walk(tree: Any) -> Iterator[Any]:
    """Every node of a tree, itself first."""
    if isinstance(tree, tuple):
        for each in tree:
            yield from walk(each)
    elif isinstance(tree, node.Node):
        yield tree
        for name in tree:
            yield from walk(getattr(tree, name))


def is_a(tree: Any, *kinds: Any) -> bool:
    """``isinstance``, after which a type checker knows no more of the tree: what is optional there is not here."""
    return isinstance(tree, kinds)


def is_code(statement: Any) -> bool:
    """Whether the statement holds code, which it runs (DO) or keeps (CREATE FUNCTION, CREATE PROCEDURE)."""
    return is_a(statement, node.DoStmt, node.CreateFunctionStmt)


def language(statement: Any) -> str:
    """The language of its code."""
    given = _option(statement, "language")
    return given.sval.lower() if given else "plpgsql" if isinstance(statement, node.DoStmt) else "sql"


def statements(statement: Any) -> Iterator[Any]:
    """The trees of the statements in the code that ``statement`` holds; None for each that can't be known."""
    body = _option(statement, "as")
    if body is None:  # BEGIN ATOMIC, or RETURN
        yield from (each for each in walk(getattr(statement, "sql_body", None)) if _is_statement(each))
        return
    text = (body[0] if isinstance(body, tuple) else body).sval
    if language(statement) == "sql":
        try:
            yield from (each.stmt for each in pglast.parse_sql(text))
        except pglast.parser.ParseError:
            yield None
    elif language(statement) == "plpgsql":
        code = _parsed(statement, text)
        if code is None:
            yield from _called(text)
            yield None
        else:
            yield from _Plpgsql(code).statements()
    elif language(statement) not in ("c", "internal"):
        yield None


def _is_statement(tree: Any) -> bool:
    return type(tree).__name__.endswith("Stmt")


def _option(statement: Any, name: str) -> Any:
    options = statement.args if isinstance(statement, node.DoStmt) else statement.options
    return next((option.arg for option in options or () if option.defname == name), None)


def _parsed(statement: Any, text: str) -> Any:
    """PL/pgSQL's own tree of a body, or None.

    Its parser has no catalogue, and stumbles over types that are not PostgreSQL's own: they are taken to be others.
    """
    tag = next(tag for number in itertools.count() if (tag := f"$slipway{number}$") not in text)
    for head, body in itertools.product(_heads(statement), (text, _plain_types(text))):
        with contextlib.suppress(pglast.parser.ParseError, json.JSONDecodeError):
            return pglast.parse_plpgsql(f"{head} {tag}{body}{tag}")
    return None


def _heads(statement: Any) -> Iterator[str]:
    """What may stand before the body in place of what does."""
    if is_a(statement, node.DoStmt):
        yield "DO"
        return
    named = [each for each in statement.parameters or () if each.name]
    arguments = ", ".join(f"{_quoted(each.name)} record" for each in named)
    if statement.is_procedure:
        yield f"CREATE PROCEDURE slipway({arguments}) LANGUAGE plpgsql AS"
        return
    type_ = getattr(statement.returnType, "names", None)
    known = type_[-1].sval if type_ and type_[-1].sval in ("trigger", "event_trigger", "void") else "record"
    for returns in (known, "void", "SETOF record"):
        yield f"CREATE FUNCTION slipway({arguments}) RETURNS {returns} LANGUAGE plpgsql AS"
    columns = ", ".join(f"{_quoted(each.name)} text" for each in named if each.mode.name not in _INPUTS)
    arguments = ", ".join(f"{_quoted(each.name)} record" for each in named if each.mode.name in _INPUTS)
    if columns:
        yield f"CREATE FUNCTION slipway({arguments}) RETURNS TABLE ({columns}) LANGUAGE plpgsql AS"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _plain_types(body: str) -> str:
    """A body in whose declarations a type with a schema is ``record``."""
    try:
        tokens = [token for token in pglast.scan(body) if not token.name.endswith("_COMMENT")]
    except pglast.parser.ParseError:
        return body
    raw, parts, at, declaring, after = body.encode(), list[bytes](), 0, False, 0
    for number, token in enumerate(tokens):
        if token.name in ("DECLARE", "BEGIN_P"):
            declaring, after = token.name == "DECLARE", 0
            continue
        after = 0 if token.name == "ASCII_59" else after + (raw[token.start : token.end + 1].lower() != b"constant")
        if declaring and after == 2 and number + 2 < len(tokens) and tokens[number + 1].name == "ASCII_46":
            last = number
            while last + 2 < len(tokens) and tokens[last + 1].name in ("ASCII_46", "ASCII_37"):
                last += 2
            parts += [raw[at : token.start], b"record"]
            at = tokens[last].end + 1
    return b"".join([*parts, raw[at:]]).decode()


class _Plpgsql:
    """The code of one function, as PL/pgSQL's parser gives it."""

    def __init__(self, tree: Any) -> None:
        self._nodes = list(_objects(tree))
        self._values: dict[str, list[Any]] = {}
        for kind, fields in self._nodes:
            if kind == "PLpgSQL_stmt_assign":
                name, value = _assignment(fields["expr"]["PLpgSQL_expr"]["query"])
                self._values.setdefault(name, []).append(value)
            if kind == "PLpgSQL_var" and "default_val" in fields:
                query = fields["default_val"]["PLpgSQL_expr"]["query"]
                self._values.setdefault(fields["refname"].lower(), []).append(_expression(query))
            if kind == "PLpgSQL_expr":
                for each in walk(_tree(fields)):
                    if is_a(each, node.ResTarget) and each.name:
                        self._values.setdefault(each.name, []).append(each.val)

    def statements(self) -> Iterator[Any]:
        dynamic = []
        for kind, fields in self._nodes:
            query = fields.get("dynquery") or (
                fields.get("query") if kind in ("PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors") else None
            )
            if query:
                dynamic.append(query["PLpgSQL_expr"]["query"])
            if kind == "PLpgSQL_expr":
                yield _tree(fields)
        for query in dynamic:
            expression = _expression(query)
            for text in self._texts(expression) if expression else [HOLE]:
                yield from _put_together(text)

    def _texts(self, expression: Any, within: tuple[Any, ...] = ()) -> list[str]:
        """What an expression, ``within`` those that lead to it, may give, with holes."""
        found = [HOLE]
        while is_a(expression, node.TypeCast, node.CollateClause):
            expression = expression.arg
        within = (*within, expression)
        if is_a(expression, node.A_Const):
            found = [expression.val.sval] if is_a(expression.val, node.String) else ["1"]
        elif is_a(expression, node.A_Expr) and expression.name[-1].sval == "||":
            found = self._joined([expression.lexpr, expression.rexpr], within)
        elif is_a(expression, node.FuncCall):
            name = expression.funcname[-1].sval
            if name == "format" and expression.args:
                found = self._formatted(expression.args, within)
            elif name == "concat":
                found = self._joined(expression.args or (), within)
            elif name in ("quote_ident", "quote_literal", "quote_nullable") and expression.args:
                pattern = node.String("%I" if name == "quote_ident" else "%L")
                found = self._formatted((node.A_Const(val=pattern, isnull=False), *expression.args), within)
        elif is_a(expression, node.CaseExpr):
            results = [*(each.result for each in expression.args or ()), expression.defresult]
            found = [text for each in results if each for text in self._texts(each, within)]
        elif is_a(expression, node.CoalesceExpr):
            found = [text for each in expression.args for text in self._texts(each, within)]
        elif is_a(expression, node.ColumnRef) and is_a(expression.fields[-1], node.String):
            values = self._values.get(expression.fields[-1].sval, [])
            values = [value for value in values if not any(value is each for each in within)]
            if values and None not in values:
                found = [text for value in values for text in self._texts(value, within)]
        return found[:_MOST]

    def _joined(self, parts: Any, within: tuple[Any, ...]) -> list[str]:
        choices = [self._texts(part, within) for part in parts]
        return ["".join(each) for each in itertools.islice(itertools.product(*choices), _MOST)]

    def _formatted(self, arguments: Any, within: tuple[Any, ...]) -> list[str]:
        result = []
        for pattern, *values in itertools.islice(
            itertools.product(*(self._texts(each, within) for each in arguments)), _MOST
        ):
            following = itertools.count()

            def put(match: re.Match[str], values: Any = values, following: Any = following) -> str:
                if match["percent"]:
                    return "%"
                at = int(match["position"]) - 1 if match["position"] else next(following)
                value: str = values[at] if at < len(values) else HOLE
                if match["type"] == "L":
                    return "'" + value.replace("'", "''") + "'"
                return value if match["type"] == "s" or HOLE in value else _quoted(value)

            result.append(_FORMAT.sub(put, pattern))
        return result


def _objects(tree: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of PL/pgSQL's tree, by its kind."""
    if isinstance(tree, list):
        for each in tree:
            yield from _objects(each)
    elif isinstance(tree, dict):
        for kind, fields in tree.items():
            if isinstance(fields, dict):
                yield kind, fields
            yield from _objects(fields)


def _assignment(query: str) -> tuple[str, Any]:
    """What an assignment is to, without what it is a part of, and its expression."""
    equals = next(token for token in pglast.scan(query) if token.name in ("COLON_EQUALS", "ASCII_61"))
    raw = query.encode()
    return raw[: equals.start].decode().strip().split(".")[-1].lower(), _expression(raw[equals.end + 1 :].decode())


def _tree(expression: dict[str, Any]) -> Any:
    """The tree of a statement, an expression (parseMode 2) or an assignment (3 to 5) of PL/pgSQL's."""
    mode, query = expression.get("parseMode", 0), expression["query"]
    if mode > 2:
        return _assignment(query)[1]
    if mode == 2:
        return _expression(query)
    with contextlib.suppress(pglast.parser.ParseError):
        return pglast.parse_sql(query)[0].stmt
    return None


def _expression(query: str) -> Any:
    with contextlib.suppress(pglast.parser.ParseError):
        select: Any = pglast.parse_sql(f"SELECT {query}")[0].stmt
        targets: Any = select.targetList or ()
        return targets[0].val if len(targets) == 1 and not select.fromClause else select
    return None


def _put_together(text: str) -> Iterator[Any]:
    """The trees of a text with holes; where it is no SQL, what its calls and first words tell, or None."""
    try:
        yield from (each.stmt for each in pglast.parse_sql(text))
    except pglast.parser.ParseError:
        yield from _called(text)
        for first, second, *_ in ([*words, "", ""] for words in _split(text)):
            known = second.isalpha() and second not in _SHARED
            if not (first in _OF_ROWS or (first in ("create", "alter", "drop") and known)):
                yield None


def _called(text: str) -> Iterator[Any]:
    """A call of each function that a text calls, though the text can't be parsed."""
    for words in _split(text):
        for name, following in itertools.pairwise(words):
            if following == "(" and name.isidentifier():
                with contextlib.suppress(pglast.parser.ParseError):
                    yield pglast.parse_sql(f"SELECT {name}()")[0].stmt


def _split(text: str) -> list[list[str]]:
    """The words of each statement of a text, in lower-case letters."""
    try:
        tokens = pglast.scan(text)
    except pglast.parser.ParseError:
        return [[]]
    raw, found = text.encode(), list[list[str]]([[]])
    for token in tokens:
        if token.name == "ASCII_59":
            found.append([])
        elif not token.name.endswith("_COMMENT"):
            found[-1].append(raw[token.start : token.end + 1].decode().lower())
    return [words for words in found if words] or [[]]
