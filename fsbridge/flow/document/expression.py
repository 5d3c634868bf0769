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
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fsbridge.flow.document.work import ANY, Work

MAX_LENGTH = 500
MAX_NUMBER = 40
"""Characters of a text that may hold a number."""
_WHOLES = 200
"""What it costs to compare two lists or mappings: however large they are, they were received, which takes longer."""
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


def evaluate(text: str, variables: Mapping[str, Any], work: Work = ANY) -> bool:
    """Whether the condition holds. Total for a checked text: values that do not compare are unequal, unordered.

    Raises OutOfWork.
    """
    return bool(_Reading(variables, work).value(_parse(text)))


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


@dataclass(frozen=True, slots=True)
class _Reading:
    """A condition read with the variables of a run."""

    variables: Mapping[str, Any]
    work: Work

    def value(self, node: ast.expr) -> Any:
        match node:
            case ast.Compare(left=left, ops=ops, comparators=others):
                return self.compare(left, ops, others)
            case ast.Constant(value=value):
                return value
            case ast.BoolOp(op=ast.And(), values=values):
                return all(bool(self.value(value)) for value in values)
            case ast.BoolOp(values=values):
                return any(bool(self.value(value)) for value in values)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not self.value(operand)
            case ast.UnaryOp(operand=operand):
                return -self.value(operand)
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return [self.value(item) for item in items]
            case ast.Name(id=name) if name in _WORDS:
                return _WORDS[name]
            case _:
                self.work.spend(1)
                return lookup(_path(node), self.variables)

    def compare(self, left: ast.expr, ops: list[ast.cmpop], others: list[ast.expr]) -> bool:
        one = self.value(left)
        for op, other in zip(ops, others, strict=True):
            two = self.value(other)
            if not self.holds(op, one, two):
                return False
            one = two
        return True

    def holds(self, op: ast.cmpop, one: Any, two: Any) -> bool:
        self.work.spend(1)
        if isinstance(op, (ast.In, ast.NotIn)):
            return self.within(one, two) == isinstance(op, ast.In)
        if isinstance(op, (ast.Eq, ast.NotEq)):
            return self.equal(one, two) == isinstance(op, ast.Eq)
        one, two = _alike(one, two)
        self.work.spend(_WHOLES if isinstance(one, (list, tuple)) else 0)
        try:
            return bool(_ORDER[type(op)](one, two))
        except TypeError:
            return False

    def within(self, one: Any, two: Any) -> bool:
        """An item of a list, a key of a mapping, a part of a text; nothing is in anything else."""
        if isinstance(two, (list, tuple)):
            self.work.spend(len(two))
            return any(self.equal(one, item) for item in two)
        if isinstance(two, Mapping):
            return isinstance(one, str) and one in two
        if not isinstance(two, str) or one is None:
            return False
        self.work.spend(len(two) // 1_000)
        return str(one) in two

    def equal(self, one: Any, two: Any) -> bool:
        if type(one) is not type(two):
            one, two = _alike(one, two)
        elif isinstance(one, (list, tuple, Mapping)):
            self.work.spend(_WHOLES)
        return type(one) is type(two) and bool(one == two)


def _alike(one: Any, two: Any) -> tuple[Any, Any]:
    """Numbers and texts that hold numbers on one footing; booleans are not numbers."""
    if isinstance(one, str) and isinstance(two, str):
        return one, two
    number_one, number_two = _number(one), _number(two)
    if number_one is not None and number_two is not None:
        return number_one, number_two
    return one, two


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, str) and len(value) > MAX_NUMBER:
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
