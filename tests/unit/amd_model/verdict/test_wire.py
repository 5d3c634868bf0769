"""The wire between a worker and a controller of which one is newer: an unknown word voids nothing that is known."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amd_model.verdict import (
    MAX_KEEP_LISTENING_MS,
    MAX_KEEP_MS,
    MAX_LISTEN_MS,
    AmdEvent,
    AmdOptions,
    Answerer,
    EventKind,
    Heard,
    Mode,
    Reason,
    Sound,
    UnknownWord,
    Verdict,
    WireError,
    decode_event,
    decode_heard,
    decode_options,
    encode_event,
    encode_heard,
    encode_options,
    is_heard,
    salvage_options,
)

pytestmark = pytest.mark.unit

MS = st.integers(0, 3_600_000)
EVENTS = st.builds(
    AmdEvent,
    kind=st.sampled_from(EventKind),
    at_ms=MS,
    result=st.none() | st.sampled_from(Verdict),
    confidence=st.integers(0, 10_000).map(lambda n: n / 10_000),
    reason=st.none() | st.sampled_from(Reason),
    greeting_end_ms=st.none() | MS,
    beep_ms=st.none() | MS,
    frequency_hz=st.none() | st.integers(3_000, 25_000).map(lambda n: n / 10),
    model_version=st.text(max_size=20),
    answerer=st.none() | st.sampled_from(Answerer),
    language=st.none() | st.sampled_from(["en", "pt"]),
    transcript=st.none() | st.text(min_size=1, max_size=80),
)
KNOWN = {*EventKind, *Verdict, *Reason, *Answerer, *Sound, *Mode, "heard"}
STRANGE = st.text(min_size=1, max_size=30).filter(lambda word: word not in KNOWN)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
EVENT_KEYS = (
    "event",
    "atMs",
    "result",
    "confidence",
    "reason",
    "greetingEndMs",
    "beepMs",
    "frequencyHz",
    "answerer",
    "language",
)
HEARD_KEYS = ("what", "atMs", "startMs", "forMs", "frequencyHz", "secondHz", "durationMs", "ended", "hopMs", "data")
OPTIONS = st.builds(
    AmdOptions,
    mode=st.sampled_from(Mode),
    total_timeout_ms=st.integers(500, 59_000),
    initial_silence_ms=st.integers(500, 20_000),
    sensitivity=st.floats(0.1, 10.0),
    listen=st.just(True),
    keep_ms=st.integers(1, MAX_KEEP_LISTENING_MS),
    call_id=st.text("abc-019", max_size=64),
    transcript=st.booleans(),
)


def data(text: str) -> dict[str, Any]:
    """What mod_audio_fork makes an event's body of."""
    body: dict[str, Any] = json.loads(text)["data"]
    return body


def more(body: dict[str, Any], extra: dict[str, Any]) -> str:
    return json.dumps({**{f"x-{name}": value for name, value in extra.items()}, **body})


@given(EVENTS, st.dictionaries(st.text(max_size=8), JSON, max_size=4))
def test_fields_that_are_not_known_are_ignored(event: AmdEvent, extra: dict[str, Any]) -> None:
    assert decode_event(more(data(encode_event(event)), extra)) == event
    heard = Heard(Sound.SPEECH_END, event.at_ms, start_ms=3)
    body = more(data(encode_heard(heard)), extra)
    assert is_heard(body)
    assert decode_heard(body) == heard


@given(EVENTS, STRANGE)
def test_a_reason_that_is_not_known_is_dropped(event: AmdEvent, word: str) -> None:
    body = {**data(encode_event(event)), "reason": word}
    assert decode_event(json.dumps(body)) == replace(event, reason=None)


@given(EVENTS, STRANGE)
def test_an_event_that_is_not_known_is_told_apart_from_a_fault(event: AmdEvent, word: str) -> None:
    with pytest.raises(UnknownWord, match="not known here"):
        decode_event(json.dumps({**data(encode_event(event)), "event": word}))
    with pytest.raises(UnknownWord, match="not known here"):
        decode_event(json.dumps({"event": word}))
    with pytest.raises(UnknownWord, match="not known here"):
        decode_heard(json.dumps({"event": "heard", "what": word}))


@given(EVENTS, STRANGE)
def test_a_result_that_is_not_known_is_unknown(event: AmdEvent, word: str) -> None:
    body = json.dumps({**data(encode_event(event)), "result": word})
    if event.kind is EventKind.CORRECTION:
        with pytest.raises(UnknownWord):
            decode_event(body)
    else:
        verdict = Verdict.UNKNOWN if event.kind is EventKind.VERDICT else None
        assert decode_event(body) == replace(event, result=verdict)


