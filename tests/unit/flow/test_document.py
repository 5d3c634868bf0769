"""Reading documents: what is a flow, and what is said of what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.flow.document import MAX_BYTES, parse
from fsbridge.flow.errors import FlowInvalid

pytestmark = pytest.mark.unit

GOOD = """\
name: Reminder
voice: slt
variables: {tries: 0}
steps:
  - id: hello
    speak: Hello {{ name }}
  - id: ask
    gather: {variable: answer, max: 2, timeout: 3}
    on: {timeout: bye}
  - id: check
    branch:
      - {when: answer == "1", next: bye}
      - next: ask
  - id: bye
    hangup: NORMAL_CLEARING
"""


def problems(text: str, **options: bool) -> tuple[str, ...]:
    with pytest.raises(FlowInvalid) as caught:
        parse(text, "f.yaml", **options)
    return caught.value.problems


def test_a_good_document_keeps_its_order_and_has_a_version() -> None:
    document = parse(GOOD)
    assert [step.kind for step in document.body.steps] == ["speak", "gather", "branch", "hangup"]
    assert document.places["bye"] == 3
    assert document.version == parse(GOOD).version
    assert document.version != parse(GOOD + "# another text\n").version


def test_on_is_a_word_and_not_yaml_1_1s_true() -> None:
    assert parse(GOOD).body.steps[1].on == {"timeout": "bye"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "a flow is a mapping with the key steps"),
        ("[1, 2]", "a flow is a mapping"),
        ("steps: []", "f.yaml:1: steps"),
        ("steps:\n  - {id: a, play: x, speak: y}", "step a: a step has exactly one of"),
        ("steps:\n  - {id: a}", "this one has none"),
        ("steps:\n  - id: a\n    sing: la", "f.yaml:3: step a: sing: no such key"),
        ("steps:\n  - {id: a, pause: -1}", "step a: pause"),
        ("steps:\n  - {id: a, pause: 1, next: b}", "step a: next: there is no step 'b'"),
        ("entry: z\nsteps:\n  - {id: a, pause: 1}", "f.yaml:1: entry: there is no step 'z'"),
        ("steps:\n  - {id: a, pause: 1}\n  - {id: a, pause: 2}", "f.yaml:3: step a: id: 'a' stands twice"),
        ("steps:\n  - {id: a, pause: 1, pause: 2}", "the key 'pause' stands twice"),
        ("steps:\n  - {id: a, hangup: NORMAL_CLEARING}\n  - {id: b, pause: 1}", "step b: is never reached"),
        ("steps:\n  - {id: a, speak: 'Hi {{ name'}", "step a: speak: has {{ or }}"),
        ("steps:\n  - {id: a, branch: [{when: 'x.', next: a}]}", "is no condition"),
        ("steps:\n  - {id: a, branch: [{when: '__import__(1)', next: a}]}", "not allowed in a condition"),
        ("steps:\n  - {id: a, gather: {variable: x, min: 3, max: 2}}", "min (3) is above max (2)"),
        ("steps:\n  - {id: a, gather: {variable: x, pattern: '\\d+ x'}}", "pattern"),
        ("steps:\n  - {id: a, pause: 1, on: {missing: a}}", "pause has no outcome 'missing'"),
        ("steps:\n  - {id: a, hangup: 'x y'}", "hangup"),
        ("a: &a [1]\nb: *a", "aliases"),
        ("a: [", "not YAML"),
        ("[" * 50 + "]" * 50, "nested deeper"),
        ("# " + "x" * MAX_BYTES, "larger than 256 kB"),
        ("steps: !!python/object/apply:os.system [id]", "not YAML"),
    ],
)
def test_a_bad_document_is_refused_with_words(text: str, expected: str) -> None:
    assert any(expected in problem for problem in problems(text)), problems(text)


def test_every_fault_is_told_at_once() -> None:
    text = "steps:\n  - {id: a, speak: '{{ x', next: b}\n  - {id: c, branch: [{when: '(', next: a}]}"
    assert len(problems(text)) >= 4


def test_undefined_variables_are_found_where_the_call_brings_none() -> None:
    found = problems("steps:\n  - {id: a, speak: 'Hi {{ name }} and {{ verdict }}'}", call_variables=False)
    assert found == ("f.yaml:2: step a: speak: nothing defines name",)


@given(st.text(max_size=300))
def test_any_text_is_a_document_or_a_list_of_faults(text: str) -> None:
    found: tuple[str, ...] = ()
    try:
        document = parse(text)
    except FlowInvalid as invalid:
        found = invalid.problems or ("refused without a word",)
    else:
        assert document.body.steps
    assert all(problem.startswith("flow:") for problem in found)
