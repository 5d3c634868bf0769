"""Runs a document one action at a time: `start`, then `resume` with each action's result. Pure.

The same document and the same results give the same actions. A run always ends: each step costs one of a budget of
steps, and so does each further case that a branch tries; what costs more than a step (`flow.document.work`) has a
budget of its own, and is done in slices with a `Rest` between them; each action has a deadline; after the end there is
no further turn. Total: no document and no data make it raise. How long a run may take in all is the document's
`max_duration`, which the shell keeps and tells by `out_of_time`.

A step is one or more actions, done in order; what the last one comes to is what the step comes to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fsbridge.flow.document.expression import evaluate
from fsbridge.flow.document.model import DONE, FAILED, GOES_ON, FlowDocument, Step
from fsbridge.flow.document.parts import Case
from fsbridge.flow.document.template import TemplateError, render, render_data
from fsbridge.flow.document.work import MAX_WORK, SLICE, OutOfWork, Work
from fsbridge.flow.interpreter import plan
from fsbridge.flow.interpreter.actions import Action, FlowEnd, FlowOutcome, Json, Refused, Rest, Result, Unavailable
from fsbridge.flow.interpreter.outcomes import settle

MAX_STEPS = 1_000
"""Steps of one run: a cycle that nobody's hang-up ends stops here."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What every flow knows of its call; each is a variable of that name."""

    session_id: str
    destination: str
    caller_id: str
    verdict: str
    org_id: str = ""
    answerer: str = ""
    answer_language: str = ""

    def variables(self) -> dict[str, str]:
        """The facts as a flow reads them."""
        return {
            "session_id": self.session_id,
            "destination": self.destination,
            "caller_id": self.caller_id,
            "verdict": self.verdict,
            "org_id": self.org_id,
            "answerer": self.answerer,
            "answer_language": self.answer_language,
        }


@dataclass(frozen=True, slots=True)
class Left:
    """A step that has come to its outcome, for the timeline."""

    step: Step
    outcome: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class FlowState:
    """Where a run stands: `at` is the present step's place in the list, `todo` what it has still to do.

    `resting`: the step has not begun, the others have their turn first.
    """

    document: FlowDocument
    variables: Mapping[str, Any]
    at: int
    steps_left: int
    work_left: int = MAX_WORK
    todo: tuple[Action, ...] = ()
    resting: bool = False

    @property
    def step(self) -> Step:
        """The present step."""
        return self.document.body.steps[self.at]


@dataclass(frozen=True, slots=True)
class Turn:
    """What comes next: exactly one of an action and the end (neither only inside this module: go on from `state`).

    `left` are the steps that came to their outcomes on the way.
    """

    state: FlowState
    action: Action | None = None
    end: FlowEnd | None = None
    left: tuple[Left, ...] = ()


def start(document: FlowDocument, variables: Mapping[str, Any], facts: Facts, max_steps: int = MAX_STEPS) -> Turn:
    """Begin: the document's own variables, the call's over them, the facts over both."""
    known = {**document.body.variables, **variables, **facts.variables()}
    return _run(Turn(FlowState(document, known, document.entry(facts.verdict, facts.answerer), max_steps)))


def resume(state: FlowState, result: Result) -> Turn:
    """Go on with the result of the action that the last turn asked for."""
    if state.resting:
        return _run(Turn(replace(state, resting=False)))
    if state.todo and not isinstance(result, (Refused, Unavailable)):
        return Turn(replace(state, todo=state.todo[1:]), state.todo[0])
    state = replace(state, todo=())
    settled = settle(state.step, result, state.document, _mark(state))
    if settled.variables:
        state = replace(state, variables={**state.variables, **settled.variables})
    if settled.end is not None:
        return Turn(state, end=settled.end, left=(Left(state.step, settled.outcome, settled.detail),))
    return _run(_leave(state, settled.outcome, settled.detail, settled.goes_to))


def out_of_time(state: FlowState) -> Turn:
    """The end of a run that has taken longer than its document allows."""
    reason = f"the flow took longer than its max_duration of {state.document.max_duration:g} s"
    return Turn(state, end=FlowEnd(FlowOutcome.BROKE, state.step.id, reason))


def _mark(state: FlowState) -> str:
    """What makes a recording's name its own: each `record` has a file of its own, the whole call has one."""
    session = str(state.variables.get("session_id", ""))
    return session if state.step.recording is not None else f"{session}-{state.steps_left}"


