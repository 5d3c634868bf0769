"""Suites: reading them, planning their calls, comparing outcomes, drawing recordings."""

from __future__ import annotations

import io
import wave
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.suite import waveform
from fsbridge.suite.document import SuiteInvalid, environment, parse, plan
from fsbridge.suite.model import Outcome
from fsbridge.suite.result import broken_steps, differences, missing

pytestmark = pytest.mark.unit

ORG = "6f1c0a52-3a51-4d0c-9a0e-0f2f1f6f4a10"
GOOD = f"""
name: Menus
environments:
  qa:
    {{url: "https://qa.example", org: {ORG}, key_env: QA_KEY, numbers: {{menu: "+15550100300"}},
     variables: {{lang: de}}}}
  simulated: {{numbers: {{menu: '+15550100400'}}}}
calls:
  - {{name: greets, flow: a.yaml, to: '{{{{ numbers.menu }}}}', variables: {{n: '{{{{ environment }}}}'}}, repeat: 2}}
  - {{name: busy, flow: a.yaml, to: '+15550100004', far_end: busy, callAnalysis: [live_person],
     expect: {{failureReason: busy}}}}
"""


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(SuiteInvalid) as caught:
        parse(text, "s.yaml")
    return caught.value.problems


def test_an_environment_gives_numbers_and_variables() -> None:
    suite = parse(GOOD)
    name, place = environment(suite, "qa", simulate=False)
    calls = plan(suite, name, place)
    assert [call.title for call in calls] == ["greets #1", "greets #2", "busy"]
    assert calls[0].request == {
        "mode": "poll", "destinationNumber": "+15550100300", "variables": {"lang": "de", "n": "qa"},
    }  # fmt: skip
    assert calls[2].request["callAnalysis"] == ["live_person"]
    assert calls[2].expect.expected_status == "Failed"
    assert [call.name for call in plan(suite, name, place, only="BUSY")] == ["busy"]


def test_in_a_simulation_a_far_end_has_a_number_of_its_own() -> None:
    suite = parse(GOOD)
    name, place = environment(suite, None, simulate=True)
    assert name == "simulated"
    numbers = [call.request["destinationNumber"] for call in plan(suite, name, place, simulate=True)]
    assert numbers[0] == "+15550100400"
    assert numbers[2] not in ("+15550100004", numbers[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a", "a suite is a mapping"),
        ("name: x\ncalls: []", "s.yaml:2: calls: "),
        ("name: x\ncalls: [{name: a}]", "flow: is missing"),
        ("name: x\ncalls: [{name: a, flow: f.yaml}]", "neither whom to call"),
        ("name: x\ncalls: [{name: a, flow: f.yaml, to: '+1', expect: {status: Done}}]", "expect.status"),
        ("name: x\ncalls: [{name: a, flow: f.yaml, to: '+1', expect: {failureReason: bussy}}]", "is no failureReason"),
        (
            "name: x\nenvironments: {qa: {url: 'https://q'}}\ncalls: [{name: a, flow: f, to: '1'}]",
            "but not org, key_env",
        ),
        ("name: x\ncalls: [{name: a, flow: f.yaml, to: '+1', timeoutt: 3}]", "did you mean timeout"),
    ],
)
def test_faults_name_their_place(text: str, expected: str) -> None:
    assert any(expected in problem for problem in problems(text)), problems(text)


@pytest.mark.parametrize(
    ("wanted", "resource", "said"),
    [
        ({}, {"status": "Completed"}, []),
        ({}, {"status": "Failed", "failureReason": "busy"}, ["status is Failed (busy), expected Completed"]),
        ({"flowResult": {"a": 1}}, {"status": "Completed", "flowResult": {"a": 1, "b": 2}}, []),
        ({"flowResult": {"a": [1, True]}}, {"status": "Completed", "flowResult": {"a": [1, 1]}},
         ["flowResult.a[1] is 1, expected true"]),
        ({"callAnalysisResult": "fax"}, {"status": "Completed"}, ["callAnalysisResult is none, expected fax"]),
        ({"minDurationSeconds": 5}, {"status": "Completed", "durationSeconds": 4},
         ["durationSeconds is 4, expected 5 or more"]),
        ({"maxDurationSeconds": 3}, {"status": "Completed", "durationSeconds": 4},
         ["durationSeconds is 4, expected 3 or less"]),
    ],
)  # fmt: skip
def test_differences_are_told(wanted: dict[str, Any], resource: dict[str, Any], said: list[str]) -> None:
    assert list(differences(Outcome.model_validate(wanted), resource)) == said


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_everything_is_a_part_of_itself(value: Any) -> None:
    assert list(missing(value, value)) == []


def test_a_failed_step_is_the_evidence() -> None:
    events = [
        {"event": "stepEnded", "step": "a", "kind": "play", "outcome": "done"},
        {"event": "stepEnded", "step": "b", "kind": "expect", "outcome": "failed", "detail": "no beep within 5 s"},
    ]
    assert list(broken_steps(events)) == ["step b (expect) failed: no beep within 5 s"]


def sound(seconds: float, width: int = 2) -> bytes:
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(8_000)
        file.writeframes(b"\x00\x10" * round(8_000 * seconds))
    return stream.getvalue()


def test_a_recording_is_drawn_with_its_marks() -> None:
    sounding = waveform.read(sound(2.0))
    assert sounding is not None
    assert sounding.seconds == 2.0
    drawn = waveform.svg(sounding, [waveform.Mark(1.0, 3, "heard", "<beep>")])
    assert drawn.startswith("<svg")
    assert "&lt;beep&gt;" in drawn
    assert "<beep>" not in drawn
    assert waveform.svg(None, []).startswith("<svg")


@pytest.mark.parametrize("wav", [b"", b"RIFF", sound(0.0), sound(0.1, width=1)])
def test_what_is_no_recording_is_not_drawn(wav: bytes) -> None:
    assert waveform.read(wav) is None
