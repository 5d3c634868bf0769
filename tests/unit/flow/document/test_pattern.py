"""Patterns of documents: what is taken, what is refused in which words, and that none can be made expensive."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.flow.document import pattern

pytestmark = pytest.mark.unit


# --- words: RE2 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said", "found"),
    [
        ("press (one|two)", "please press one for sales", True),
        ("(?i)YES|yeah", "Yes, thank you", True),
        ("^balance is \\d+", "your balance is 12", False),
        ("^\\pL+$", "äöüß", True),
        ("caf.", "un café", True),
        ("a?" * 40 + "a{20}", "a" * 20, True),
        ("(a+)+$", "a" * 999 + "b", False),
        ("x", "half a pair: \ud800x", True),
    ],
)
def test_words_are_found(text: str, said: str, found: bool) -> None:
    pattern.check_words(text)
    assert pattern.in_words(text, said) is found


def test_forty_optional_parts_in_a_long_text_cost_no_more_than_a_few() -> None:
    # A backtracking engine would try 2 to the 40 ways: this would never come back.
    text = "(?:uh )?" * 40 + "goodbye"
    pattern.check_words(text)
    assert not pattern.in_words(text, "uh " * 330)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[12", "missing ]"),
        ("(a", "missing )"),
        ("*", "no argument"),
        ("(a)\\1", "invalid escape"),
        ("(?=a)", "invalid perl operator"),
        ("a{1001}", "invalid repetition"),
        ("(a{0,30}){0,30}", "too large"),
        ("(\\pL{0,50}){0,19}", "too large"),
        ("\\pL\\PL", "too large"),
    ],
)
def test_words_that_are_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=r"is (no|too large a) regular expression") as refused:
        pattern.check_words(text)
    assert why in str(refused.value)


# --- digits: PCRE on the node ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["[12]", "[0-9]", "\\d+", "1|2|[*]", "^1?2?3?", "(12|3)4", "[^5-9#*-]+", "(1|)2", "#", "\\d*[*]\\d*#?", "(12)+"],
)
def test_patterns_of_digits_are_taken(text: str) -> None:
    pattern.check_digits(text)
    re.compile(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[12", "a class that does not end"),
        ("[]", "an empty class"),
        ("[5-1]", "a range that is none"),
        ("[*-1]", "a range that is none"),
        ("[?]", "a class that does not end, or has more"),
        ("(1", "a ( without its )"),
        ("1)", "a ) without its ("),
        ("+1", "'+', which is not expected, at character 1"),
        ("1**", "two repetitions in a row"),
        ("1+?", "two repetitions in a row"),
        ("(1?)*", "a repetition of what may be nothing"),
        ("(?1)", "(?, which is more than a group"),
        ("((?-1)|1)", "(?, which is more than a group"),
        ("(1)\\1", "a \\ that is no \\d"),
        ("-", "'-', which is not expected"),
    ],
)
def test_patterns_of_digits_that_are_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match="is no pattern of digits") as refused:
        pattern.check_digits(text)
    assert why in str(refused.value)


@pytest.mark.parametrize("text", ["(\\d+)+", "\\d*" * 5, "1?" * 30, "(1|2)+", "(\\d+\\d+)+#", "((1|1)(1|1))+"])
def test_patterns_that_would_cost_the_node_too_much_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="in too many ways"):
        pattern.check_digits(text)


_PARTS = st.sampled_from(["1", "2", "#", "\\d", "[12]", "[^1]", "[*#]", "^"])
_PATTERNS = st.recursive(
    _PARTS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"({two[0]}|{two[1]})"),
        st.tuples(inner, st.sampled_from("?*+")).map(lambda two: f"({two[0]}){two[1]}"),
    ),
    max_leaves=8,
)


@given(_PATTERNS, st.text("12#", max_size=8))
def test_no_way_is_forgotten_in_the_count(text: str, digits: str) -> None:
    try:
        counted = pattern.ways(text)
    except ValueError:
        return
    assert _tried(text, digits) <= counted


def _tried(text: str, digits: str) -> int:
    """How often an engine that goes back reaches the pattern's end, when the end is never the right one."""
    ends = 0

    def reached(_: int) -> None:
        nonlocal ends
        ends += 1

    _run(list(re._parser.parse(text)), 0, digits, 0, reached)  # type: ignore[attr-defined]
    return ends


def _run(parts: list[Any], number: int, digits: str, at: int, then: Callable[[int], None]) -> None:
    if number == len(parts):
        then(at)
        return
    what, value = parts[number]

    def on(place: int) -> None:
        _run(parts, number + 1, digits, place, then)

    match str(what):
        case "LITERAL" | "NOT_LITERAL" | "IN":
            if at < len(digits) and _fits(str(what), value, digits[at]):
                on(at + 1)
        case "AT":
            if at == 0:
                on(at)
        case "SUBPATTERN":
            _run(list(value[3]), 0, digits, at, on)
        case "BRANCH":
            for each in value[1]:
                _run(list(each), 0, digits, at, on)
        case "MAX_REPEAT":
            _repeat(value, 0, digits, at, on)
        case other:
            raise AssertionError(other)


def _repeat(value: Any, rounds: int, digits: str, at: int, on: Callable[[int], None]) -> None:
    least, most, body = value
    if rounds < min(int(most), pattern.MAX_DIGITS):
        _run(list(body), 0, digits, at, lambda place: _repeat(value, rounds + 1, digits, place, on))
    if rounds >= least:
        on(at)


def _fits(what: str, value: Any, digit: str) -> bool:
    if what == "LITERAL":
        return ord(digit) == value
    if what == "NOT_LITERAL":
        return ord(digit) != value
    negated = str(value[0][0]) == "NEGATE"
    found = any(_member(str(kind), each, digit) for kind, each in value if str(kind) != "NEGATE")
    return found is not negated


def _member(kind: str, value: Any, digit: str) -> bool:
    match kind:
        case "LITERAL":
            return ord(digit) == value
        case "RANGE":
            return bool(value[0] <= ord(digit) <= value[1])
        case _:
            return digit.isdigit()  # \d
