"""What others have written is printed so that it steers no terminal, and JSON so that it stays what it was."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cli.printing import indented_json, plain
from tests.unit.api.test_metadata import objects

pytestmark = pytest.mark.unit


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_is_one_visible_line(text: str) -> None:
    assert plain(text).isprintable()
    assert plain(text) == text or not text.isprintable()


def test_escapes_are_shown() -> None:
    assert plain("a\x1b[31mb\n\u202ec\x9b") == "a\\x1b[31mb\\n\\u202ec\\x9b"


@given(objects)
def test_json_says_the_same_in_lines_and_spells_its_numbers_as_they_were(text: str) -> None:
    shown = indented_json(text)
    assert json.loads(shown, parse_int=str, parse_float=str) == json.loads(text, parse_int=str, parse_float=str)
    assert all(line.isprintable() for line in shown.split("\n"))


def test_json_looks_as_one_expects() -> None:
    text = '{"a":[1.10,1e22,{}],"b":{"c":"x, {y}: [z]\\"\u009b","d":[]}}'
    assert indented_json(text) == (
        '{\n  "a": [\n    1.10,\n    1e22,\n    {}\n  ],\n'
        '  "b": {\n    "c": "x, {y}: [z]\\"\\u009b",\n    "d": []\n  }\n}'
    )
    assert re.fullmatch(r'"\\ud83d\\ude00|"😀"', indented_json('"😀"'))