def _run(turn: Turn) -> Turn:
    """On to the first step with an action, or to the end; a turn with neither is a place to go on from."""
    left = [*turn.left]
    rest_at = turn.state.work_left - SLICE
    while turn.action is None and turn.end is None:
        turn = _rest(turn.state) if turn.state.work_left <= rest_at else _step(turn.state)
        left += turn.left
    return replace(turn, left=tuple(left)) if left else turn


def _rest(state: FlowState) -> Turn:
    """Before the present step the others have their turn."""
    if state.at >= len(state.document.body.steps):
        return _step(state)
    return Turn(replace(state, resting=True), Rest())


def _step(state: FlowState) -> Turn:
    """The present step: its action, the end, or where to go on."""
    if state.at >= len(state.document.body.steps):
        return Turn(state, end=FlowEnd(FlowOutcome.FINISHED))
    step = state.step
    if state.steps_left <= 0:
        reason = "the flow ran in a circle: its budget of steps is used up"
        return Turn(state, end=FlowEnd(FlowOutcome.BROKE, step.id, reason))
    work = Work(state.work_left)
    turn = _begun(replace(state, steps_left=state.steps_left - 1), step, work)
    return replace(turn, state=replace(turn.state, work_left=work.left or 0))


def _begun(state: FlowState, step: Step, work: Work) -> Turn:
    try:
        work.spend(1)
        match step.kind:
            case "hangup":
                end = FlowEnd(FlowOutcome.FINISHED, step.id, cause=step.hangup or "NORMAL_CLEARING")
                return Turn(state, end=end, left=(Left(step, DONE),))
            case "end":
                return Turn(state, end=_end(step, state, work), left=(Left(step, DONE),))
            case "branch":
                return _branch(state, step, step.branch or (), work)
            case "goto":
                return _go(state, step, DONE, step.goto)
            case "set":
                work.spend(len(state.variables) // 50)
                variables = {**state.variables, **_values(step.set or {}, state, work)}
                return _leave(replace(state, variables=variables), DONE, "")
            case _:
                first, *rest = plan.actions(step, state.document, state.variables, _mark(state), work)
                return Turn(replace(state, todo=tuple(rest)), first)
    except TemplateError as error:
        return _leave(state, FAILED, str(error))
    except OutOfWork:
        reason = "the flow does too much: its conditions and texts have used its budget of work up"
        return Turn(state, end=FlowEnd(FlowOutcome.BROKE, step.id, reason))


def _end(step: Step, state: FlowState, work: Work) -> FlowEnd:
    end = step.end
    result: Json = render_data(end.result, state.variables, work) if end is not None else None
    return FlowEnd(FlowOutcome.FINISHED, step.id, cause=end.cause if end is not None else "", result=result)


def _values(values: Mapping[str, Any], state: FlowState, work: Work) -> dict[str, Any]:
    work.spend(len(values))
    known = state.variables
    return {name: render(value, known, work) if isinstance(value, str) else value for name, value in values.items()}


def _branch(state: FlowState, step: Step, cases: tuple[Case, ...], work: Work) -> Turn:
    for number, case in enumerate(cases):
        if case.when is None or evaluate(case.when, state.variables, work):
            return _go(replace(state, steps_left=state.steps_left - number), step, DONE, case.next)
    return _go(replace(state, steps_left=state.steps_left - len(cases) + 1), step, DONE, step.next)


def _leave(state: FlowState, outcome: str, detail: str, goes_to: str | None = None) -> Turn:
    """Go where the outcome leads; one that leads nowhere breaks the flow, unless the far end brought it about."""
    step = state.step
    if goes_to is not None or outcome in step.on or outcome == DONE or (step.kind, outcome) in GOES_ON:
        return _go(state, step, outcome, goes_to or step.on.get(outcome, step.next), detail)
    left = (Left(step, outcome, detail),)
    return Turn(state, end=FlowEnd(FlowOutcome.BROKE, step.id, f"{step.kind} {outcome}: {detail}"), left=left)


def _go(state: FlowState, step: Step, outcome: str, target: str | None, detail: str = "") -> Turn:
    at = state.document.places[target] if target is not None else state.at + 1
    return Turn(replace(state, at=at), left=(Left(step, outcome, detail),))
