"""A document's faults, in words and in parts."""

from __future__ import annotations

import pytest

from api.contract.errors import ErrorCode
from api.contract.faults import refusal, rendered
from fsbridge.flow.document.document import parse
from fsbridge.flow.document.errors import FlowInvalid, Problem
from fsbridge.flow.document.faults import MAX_TOLD

pytestmark = pytest.mark.unit


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(FlowInvalid) as caught:
        parse(text)
    return caught.value.faults


@pytest.mark.parametrize(
    ("text", "line", "step", "field", "words"),
    [
        ("a: [", 2, None, None, "not YAML"),
        ("steps:\n- {id: a, pause: long}", 2, "a", "pause", "must be a number"),
        ("steps:\n- {id: a, pause: 1, next: b}", 2, "a", "next", "there is no step 'b'"),
        ("steps:\n- {pause: 1}", 2, "1", "id", "is missing"),
        ("nmae: x\nsteps: [{id: a, pause: 1}]", 1, None, "nmae", "did you mean name?"),
        ("steps:\n- {id: a, pause: 1, play: x}", 2, "a", None, "exactly one of"),
        ("name: x", 1, None, "steps", "is missing"),
    ],
)
def test_real_faults(text: str, line: int, step: str | None, field: str | None, words: str) -> None:
    found = rendered(problems(text)[0])
    assert (found.line, found.step, found.field) == (line, step, field)
    assert words in found.message


def test_the_message_tells_the_first_and_the_details_all() -> None:
    error = refusal(problems("steps: [" + ", ".join(f"{{id: s{n}, pause: x}}" for n in range(5)) + "]"))
    assert (error.code, error.status) == (ErrorCode.INVALID_REQUEST, 400)
    assert error.message.startswith("the flow is invalid: line 1: step s0: pause: must be a number; ")
    assert error.message.endswith("; and 2 more, see details")
    assert [each["step"] for each in error.extra["details"]] == ["s0", "s1", "s2", "s3", "s4"]
    assert error.extra["details"][0].keys() == {"line", "step", "field", "message"}


def test_a_report_that_was_cut_says_so() -> None:
    many = problems("steps: [" + ", ".join("{id: s, pause: x}" for _ in range(MAX_TOLD + 50)) + "]")
    last = rendered(many[-1])
    assert (last.line, last.step, last.field) == (None, None, None)
    assert "more" in last.message


def test_the_words_for_people_name_every_place_there_is() -> None:
    assert str(Problem("f.yaml", "is missing", 3, "a", "text")) == "f.yaml:3: step a: text: is missing"
    assert str(Problem("f.yaml", "is missing", step="a: b")) == "f.yaml: step a: b: is missing"
    assert str(Problem("f.yaml", "is not UTF-8 text")) == "f.yaml: is not UTF-8 text"


def test_a_steps_name_may_hold_a_colon() -> None:
    assert rendered(problems("steps:\n- {id: 'a: b', pause: long}")[-1]).step == "a: b"
