"""The interpreter: stories, and the properties that hold for every document."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsbridge.flow.document.document import parse
from fsbridge.flow.document.model import Defaults
from fsbridge.flow.document.template import MAX_TEXT
from fsbridge.flow.interpreter.actions import (
    Execute,
    Executed,
    FlowOutcome,
    Heard,
    Refused,
    Rest,
    Rested,
    Result,
    TimedOut,
)
from fsbridge.flow.interpreter.interpreter import MAX_STEPS, Facts, Turn, resume, start
from fsbridge.flow.interpreter.plan import DIGITS_VARIABLE

pytestmark = pytest.mark.unit

FACTS = Facts("11111111-1111-4111-8111-111111111111", "+15550100001", "+15550100100", "live_person")


def begin(text: str, variables: dict[str, Any] | None = None, **defaults: str) -> Turn:
    return start(parse(text, defaults=Defaults(**defaults)), variables or {}, FACTS)


def voiced(turn: Turn) -> Turn:
    """The turn behind the choice of a voice."""
    assert app(turn)[0] == "multiset"
    return resume(turn.state, Executed("_none_"))


def pressed(digits: str) -> Executed:
    return Executed("_none_", {DIGITS_VARIABLE: digits, "read_result": "success"})


def app(turn: Turn) -> tuple[str, str]:
    assert isinstance(turn.action, Execute)
    return turn.action.app, turn.action.arg


REMINDER = """
steps:
  - id: hello
    speak: Hello {{ name }}
  - id: ask
    gather: {variable: answer, prompt: ask.wav, timeout: 3, pattern: '[12]'}
    on: {timeout: bye}
  - id: check
    branch: [{when: answer == "1", next: thanks}]
  - id: bye
    play: bye.wav
    on: {missing: end}
    next: end
  - id: thanks
    set: {said: 'yes, {{ answer }}'}
  - id: tell
    speak: {text: 'You said {{ said }}', voice: kal}
  - id: end
    hangup: USER_BUSY
