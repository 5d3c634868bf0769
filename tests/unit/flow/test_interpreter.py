"""The interpreter: stories, and the properties that hold for every document."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsbridge.flow.actions import DIGITS_VARIABLE, Execute, Executed, FlowOutcome, Refused, Result, TimedOut, Waited
from fsbridge.flow.document import parse
from fsbridge.flow.interpreter import Facts, Turn, resume, start
from fsbridge.flow.model import Defaults

pytestmark = pytest.mark.unit

FACTS = Facts("11111111-1111-4111-8111-111111111111", "+15550100001", "+15550100100", "live_person")


def begin(text: str, variables: dict[str, Any] | None = None, **defaults: str) -> Turn:
    return start(parse(text, defaults=Defaults(**defaults)), variables or {}, FACTS)


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
    turn = begin(REMINDER, {"name": "Alex"}, prompts_dir="/p")
    assert app(turn) == ("speak", "flite|slt|Hello Alex")
    turn = resume(turn.state, Executed("_none_"))
    assert app(turn) == (
        "play_and_get_digits",
        f"1 1 1 3000 # /p/ask.wav silence_stream://250 {DIGITS_VARIABLE} [12] 2000",
    )
    turn = resume(turn.state, pressed("1"))
    assert app(turn) == ("speak", "flite|kal|You said yes, 1")
    turn = resume(turn.state, Executed("_none_"))
    assert turn.end is not None
    assert (turn.end.outcome, turn.end.cause) == (FlowOutcome.FINISHED, "USER_BUSY")


def test_no_digits_take_the_timeout_way_even_if_an_old_variable_is_left() -> None:
    turn = resume(begin(REMINDER, {"name": "A"}).state, Executed("_none_"))
    turn = resume(turn.state, Executed("_none_", {DIGITS_VARIABLE: "1", "read_result": "failure"}))
    assert app(turn) == ("playback", "bye.wav")


def test_more_digits_than_asked_for_are_not_taken() -> None:
    turn = resume(begin(REMINDER, {"name": "A"}).state, Executed("_none_"))
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


def test_a_circle_without_an_end_is_broken_by_the_budget() -> None:
    end = begin("steps: [{id: a, set: {x: 1}, next: a}]").end
    assert end is not None
    assert end.outcome is FlowOutcome.BROKE
    assert "circle" in end.reason


def test_facts_are_variables_and_cannot_be_forged() -> None:
    turn = begin("steps: [{id: a, speak: '{{ verdict }} {{ destination }}'}]", {"verdict": "forged"})
    assert app(turn)[1].endswith("live person +15550100001")


results = st.sampled_from(
    [Executed("FILE PLAYED"), Executed("FILE NOT FOUND"), Executed("_none_"), pressed("1"), pressed("2"),
     TimedOut(), Refused("no"), Waited()]
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
        lines += [f"  - id: {step_id}", f"    {draw(st.sampled_from(kinds))}"]
        if draw(st.booleans()):
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
