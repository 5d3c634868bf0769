"""A call's timeline: what it says, and that nothing makes it large or unreadable."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.call.lifecycle.timeline import MAX_BYTES, MAX_ENTRY_BYTES, MAX_EVENTS, OMITTED, Timeline, TimelineEvent
from fsbridge.model.notice import Notice
from tests.unit.store.strategies import json_values, texts

pytestmark = pytest.mark.unit

moments = st.floats(0, 4e9)


def test_an_entry_has_its_time_its_word_and_its_details() -> None:
    timeline = Timeline()
    timeline.add("answered", 1_767_225_600.25)
    timeline.add("stepEnded", 1_767_225_601.0, step="ask", kind="gather", outcome="done", duration_ms=750, note=None)
    assert timeline.events() == [
        {"at": "2026-01-01T00:00:00.250Z", "event": "answered"},
        {
            "at": "2026-01-01T00:00:01.000Z",
            "event": "stepEnded",
            "step": "ask",
            "kind": "gather",
            "outcome": "done",
            "durationMs": 750,
        },
    ]


def test_time_and_word_come_first_and_no_detail_takes_their_place() -> None:
    entry = TimelineEvent(0.0, "heard", {"what": "beep", "event": "forged", "at": "never"}).to_json()
    assert list(json.loads(entry).items())[:2] == [("at", "1970-01-01T00:00:00.000Z"), ("event", "heard")]
    assert "forged" not in entry
    assert "never" not in entry


def test_what_is_added_does_not_change_afterwards() -> None:
    timeline, data = Timeline(), {"a": [1]}
    timeline.add("heard", 0.0, data=data)
    data["a"].append(2)
    assert timeline.events()[0]["data"] == {"a": [1]}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), None),
        (float("-inf"), None),
        (2**60, hex(2**60)),
        (-(2**52), -(2**52)),
        (True, True),
        ("\ud800x", "?x"),
        ("y" * 600, "y" * 499 + "…"),
        (Notice.FAILED, "call.failed"),
        ((1, "a"), [1, "a"]),
        ({1: {"b": None}}, {"1": {"b": None}}),
        (b"raw", "b'raw'"),
        ([[[[[1]]]]], [[[["[1]"]]]]),
        (list(range(80)), list(range(50))),
    ],
)
def test_values_are_made_harmless(value: Any, shown: Any) -> None:
    timeline = Timeline()
    timeline.add("heard", 0.0, value=value)
    assert timeline.events()[0]["value"] == shown


def test_an_entry_that_is_too_large_says_so() -> None:
    timeline = Timeline()
    timeline.add("heard", 0.0, bands=["x" * 400] * 50)
    assert timeline.events() == [{"at": "1970-01-01T00:00:00.000Z", "event": "heard", "cut": True}]


def test_a_long_call_keeps_its_beginning_and_its_end() -> None:
    timeline = Timeline()
    for number in range(2_000):
        timeline.add("stepStarted", float(number), number=number)
    events = timeline.events()
    assert len(events) == len(timeline) == MAX_EVENTS
    (place,) = (place for place, event in enumerate(events) if event["event"] == OMITTED)
    left = [event["number"] for event in events if event["event"] != OMITTED]
    assert left == [*range(place), *range(2_000 - (MAX_EVENTS - place - 1), 2_000)]
    assert events[place]["events"] == 2_000 - len(left)
    assert events[place - 1]["at"] <= events[place]["at"] <= events[place + 1]["at"]


entries = st.tuples(texts, moments, st.dictionaries(texts, json_values | texts.map(lambda t: t * 40), max_size=4))


@given(st.lists(entries, max_size=30), st.integers(1, 60))
def test_any_timeline_is_json_within_its_bounds(given_entries: list[Any], times: int) -> None:
    timeline, added = Timeline(), 0
    for event, at, detail in given_entries * times:
        timeline.append(TimelineEvent(at, event, detail))
        added += 1
    text = timeline.to_json()
    assert len(text) <= MAX_BYTES
    assert text.isascii()
    events = json.loads(text)
    assert len(events) == len(timeline) <= MAX_EVENTS
    omitted = sum(event["events"] for event in events if event["event"] == OMITTED and "events" in event)
    if all(event != OMITTED for event, _, _ in given_entries):
        assert len(events) - (omitted > 0) + omitted == added
    if given_entries:
        first, last = given_entries[0], given_entries[-1]
        assert json.loads(TimelineEvent(first[1], first[0], first[2]).to_json()) == events[0]
        assert json.loads(TimelineEvent(last[1], last[0], last[2]).to_json()) == events[-1]


@given(texts.map(lambda text: text * 100), moments, st.dictionaries(texts, json_values))
def test_an_entry_is_bounded(event: str, at: float, detail: dict[str, Any]) -> None:
    assert len(TimelineEvent(at, event, detail).to_json()) <= MAX_ENTRY_BYTES
