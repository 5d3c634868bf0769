"""No document costs more than its length: twice as long, twice the work; counted, not timed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fsbridge.flow.document.document import parse
from fsbridge.flow.document.errors import FlowInvalid
from fsbridge.flow.document.faults import MAX_TOLD, MAX_WORDS
from fsbridge.flow.document.source import MAX_BYTES, SourceError, read
from tests.unit.work import work

pytestmark = pytest.mark.unit


def _steps(count: int, step: Callable[[int], str]) -> str:
    return "steps:\n" + "\n".join(f"  - {{id: step_{number}, {step(number)}}}" for number in range(count))


MAKERS: dict[str, Callable[[int], str]] = {
    "targets that do not exist": lambda n: _steps(
        n, lambda i: f"play: a.wav, next: missing_{i}, on: {{missing: absent_{i}, failed: {'q' * 50}_{i}}}"
    ),
    "keys that do not exist": lambda n: _steps(n, lambda i: f"play: a.wav, playe{i}: 1, onn: 2, {'k' * 30}{i}: 3"),
    "causes that do not exist": lambda n: _steps(n, lambda i: f"hangup: NORMAL_CLEARIN{i}"),
    "a circle": lambda n: _steps(n, lambda i: f"goto: step_{(i + 1) % n}"),
    "many small circles": lambda n: _steps(n, lambda i: f"goto: step_{i ^ 1}"),
    "steps that are never reached": lambda n: _steps(n, lambda i: "hangup: NORMAL_CLEARING"),
    "texts that cannot be read": lambda n: _steps(n, lambda i: "play: '{{ a {{ b }} c'"),
    "texts of many variables": lambda n: _steps(n, lambda i: f"speak: '{'{{ a }} {{ b.c.d }} ' * 10}'"),
    "characters that cannot be spoken": lambda n: _steps(n, lambda i: "speak: 'a$b^c{d}e|f\\\\g~h`i' "),
    "the same id": lambda n: "steps:\n" + "  - {id: a, pause: 1, next: a}\n" * n,
    "wrong types": lambda n: _steps(n, lambda i: "gather: [1], menu: 3, on: {done: [1]}"),
    "branches": lambda n: _steps(n, lambda i: f"branch: [{{when: 'a.b == {i}', next: step_{i}}}, {{next: x}}]"),
    "patterns": lambda n: _steps(n, lambda i: f"gather: {{variable: a, pattern: '[0-9]?{i}+(1|2|3)?'}}"),
    "good steps": lambda n: _steps(n, lambda i: f"speak: 'Hello {{{{ name }}}}, this is {i}', on: {{failed: step_0}}"),
}


@pytest.mark.parametrize("what", MAKERS)
def test_twice_the_document_is_twice_the_work(what: str) -> None:
    once, twice = (_checked(MAKERS[what](count)) for count in (100, 200))
    assert twice <= 2.3 * once


def _checked(text: str) -> int:
    parse("steps: [{id: a, pause: 1}]")  # what is made once is not this document's work
    return work(lambda: parse(text, call_variables=False))


def test_a_document_of_faults_alone_is_told_within_bounds() -> None:
    text = MAKERS["targets that do not exist"](1_000)
    assert len(text) < MAX_BYTES
    with pytest.raises(FlowInvalid) as refused:
        parse(text)
    assert len(refused.value.faults) == MAX_TOLD + 1
    assert str(refused.value.faults[-1]).endswith("and 3899 more")


def test_a_fault_that_quotes_the_document_is_cut() -> None:
    with pytest.raises(FlowInvalid) as refused:
        parse(f"steps: [{{id: a, pause: 1, on: {{'{'x' * 5_000}': a}}}}]")
    assert all(len(fault.message) <= MAX_WORDS for fault in refused.value.faults)


@pytest.mark.parametrize("text", ["%TAG !a! b\n---\na: 1", "a: 1\n%YAML 1.1\n", "\ufeff%X", "a: 1\u2028%TAG !a! b"])
def test_directives_which_libyaml_compares_each_with_each_are_refused(text: str) -> None:
    with pytest.raises(SourceError, match="directives"):
        read(text)


def test_a_percent_sign_elsewhere_is_text() -> None:
    assert read("a: 10 %\nb: '%TAG'\nc: |\n  %TAG\n").value == {"a": "10 %", "b": "%TAG", "c": "%TAG\n"}
