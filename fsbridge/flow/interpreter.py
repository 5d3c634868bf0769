"""Runs a document one action at a time: `start`, then `resume` with each action's result. Pure.

The same document and the same results give the same actions. A flow always ends: each step costs one of a budget of
steps, each action has a deadline, and after the end there is no further turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fsbridge.flow import actions
from fsbridge.flow.actions import Action, Executed, FlowEnd, FlowOutcome, Refused, Result, TimedOut
from fsbridge.flow.expression import evaluate
from fsbridge.flow.model import FlowDocument, Step
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
    """What comes next: exactly one of an action and the end."""

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
    return _run(FlowState(document, known, document.entry, max_steps))


def resume(state: FlowState, result: Result) -> Turn:
    """Go on with the result of the action that the last turn asked for."""
    step = state.document.body.steps[state.at]
    match result:
        case Refused(reason):
            return _leave(state, step, "failed", reason)
        case TimedOut():
            return _leave(state, step, "failed", "did not end in time")
        case Executed() if step.gather is not None:
            digits = actions.gathered(result, step.gather)
            if digits is None:
                return _leave(_with(state, {step.gather.variable: ""}), step, "timeout", "")
            return _leave(_with(state, {step.gather.variable: digits}), step, "done", "")
        case Executed() if step.play is not None:
            outcome = actions.play_outcome(result)
            return _leave(state, step, outcome, f"{step.play[:80]!r}: {result.response}")
        case Executed() if step.speak is not None and result.response not in ("", "_none_", "FILE PLAYED"):
            return _leave(state, step, "failed", result.response)
        case _:
            return _leave(state, step, "done", "")


def _run(state: FlowState) -> Turn:
    """From the present step on: steps without an action are passed, the first with one makes the turn."""
    while True:
        if state.at >= len(state.document.body.steps):
            return Turn(state, end=FlowEnd(FlowOutcome.FINISHED))
        step = state.document.body.steps[state.at]
        if state.steps_left <= 0:
            reason = "the flow ran in a circle: its budget of steps is used up"
            return Turn(state, end=FlowEnd(FlowOutcome.BROKE, step.id, reason))
        state = replace(state, steps_left=state.steps_left - 1)
        if step.hangup is not None:
            return Turn(state, end=FlowEnd(FlowOutcome.FINISHED, step.id, cause=step.hangup))
        try:
            action = _action(step, state)
            moved = None if action is not None else _pass(step, state)
        except TemplateError as error:
            return _leave(state, step, "failed", str(error))
        if action is not None:
            return Turn(state, action)
        state = moved if moved is not None else state


def _action(step: Step, state: FlowState) -> Action | None:
    document, variables = state.document, state.variables
    if step.play is not None:
        return actions.play(step.play, document, variables)
    if step.speak is not None:
        return actions.speak(step.speak, document, variables)
    if step.pause is not None:
        return actions.pause(step.pause)
    if step.gather is not None:
        return actions.gather(step.gather, document, variables)
    return None


def _pass(step: Step, state: FlowState) -> FlowState:
    """A step that only changes the run: `set` or `branch`."""
    if step.set is not None:
        values = {
            name: render(value, state.variables) if isinstance(value, str) else value
            for name, value in step.set.items()
        }
        return _move(_with(state, values), step, "done")
    for case in step.branch or ():
        if case.when is None or evaluate(case.when, state.variables):
            return replace(state, at=state.document.places[case.next])
    return _move(state, step, "done")


def _leave(state: FlowState, step: Step, outcome: str, reason: str) -> Turn:
    """Go where the outcome leads; one that leads nowhere breaks the flow, but a gather's timeout goes on."""
    if outcome in step.on or outcome == "done" or (outcome == "timeout" and step.gather is not None):
        return _run(_move(state, step, outcome))
    return Turn(state, end=FlowEnd(FlowOutcome.BROKE, step.id, f"{step.kind} {outcome}: {reason}"))


def _move(state: FlowState, step: Step, outcome: str) -> FlowState:
    target = step.on.get(outcome, step.next)
    return replace(state, at=state.document.places[target] if target is not None else state.at + 1)


def _with(state: FlowState, values: Mapping[str, Any]) -> FlowState:
    return replace(state, variables={**state.variables, **values})
