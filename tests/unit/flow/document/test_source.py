"""YAML text into values: what a value is, where it stands, and what is refused before it grows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fsbridge.flow.document.source import MAX_DEPTH, MAX_NODES, SourceError, read

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-3", -3),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("on", "on"),
        ("yes", "yes"),
        ("0123", "0123"),
        ("12:30", "12:30"),
        ("2026-11-23", "2026-11-23"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("+4930123456", "+4930123456"),
        (".inf", ".inf"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("99999999999999999999", "99999999999999999999"),
    ],
)
def test_a_value_is_what_it_looks_like(text: str, value: Any) -> None:
    found = read(f"x: {text}").value["x"]
    assert (type(found), found) == (type(value), value)


def test_lines_and_the_nearest_known_place() -> None:
    source = read("a: 1\nb:\n  - x: 1\n    y: 2\n")
    assert source.value == {"a": 1, "b": [{"x": 1, "y": 2}]}
    assert source.line(("b", 0, "y")) == 4
    assert source.line(("b", 0, "z", 5)) == 3
    assert source.known(("b", 7)) == ("b",)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\na: 2", 2, "the key 'a' stands twice"),
        ("a: &x [1]\nb: *x", 2, "aliases"),
        ("a: 1\nb: !x 2", 2, "tags ('!x')"),
        ("a: {{ name }} hi", 1, "what begins with {{ is quoted"),
        ("a: 1\nb: c: d", 2, 'put a text that has ": " in it in quotes'),
        ("a: 1\n\tb: 2", 2, "indent with spaces"),
        ("a: 1\n---\nb: 2", 2, "a second document"),
        ("a: 1\nb: \x01", 2, "not YAML"),
        ("a: 1\nb: \ud800", 2, "half a pair"),
        ("[" * 13, 1, "nested deeper than 12 levels"),
        ("a:\n" + "- 1\n" * MAX_NODES, MAX_NODES - 1, "more than 40000 values"),
        ("? [a]\n: 1", 1, "a key is a word"),
    ],
)
def test_what_is_refused_has_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(SourceError) as caught:
        read(text)
    assert [at for at, _ in caught.value.faults] == [line]
    assert words in str(caught.value)


def test_every_key_that_stands_twice_is_told() -> None:
    with pytest.raises(SourceError) as caught:
        read("a: 1\na: 2\nb: {c: 1, c: 2}")
    assert [line for line, _ in caught.value.faults] == [2, 3]


characters = st.characters(exclude_categories=("Cc", "Cs", "Cn", "Zl", "Zp"), exclude_characters="\ufeff")
texts = st.text(characters)
numbers = st.integers(-(10**17), 10**17) | st.floats(-1e9, 1e9).map(lambda value: round(value, 6))
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    # A key of YAML has at most 1,024 characters (YAML 1.2, section 7.4.2); escaped, one may take twelve.
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(characters, max_size=80), inner, max_size=4),
    max_leaves=12,
)


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


@given(values, st.booleans())
def test_json_is_read_as_json(value: Any, ascii_only: bool) -> None:
    assume(depth(value) <= MAX_DEPTH)
    assert read(json.dumps(value, ensure_ascii=ascii_only)).value == value