"""


def test_a_whole_conversation() -> None:
    turn = voiced(begin(REMINDER, {"name": "Alex"}, prompts_dir="/p"))
    assert app(turn) == ("speak", "flite|slt|Hello Alex")
    turn = resume(turn.state, Executed("_none_"))
    assert app(turn) == (
        "play_and_get_digits",
        f"1 1 1 3000 # /p/ask.wav silence_stream://250 {DIGITS_VARIABLE} ^([12])$ 2000",
    )
    turn = voiced(resume(turn.state, pressed("1")))
    assert app(turn) == ("speak", "flite|kal|You said yes, 1")
    turn = resume(turn.state, Executed("_none_"))
    assert turn.end is not None
    assert (turn.end.outcome, turn.end.cause) == (FlowOutcome.FINISHED, "USER_BUSY")


def test_no_digits_take_the_timeout_way_even_if_an_old_variable_is_left() -> None:
    turn = resume(voiced(begin(REMINDER, {"name": "A"})).state, Executed("_none_"))
    turn = resume(turn.state, Executed("_none_", {DIGITS_VARIABLE: "1", "read_result": "failure"}))
    assert app(turn) == ("playback", "bye.wav")


def test_more_digits_than_asked_for_are_not_taken() -> None:
    turn = resume(voiced(begin(REMINDER, {"name": "A"})).state, Executed("_none_"))
    assert app(resume(turn.state, pressed("12345"))) == ("playback", "bye.wav")


@pytest.mark.parametrize(
    "result", [Executed("FILE NOT FOUND"), Executed("PLAYBACK ERROR"), TimedOut(), Refused("-ERR gone")]
)
def test_a_failed_playback_without_a_way_breaks_the_flow_and_names_the_step(result: Result) -> None:
    turn = resume(begin("steps: [{id: a, play: a.wav}]").state, result)
    assert turn.end is not None
    assert (turn.end.outcome, turn.end.step) == (FlowOutcome.BROKE, "a")
    assert turn.end.reason


def test_a_named_outcome_is_followed() -> None:
    text = "steps: [{id: a, play: a.wav, on: {missing: b, failed: b}}, {id: b, pause: 1.5}]"
    for result in (Executed("FILE NOT FOUND"), TimedOut()):
        assert app(resume(begin(text).state, result)) == ("playback", "silence_stream://1500")


def test_an_undefined_variable_is_a_failure_with_words() -> None:
    end = begin(REMINDER).end
    assert end is not None
    assert "name" in end.reason


def test_the_end_of_the_list_is_the_end() -> None:
    turn = resume(begin("steps: [{id: a, pause: 1}]").state, Executed("FILE PLAYED"))
    assert turn.end is not None
    assert turn.end.outcome is FlowOutcome.FINISHED


def rested(turn: Turn) -> Turn:
    """The turn after all rests on the way."""
    while isinstance(turn.action, Rest):
        turn = resume(turn.state, Rested())
    return turn


def test_a_circle_without_an_end_is_broken_by_the_budget() -> None:
    text = "steps: [{id: a, set: {x: '{{ x }}!'}}, {id: b, branch: [{when: x != 'stop', next: a}]}]"
    end = rested(begin(text, {"x": "go"})).end
    assert end is not None
    assert end.outcome is FlowOutcome.BROKE
    assert "circle" in end.reason


def test_a_failure_that_leads_back_to_itself_is_broken_by_the_budget_however_often_it_fails() -> None:
    end = rested(begin("steps: [{id: a, speak: '{{ missing }}', on: {failed: a}}]")).end
    assert end is not None
    assert "circle" in end.reason


def test_a_text_that_doubles_in_a_circle_is_stopped_before_it_fills_the_memory() -> None:
    text = "steps: [{id: a, set: {x: '{{ x }}{{ x }}'}}, {id: b, branch: [{when: x != 'stop', next: a}]}]"
    turn = begin(text, {"x": "aa"})
    assert turn.end is not None
    assert "longer than" in turn.end.reason
    assert len(turn.state.variables["x"]) <= MAX_TEXT


def test_every_case_that_a_branch_tries_costs_a_step() -> None:
    cases = ", ".join(f"{{when: x == {number}, next: a}}" for number in range(9))
    turn = begin(f"steps: [{{id: a, branch: [{cases}]}}, {{id: b, pause: 1}}]", {"x": "none"})
    assert turn.state.steps_left == MAX_STEPS - 9 - 1
    turn = begin(f"steps: [{{id: a, branch: [{cases}, {{next: b}}]}}, {{id: b, pause: 1}}]", {"x": "none"})
    assert turn.state.steps_left == MAX_STEPS - 10 - 1


def test_a_failing_speech_is_named() -> None:
    end = resume(voiced(begin("steps: [{id: a, speak: hi}]")).state, Executed("PLAYBACK ERROR")).end
    assert end is not None
    assert (end.step, end.reason) == ("a", "speak failed: PLAYBACK ERROR")


def test_nobody_names_an_absolute_path() -> None:
    for source in ("{{ file }}", "/prompts/{{ file }}"):
        end = begin(f"steps: [{{id: a, play: '{source}'}}]", {"file": "/recordings/other.wav"}).end
        assert end is not None
        assert "cannot be played" in end.reason or "leaves the prompts folder" in end.reason
    assert begin("steps: [{id: a, play: '/prompts/{{ file }}'}]", {"file": "a.wav"}).end is not None


def test_facts_are_variables_and_cannot_be_forged() -> None:
    turn = voiced(begin("steps: [{id: a, speak: '{{ verdict }} {{ destination }}'}]", {"verdict": "forged"}))
    assert app(turn)[1].endswith("live person +15550100001")


results = st.sampled_from(
    [Executed("FILE PLAYED"), Executed("FILE NOT FOUND"), Executed("_none_"), pressed("1"), pressed("2"),
     TimedOut(), Refused("no"), Heard("beep")]
)  # fmt: skip


@st.composite
def documents(draw: Any) -> str:
    count = draw(st.integers(1, 6))
    ids = [f"s{n}" for n in range(count)]
    target = st.sampled_from(ids)
    kinds = [
        "pause: 1",
        "play: a.wav",
        "speak: 'hi {{ x }}'",
        "set: {x: 'y'}",
        "gather: {variable: x}",
        "hangup: NORMAL_CLEARING",
    ]
    lines = ["variables: {x: z}", "steps:"]
    for step_id in ids:
        kind = draw(st.sampled_from(kinds))
        lines += [f"  - id: {step_id}", f"    {kind}"]
        # Sets in a circle and steps after a hangup are refused.
        if not kind.startswith(("set", "hangup")) and draw(st.booleans()):
            lines.append(f"    next: {draw(target)}")
    # One more step reaches all, so that no step is refused as unreachable.
    ways = ", ".join(f"{{when: 'x == \"{step_id}\"', next: {step_id}}}" for step_id in ids)
    lines += ["  - id: hub", f"    branch: [{ways}, {{next: s0}}]", "entry: hub"]
    return "\n".join(lines)


@settings(max_examples=150, deadline=None)
@given(documents(), st.lists(results, min_size=60, max_size=60))
def test_it_always_ends_and_always_the_same_way(text: str, answers: list[Result]) -> None:
    document = parse(text)

    def run() -> list[Any]:
        turn = start(document, {}, FACTS, max_steps=50)
        seen: list[Any] = [turn.action, turn.end]
        for answer in answers:
            if turn.end is not None:
                break
            turn = resume(turn.state, answer)
            assert (turn.action is None) != (turn.end is None)
            seen += [turn.action, turn.end]
        assert turn.end is not None
        return seen

    assert run() == run()


DATA_FLOW = """
steps:
  - id: ways
    branch:
      - {when: 'x > 3 and y in [1, "2"]', next: play}
      - {when: 'y in x or x.a == y or x < y', next: ask}
  - {id: say, speak: 'Hello {{ x }} {{ y }}', on: {failed: keep}}
  - {id: keep, set: {z: '{{ x }}{{ x.a }}'}, on: {done: play}}
  - {id: play, play: '{{ x }}', on: {failed: ask, missing: ask}}
  - {id: ask, gather: {variable: z, prompt: '{{ y }}.wav'}}
"""
DATA_DOCUMENT = parse(DATA_FLOW)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(10**300, 10**400) | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(json_values, json_values, st.lists(results, min_size=8, max_size=8))
def test_no_data_makes_it_raise_or_leave_the_allow_list(x: Any, y: Any, answers: list[Result]) -> None:
    turn = start(DATA_DOCUMENT, {"x": x, "y": y}, FACTS)
    for answer in answers:
        turn = rested(turn)
        if turn.end is not None:
            break
        application, arg = app(turn)
        assert application in ("multiset", "speak", "playback", "play_and_get_digits")
        assert arg.isprintable()
        assert not set(arg.removesuffix(" ^[0-9*#]+$ 2000")) & set("${}'\"&<>`\r\n")
        assert arg.count("|") == (2 if application == "speak" else 0)
        assert arg.count(" ") == (9 if application == "play_and_get_digits" else arg.count(" "))
        turn = resume(turn.state, answer)
    assert turn.end is not None
