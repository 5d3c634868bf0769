"""Runs a document one action at a time: `start`, then `resume` with each action's result. Pure.

The same document and the same results give the same actions. A run always ends: each step costs one of a budget of
steps, and so does each further case that a branch tries, so that a turn's work is bounded too; each action has
a deadline; after the end there is no further turn. Total: no document and no data make it raise. How long a
call may last in all is the lifecycle's limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fsbridge.flow import actions
from fsbridge.flow.actions import Action, Executed, FlowEnd, FlowOutcome, Refused, Result, TimedOut
from fsbridge.flow.expression import evaluate
from fsbridge.flow.model import Case, FlowDocument, Step
from fsbridge.flow.template import TemplateError, render

MAX_STEPS = 1_000
"""Steps of one run: a cycle that nobody's hang-up ends stops here."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What every flow knows of its call; each is a variable of that name."""

    session_id: str
    destination: str
    caller_id: str
    verdict: str


@dataclass(frozen=True, slots=True)
class FlowState:
    """Where a run stands. `at` is the present step's place in the list."""

    document: FlowDocument
    variables: Mapping[str, Any]
    at: int
    steps_left: int


@dataclass(frozen=True, slots=True)
class Turn:
    """What comes next: exactly one of an action and the end (neither only inside this module: go on from `state`)."""

    state: FlowState
    action: Action | None = None
    end: FlowEnd | None = None


def start(document: FlowDocument, variables: Mapping[str, Any], facts: Facts, max_steps: int = MAX_STEPS) -> Turn:
    """Begin: the document's own variables, the call's over them, the facts over both."""
    known = {
        **document.body.variables,
        **variables,
        "session_id": facts.session_id,
        "destination": facts.destination,
        "caller_id": facts.caller_id,
        "verdict": facts.verdict,
    }
    return _run(Turn(FlowState(document, known, document.entry, max_steps)))


def resume(state: FlowState, result: Result) -> Turn:
    """Go on with the result of the action that the last turn asked for."""
    step = state.document.body.steps[state.at]
    match result:
        case Refused(reason):
            return _run(_leave(state, step, "failed", reason))
        case TimedOut():
            return _run(_leave(state, step, "failed", "did not end in time"))
        case Executed() if step.gather is not None:
            digits = actions.gathered(result, step.gather)
            state = _with(state, {step.gather.variable: digits or ""})
            return _run(_leave(state, step, "timeout" if digits is None else "done", ""))
        case Executed() if step.play is not None:
            reason = f"{step.play[:80]!r}: {result.response}"
            return _run(_leave(state, step, actions.play_outcome(result), reason))
        case Executed() if step.speak is not None and result.response not in ("", "_none_", "FILE PLAYED"):
            return _run(_leave(state, step, "failed", result.response))
        case _:
            return _run(_leave(state, step, "done", ""))


def _run(turn: Turn) -> Turn:
    """On to the first step with an action, or to the end; a turn with neither is a place to go on from."""
    while turn.action is None and turn.end is None:
        turn = _step(turn.state)
    return turn


def _step(state: FlowState) -> Turn:
    """The present step: its action, the end, or where to go on."""
    if state.at >= len(state.document.body.steps):
        return Turn(state, end=FlowEnd(FlowOutcome.FINISHED))
    step = state.document.body.steps[state.at]
    if state.steps_left <= 0:
        reason = "the flow ran in a circle: its budget of steps is used up"
        return Turn(state, end=FlowEnd(FlowOutcome.BROKE, step.id, reason))
    state = replace(state, steps_left=state.steps_left - 1)
    if step.hangup is not None:
        return Turn(state, end=FlowEnd(FlowOutcome.FINISHED, step.id, cause=step.hangup))
    if step.branch is not None:
        return _branch(state, step, step.branch)
    try:
        if step.set is not None:
            return _leave(_with(state, _values(step.set, state)), step, "done", "")
        return Turn(state, _action(step, state))
    except TemplateError as error:
        return _leave(state, step, "failed", str(error))


def _action(step: Step, state: FlowState) -> Action:
    document, variables = state.document, state.variables
    if step.play is not None:
        return actions.play(step.play, document, variables)
    if step.speak is not None:
        return actions.speak(step.speak, document, variables)
    if step.gather is not None:
        return actions.gather(step.gather, document, variables)
    assert step.pause is not None, "a step has exactly one kind"
    return actions.pause(step.pause)


def _values(values: Mapping[str, Any], state: FlowState) -> dict[str, Any]:
    return {name: render(value, state.variables) if isinstance(value, str) else value for name, value in values.items()}


def _branch(state: FlowState, step: Step, cases: tuple[Case, ...]) -> Turn:
    for number, case in enumerate(cases):
        if case.when is None or evaluate(case.when, state.variables):
            left = state.steps_left - number
            return Turn(replace(state, at=state.document.places[case.next], steps_left=left))
    return _leave(replace(state, steps_left=state.steps_left - len(cases) + 1), step, "done", "")


def _leave(state: FlowState, step: Step, outcome: str, reason: str) -> Turn:
    """Go where the outcome leads; one that leads nowhere breaks the flow, but a gather's timeout goes on."""
    if outcome in step.on or outcome == "done" or (outcome == "timeout" and step.gather is not None):
        target = step.on.get(outcome, step.next)
        at = state.document.places[target] if target is not None else state.at + 1
        return Turn(replace(state, at=at))
    return Turn(state, end=FlowEnd(FlowOutcome.BROKE, step.id, f"{step.kind} {outcome}: {reason}"))


def _with(state: FlowState, values: Mapping[str, Any]) -> FlowState:
    return replace(state, variables={**state.variables, **values})
