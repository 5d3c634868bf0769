"""Conditions: what they mean, and that they are no way into Python."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.flow.document.expression import ExpressionError, check, evaluate, lookup

pytestmark = pytest.mark.unit

VARIABLES: dict[str, Any] = {
    "answer": "1",
    "tries": 2,
    "vip": True,
    "customer": {"name": "Alex", "age": 40},
    "empty": "",
    "huge": 10**400,
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('answer == "1"', True),
        ("answer == 1", True),
        ('answer != "2"', True),
        ("tries < 3 and tries >= 2", True),
        ("tries > 3 or vip", True),
        ("not vip", False),
        ("vip == true", True),
        ("vip == 1", False),
        ('answer in ["1", "2"]', True),
        ("answer not in [3, 4]", True),
        ('customer.name == "Alex"', True),
        ("customer.age > 39", True),
        ("customer.shoe == null", True),
        ("nobody.at.all == null", True),
        ("nothing > 1", False),
        ("tries > -1", True),
        ("1 < tries < 3", True),
        ("empty", False),
        ("'le' in customer.name", True),
        ("'name' in customer", True),
        ("'shoe' in customer", False),
        ("1 in customer", False),
        ("1 in tries", False),
        ("nothing in answer", False),
        ("nothing == null", True),
        ("huge > 1", True),
        ("huge == huge", True),
        ("null or false", False),
    ],
)
def test_conditions(text: str, expected: bool) -> None:
    check(text)
    assert evaluate(text, VARIABLES) is expected


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "answer.__class__()",
        "(lambda: 1)()",
        "[x for x in y]",
        "answer + 1",
        "a if b else c",
        "f'{answer}'",
        "x := 1",
        "answer is None",
        "customer['name']",
        "",
        "1 +",
        "x" * 501,
        "(" * 400,
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        check(text)


def test_the_names_that_are_read() -> None:
    assert check("a == 1 and not b.c in [d]") == {"a", "b", "d"}
    assert check("a == true or a == null or a == false") == {"a"}


def test_dunder_names_reach_only_mappings() -> None:
    assert evaluate("customer.__class__ == null", VARIABLES)
    assert lookup("customer.name.upper", VARIABLES) is None


@given(st.text(max_size=80), st.dictionaries(st.sampled_from("abc"), st.integers() | st.text(max_size=5) | st.none()))
def test_a_checked_condition_always_has_a_value(text: str, variables: dict[str, Any]) -> None:
    try:
        check(text)
    except ExpressionError:
        return
    assert evaluate(text, variables) in (True, False)
