"""What a worker says that this version does not know takes nothing from what it knows."""

from __future__ import annotations

import json

import pytest

from fsbridge.call.lifecycle import inputs as i
from fsbridge.call.lifecycle.translate import to_inputs
from fsbridge.esl.events import Event

pytestmark = pytest.mark.unit


def told(body: dict[str, object]) -> list[i.Input | i.Strange]:
    """What a tap's event with this body is to the lifecycle."""
    event = Event("CUSTOM", "mod_audio_fork::transcription", {}, json.dumps(body))
    return list(to_inputs(event))


def test_an_event_of_an_unknown_kind_is_only_counted() -> None:
    assert told({"event": "laughter", "atMs": 1_200, "text": "ha"}) == [i.Strange()]


def test_what_is_heard_is_nothing_strange() -> None:
    assert told({"event": "heard", "what": "speech", "atMs": 1_200}) == []


def test_a_verdict_keeps_what_is_known_of_it() -> None:
    body = {"event": "verdict", "atMs": 900, "result": "live_person", "confidence": 0.9, "reason": "a_smile", "x": 1}
    (heard,) = told(body)
    assert isinstance(heard, i.AmdHeard)
    assert (heard.event.result, heard.event.reason) == ("live_person", None)


def test_what_is_misused_is_a_fault() -> None:
    (failed,) = told({"event": "verdict", "atMs": "soon"})
    assert isinstance(failed, i.TapFailed)
