"""What a step reads, writes, plays and leads to: the knowledge of the kinds that checks of documents share. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fsbridge.flow.document import expression, template
from fsbridge.flow.document.model import Entries, FlowBody, Step
from fsbridge.flow.document.source import Path

FACTS = ("session_id", "destination", "caller_id", "verdict", "org_id", "answerer", "answer_language")
"""Variables that every flow is given; nothing else may take their names."""


def targets(step: Step) -> Iterator[tuple[Path, str]]:
    """The steps that this one names, and where."""
    if step.next is not None:
        yield ("next",), step.next
    if step.goto is not None:
        yield ("goto",), step.goto
    for outcome, target in step.on.items():
        yield ("on", outcome), target
    for number, case in enumerate(step.branch or ()):
        yield ("branch", number, "next"), case.next
    if step.menu is not None:
        for digits, target in step.menu.choices.items():
            yield ("menu", "choices", digits), target


def entries(body: FlowBody) -> Iterator[tuple[Path, str]]:
    """The steps at which a document may begin, as far as it names them."""
    if isinstance(body.entry, Entries):
        for name in Entries.model_fields:
            target = getattr(body.entry, name)
            if target is not None:
                yield ("entry", name), target
    elif body.entry is not None:
        yield ("entry",), body.entry


def falls_through(step: Step) -> bool:
    """Whether the next step in the list may come after this one."""
    if step.kind in ("hangup", "end", "goto", "transfer") or step.next is not None:
        return False
    return step.branch is None or all(case.when is not None for case in step.branch)


def defines(step: Step) -> set[str]:
    """The variables that a step may set."""
    found: set[str] = set(step.set or ())
    for part in (step.gather, step.menu, step.request):
        if part is not None and part.variable is not None:
            found.add(part.variable)
    if step.record is not None:
        found |= {step.record.variable, f"{step.record.variable}_ms"}
    if step.recording is not None:
        found.add("call_recording")
    return found


def named(step: Step) -> Iterator[tuple[Path, str]]:
    """Where a step names the variables that it sets."""
    for name in step.set or ():
        yield ("set", name), name
    for kind in ("gather", "menu", "request", "record"):
        part = getattr(step, kind)
        if part is not None and part.variable is not None:
            yield (kind, "variable"), part.variable


def sources(step: Step) -> Iterator[tuple[Path, str]]:
    """What a step plays."""
    if step.play is not None:
        yield ("play",), step.play
    for kind in ("gather", "menu"):
        part = getattr(step, kind)
        for name in ("prompt", "invalid"):
            if part is not None and getattr(part, name) is not None:
                yield (kind, name), getattr(part, name)


def speeches(step: Step) -> Iterator[tuple[Path, str]]:
    """What a step speaks."""
    if step.speak is not None:
        yield ("speak",), step.speak.text
    for kind in ("gather", "menu"):
        part = getattr(step, kind)
        if part is not None and part.speak is not None:
            yield (kind, "speak"), part.speak.text


def reads(step: Step) -> Iterator[tuple[Path, set[str] | str]]:
    """What a step reads: names, or in words why its text cannot be read."""
    for field, data in (*sources(step), *speeches(step), *_data(step)):
        try:
            yield field, template.data_names(data)
        except template.TemplateError as error:
            yield field, str(error)
    for number, case in enumerate(step.branch or ()):
        if case.when is not None:
            try:
                yield ("branch", number, "when"), expression.check(case.when)
            except expression.ExpressionError as error:
                yield ("branch", number, "when"), str(error)


def _data(step: Step) -> Iterator[tuple[Path, Any]]:
    for name, value in (step.set or {}).items():
        if isinstance(value, str):
            yield ("set", name), value
    if step.say is not None:
        yield ("say", "value"), step.say.value
    if step.request is not None:
        yield ("request", "url"), step.request.url
        yield ("request", "body"), step.request.body
        for name, header in step.request.headers.items():
            if isinstance(header, str):
                yield ("request", "headers", name), header
    if step.bridge is not None:
        yield ("bridge", "to"), step.bridge.to
        yield ("bridge", "caller_id"), step.bridge.caller_id
    if step.transfer is not None:
        yield ("transfer", "extension"), step.transfer.extension
    if step.conference is not None:
        yield ("conference", "room"), step.conference.room
    if step.send_dtmf is not None:
        yield ("send_dtmf", "digits"), step.send_dtmf.digits
    if step.stream is not None:
        yield ("stream", "url"), step.stream.url
        yield ("stream", "metadata"), step.stream.metadata
    if step.notify is not None:
        yield ("notify", "data"), step.notify.data
    if step.end is not None:
        yield ("end", "result"), step.end.result
