"""What a document may ask for between two waits: bounded, whatever it says and whatever a call brings."""

from __future__ import annotations

from typing import Any

import pytest

from fsbridge.flow.document.document import parse
from fsbridge.flow.document.work import MAX_WORK, SLICE
from fsbridge.flow.interpreter import interpreter
from fsbridge.flow.interpreter.actions import FlowOutcome, Refused, Rest, Rested, Tell, Told
from fsbridge.flow.interpreter.interpreter import Facts, Turn
from tests.unit.work import work

pytestmark = pytest.mark.unit

FACTS = Facts("s", "+1", "", "")
LONG_LIST = {"items": ["x"] * 8_000}


def cases(condition: str, count: int = 100) -> str:
    listed = "\n".join(f'      - {{when: "{condition}", next: a}}' for _ in range(count))
    return f"steps:\n  - id: a\n    branch:\n{listed}\n  - {{id: b, goto: a}}\n"


def forever(step: str, steps: int = 1) -> str:
    """A circle that a condition could end."""
    listed = "".join(f"  - {{id: s{number}, {step}}}\n" for number in range(steps))
    on = "  - {id: more, branch: [{when: done == true, next: bye}, {next: s0}]}\n  - {id: bye, pause: 1}\n"
    return f"steps:\n{listed}{on}"


HOSTILE: dict[str, tuple[str, dict[str, Any]]] = {
    "many comparisons": (cases(" or ".join(["n == 1"] * 40)), {}),
    "a long list": (cases("1 in items"), LONG_LIST),
    "a long list, often": (cases(" or ".join(["1 in items"] * 30)), LONG_LIST),
    "lists compared": (cases("items == items2 or items < items3"), {f"items{n}": [[1] * 50] * 50 for n in ("", 2, 3)}),
    "a long text": (cases("'q' in text"), {"text": "x" * 15_000}),
    "many values": (forever("set: {" + ", ".join(f"v{n}: 'x{{{{ b }}}}'" for n in range(3_000)) + "}"), {"b": "y"}),
    "long values": (
        forever("set: {" + ", ".join(f"v{n}: '{{{{ b }}}}'" for n in range(500)) + "}"),
        {"b": "y" * 7_900},
    ),
    "many variables": (forever("set: {a: 1}"), {f"v{n}": n for n in range(2_000)}),
    "a text that doubles": (forever("set: {a: '{{ a }}{{ a }}'}, on: {failed: more}"), {"a": "xx"}),
    "large events": (forever("notify: {name: n, data: ['{{ items }}', '{{ items }}']}, on: {failed: more}"), LONG_LIST),
}


def run(what: str) -> tuple[list[Turn], list[int]]:
    """All turns of a run in which nothing is waited for, and the work of each."""
    text, variables = HOSTILE[what]
    document = parse(text)
    turns: list[Turn] = []
    costs: list[int] = []

    def go_on() -> None:
        if not turns:
            turns.append(interpreter.start(document, variables, FACTS))
            return
        results = {Rest: Rested(), Tell: Told()}
        turns.append(interpreter.resume(turns[-1].state, results.get(type(turns[-1].action), Refused("not here"))))

    while not turns or turns[-1].end is None:
        costs.append(work(go_on))
    return turns, costs


@pytest.mark.parametrize("what", HOSTILE)
def test_a_run_ends_and_no_turn_of_it_is_long(what: str) -> None:
    turns, costs = run(what)
    end = turns[-1].end
    assert end is not None
    assert end.outcome is FlowOutcome.BROKE
    assert "budget" in end.reason
    assert max(costs) < 250_000  # function calls: some tens of milliseconds
    assert sum(costs) < 1_000_000


def test_between_two_slices_the_others_have_their_turn() -> None:
    turns, _ = run("a long list")
    rests = sum(isinstance(turn.action, Rest) for turn in turns)
    assert rests <= MAX_WORK // SLICE
    turns, _ = run("lists compared")
    assert sum(isinstance(turn.action, Rest) for turn in turns) > 5


def test_a_rest_is_no_step() -> None:
    listed = "\n".join(f"  - {{id: s{number}, set: {{v: '{'x' * 3_000}'}}}}" for number in range(40))
    turn = interpreter.start(parse(f"steps:\n{listed}\n"), {}, FACTS)
    left = [*turn.left]
    while isinstance(turn.action, Rest):
        turn = interpreter.resume(turn.state, Rested())
        left += turn.left
    assert [each.step.id for each in left] == [f"s{number}" for number in range(40)]
    assert turn.end is not None
    assert turn.end.outcome is FlowOutcome.FINISHED
