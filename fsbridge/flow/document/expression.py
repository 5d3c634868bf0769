"""Conditions over a flow's variables: ``answer == "1" and attempts < 3``. Pure, and no `eval`.

Python's own parser reads the text; only these of its nodes are interpreted: names, dotted names (keys of a
mapping, never attributes), literals, lists of literals, comparisons, `in`, `and`, `or`, `not`. Everything else is
refused when the document is checked. An undefined name is null. Text that holds a number compares as a number with
a number, because digits that a person presses arrive as text.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

MAX_LENGTH = 500
_WORDS = {"true": True, "false": False, "null": None}

_ORDER: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


class ExpressionError(ValueError):
    """The text is no condition; the message says where and why."""


def check(text: str) -> set[str]:
    """The names that a condition reads. Raises ExpressionError."""
    names: set[str] = set()
    _walk(_parse(text), names)
    return names


def evaluate(text: str, variables: Mapping[str, Any]) -> bool:
    """Whether the condition holds. Total for a checked text: values that do not compare are unequal, unordered."""
    return bool(_value(_parse(text), variables))


def lookup(path: str, variables: Mapping[str, Any]) -> Any:
    """A variable by its dotted path; None where any part of it is missing."""
    value: Any = variables
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


@lru_cache(maxsize=1_024)
def _parse(text: str) -> ast.expr:
    """Kept, because a flow asks the same again and again and parsing costs ten times what answering does."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"longer than {MAX_LENGTH} characters")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError(f'{text!r} is no condition; write for example: answer == "1" and tries < 3') from error


def _walk(node: ast.expr, names: set[str]) -> None:
    match node:
        case ast.BoolOp(values=values) | ast.List(elts=values) | ast.Tuple(elts=values):
            for value in values:
                _walk(value, names)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            _walk(operand, names)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float())):
            pass
        case ast.Compare(left=left, ops=ops, comparators=others):
            for op in ops:
                if type(op) not in _ORDER and not isinstance(op, (ast.Eq, ast.NotEq, ast.In, ast.NotIn)):
                    raise ExpressionError("only ==, !=, <, <=, >, >=, in and not in compare")
            for value in (left, *others):
                _walk(value, names)
        case ast.Constant(value=str() | int() | float() | bool() | None):
            pass
        case ast.Name(id=name) if name in _WORDS:
            pass
        case ast.Name() | ast.Attribute():
            names.add(_path(node).split(".")[0])
        case _:
            raise ExpressionError(f"{ast.unparse(node)[:60]!r} is not allowed in a condition")


def _path(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=inner, attr=name):
            return f"{_path(inner)}.{name}"
        case _:
            raise ExpressionError(f"{ast.unparse(node)[:60]!r} is not allowed in a condition")


def _value(node: ast.expr, variables: Mapping[str, Any]) -> Any:
    match node:
        case ast.BoolOp(op=ast.And(), values=values):
            return all(bool(_value(value, variables)) for value in values)
        case ast.BoolOp(values=values):
            return any(bool(_value(value, variables)) for value in values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, variables)
        case ast.UnaryOp(operand=operand):
            return -_value(operand, variables)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item, variables) for item in items]
        case ast.Constant(value=value):
            return value
        case ast.Compare(left=left, ops=ops, comparators=others):
            return _compare(left, ops, others, variables)
        case ast.Name(id=name) if name in _WORDS:
            return _WORDS[name]
        case _:
            return lookup(_path(node), variables)


def _compare(left: ast.expr, ops: list[ast.cmpop], others: list[ast.expr], variables: Mapping[str, Any]) -> bool:
    one = _value(left, variables)
    for op, other in zip(ops, others, strict=True):
        two = _value(other, variables)
        if not _holds(op, one, two):
            return False
        one = two
    return True


def _holds(op: ast.cmpop, one: Any, two: Any) -> bool:
    if isinstance(op, (ast.In, ast.NotIn)):
        return _within(one, two) == isinstance(op, ast.In)
    if isinstance(op, (ast.Eq, ast.NotEq)):
        return _equal(one, two) == isinstance(op, ast.Eq)
    one, two = _alike(one, two)
    try:
        return bool(_ORDER[type(op)](one, two))
    except TypeError:
        return False


def _within(one: Any, two: Any) -> bool:
    """An item of a list, a key of a mapping, a part of a text; nothing is in anything else."""
    if isinstance(two, (list, tuple)):
        return any(_equal(one, item) for item in two)
    if isinstance(two, Mapping):
        return isinstance(one, str) and one in two
    return isinstance(two, str) and one is not None and str(one) in two


def _equal(one: Any, two: Any) -> bool:
    one, two = _alike(one, two)
    return type(one) is type(two) and bool(one == two)


def _alike(one: Any, two: Any) -> tuple[Any, Any]:
    """Numbers and texts that hold numbers on one footing; booleans are not numbers."""
    number_one, number_two = _number(one), _number(two)
    if number_one is not None and number_two is not None and not (isinstance(one, str) and isinstance(two, str)):
        return number_one, number_two
    return one, two


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
