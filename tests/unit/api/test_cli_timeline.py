"""A timeline on a terminal, whatever stands in it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from api.cli.timeline import show, table

pytestmark = pytest.mark.unit

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=6,
)
names = st.sampled_from(["at", "event", "step", "kind", "outcome", "status"]) | st.text(max_size=8)


def printed(events: list[dict[str, Any]]) -> str:
    console = Console(file=io.StringIO(), width=100, force_terminal=False)
    console.print(table(events))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@given(st.lists(st.dictionaries(names, json_values, max_size=6), max_size=6))
def test_anything_is_printed_and_steers_nothing(events: list[dict[str, Any]]) -> None:
    text = printed(events)
    assert all(char.isprintable() or char == "\n" for char in text)


def test_a_time_that_is_none_is_a_question_mark() -> None:
    for at in ("soon", "2026-01-01T00:00:01.000", None):
        events = [{"at": "2026-01-01T00:00:00.000Z", "event": "placed"}, {"at": at, "event": "answered"}]
        assert printed(events).splitlines()[-1].split() == ["?", "answered"]


def test_nothing_is_read_as_markup() -> None:
    assert "[/x][bold]" in printed([{"at": "[/x][bold]", "event": "[/]"}])


def test_for_a_file_each_event_is_a_line_however_long_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    at = "2026-01-01T00:00:00.000Z"
    show([{"at": at, "event": "placed"}, {"at": at, "event": "heard", "what": "x" * 300, "more": "a\tb\nc\x1b"}])
    first, second, *rest = capsys.readouterr().out.split("\n")
    assert (first, rest) == ("0.000\tplaced", [""])
    assert second.split("\t")[:2] == ["0.000", "heard"]
    assert "x" * 300 in second
    assert second.replace("\t", "").isprintable()


def test_a_long_detail_is_cut() -> None:
    text = printed([{"at": "2026-01-01T00:00:00.000Z", "event": "heard", "what": "x" * 5_000}])
    assert len(text) < 1_500
    assert "…" in text