@given(EVENTS, st.sampled_from(EVENT_KEYS), JSON)
def test_whatever_a_field_holds_is_a_value_or_a_wire_error(event: AmdEvent, key: str, value: Any) -> None:
    body = json.dumps({**data(encode_event(event)), key: value})
    try:
        found = decode_event(body)
    except WireError:
        return
    assert 0.0 <= found.confidence <= 1.0
    again = decode_event(json.dumps(data(encode_event(found))))  # what was taken can be told on
    assert again == replace(found, confidence=round(found.confidence, 4))


@given(st.sampled_from(HEARD_KEYS), JSON)
def test_whatever_was_heard_is_a_value_or_a_wire_error(key: str, value: Any) -> None:
    whole = {"event": "heard", "what": "tone", "atMs": 1, "frequencyHz": 1.5, "durationMs": 2, "ended": True}
    body = json.dumps({**whole, key: value})
    assert is_heard(body)
    try:
        found = decode_heard(body)
    except WireError:
        return
    assert decode_heard(json.dumps(data(encode_heard(found)))) == found


@pytest.mark.parametrize("body", ["", "null", "[]", "7", '"verdict"', "{", "[" * 100_000, '{"event":1e999,"atMs":1}'])
def test_what_is_no_event_is_a_wire_error(body: str) -> None:
    for decode in (decode_event, decode_heard):
        with pytest.raises(WireError) as error:
            decode(body)
        assert not isinstance(error.value, UnknownWord)
    assert not is_heard(body)


@pytest.mark.parametrize("value", ["1e400", "-1e400", "NaN", "1e300", "9999999999999", '"x"', "{}"])
def test_times_that_no_call_has_are_a_wire_error(value: str) -> None:
    for body in (f'{{"event":"beep","atMs":{value}}}', f'{{"event":"beep","atMs":1,"beepMs":{value}}}'):
        with pytest.raises(WireError):
            decode_event(body)


# --- options: the controller may be newer ------------------------------------------------------------------------


@given(OPTIONS, st.dictionaries(st.text(max_size=8), JSON, max_size=4))
def test_options_that_are_not_known_are_ignored(options: AmdOptions, extra: dict[str, Any]) -> None:
    body = {f.name: getattr(options, f.name) for f in fields(AmdOptions)}
    text = more(body, extra)
    assert decode_options(text) == options
    assert salvage_options(text) == (options, [])


@given(OPTIONS)
def test_what_is_right_is_salvaged_whole(options: AmdOptions) -> None:
    assert salvage_options(encode_options(options)) == (options, [])


@given(OPTIONS, st.sampled_from(sorted(f.name for f in fields(AmdOptions))), JSON)
def test_one_wrong_option_costs_no_other(options: AmdOptions, name: str, value: Any) -> None:
    body = {f.name: getattr(options, f.name) for f in fields(AmdOptions)}
    body[name] = value
    found, faults = salvage_options(json.dumps(body))
    for field in fields(AmdOptions):
        if field.name != name and (field.name, name) != ("keep_ms", "listen"):  # who does not listen keeps less
            assert getattr(found, field.name) == getattr(options, field.name)
    assert len(faults) <= (2 if name == "listen" else 1)
    assert all(fault.startswith("AMD option ") for fault in faults)


@pytest.mark.parametrize(
    ("name", "value", "used"),
    [
        ("total_timeout_ms", 120_000, 59_000),
        ("total_timeout_ms", 1, 500),
        ("sensitivity", 1e9, 10.0),
        ("sensitivity", 0, 0.1),
        ("listen_max_ms", 10**9, MAX_LISTEN_MS),
        ("keep_ms", 10**9, MAX_KEEP_MS),
        ("keep_ms", 1_000.5, 1_000),
        ("total_timeout_ms", float("nan"), AmdOptions().total_timeout_ms),
        ("total_timeout_ms", float("inf"), 59_000),
        ("total_timeout_ms", "soon", AmdOptions().total_timeout_ms),
        ("total_timeout_ms", True, AmdOptions().total_timeout_ms),
        ("mode", "words", Mode.FAST),
        ("mode", 7, Mode.FAST),
        ("call_id", "../x", ""),
        ("listen", "yes", False),
    ],
)
def test_what_is_used_instead_of_what_cannot_be(name: str, value: object, used: object) -> None:
    found, (fault,) = salvage_options(json.dumps({name: value}))
    assert getattr(found, name) == used
    assert fault.startswith(f"AMD option {name}: ")


@pytest.mark.parametrize("text", ["not base64!", "e30x", "[1]", "{", "7", "[" * 100_000])
def test_what_are_no_options_is_an_error(text: str) -> None:
    for read in (decode_options, salvage_options):
        with pytest.raises(WireError):
            read(text)
