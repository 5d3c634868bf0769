"""The ways through a document: steps that are never reached, and circles in which nothing happens. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fsbridge.flow.document.faults import Fault
from fsbridge.flow.document.model import FlowBody, Step
from fsbridge.flow.document.reading import entries, falls_through, targets


def unreached(body: FlowBody, places: Mapping[str, int]) -> Iterator[Fault]:
    """Steps that no way from an entry leads to."""
    named = [places[target] for _, target in entries(body) if target in places]
    # Without a default, calls with another verdict begin at the list's first step.
    first = [] if isinstance(body.entry, str) or (body.entry is not None and body.entry.default is not None) else [0]
    todo = [*named, *first]
    reached: set[int] = set()
    while todo:
        number = todo.pop()
        if number in reached or number >= len(body.steps):
            continue
        reached.add(number)
        step = body.steps[number]
        todo += [places[target] for _, target in targets(step) if target in places]
        if falls_through(step):
            todo.append(number + 1)
    for number in range(len(body.steps)):
        if number not in reached:
            yield ("steps", number), "is never reached; name it in next, on or branch, or take it out"


def idle_circles(body: FlowBody, places: Mapping[str, int]) -> Iterator[Fault]:
    """Steps that do nothing on the channel and lead, without a condition, back to themselves."""
    after = [_only_way(step, number, places) for number, step in enumerate(body.steps)]
    seen: set[int] = set()
    for begin in range(len(after)):
        way: list[int] = []
        number: int | None = begin
        while number is not None and number < len(after) and number not in seen:
            seen.add(number)
            way.append(number)
            number = after[number]
        if number in way:
            circle = way[way.index(number) :]
            names = ", ".join(body.steps[each].id for each in circle[:5])
            yield ("steps", circle[0]), f"goes round for ever without doing anything ({names})"


def _only_way(step: Step, number: int, places: Mapping[str, int]) -> int | None:
    if step.goto is not None:
        return places.get(step.goto)
    if step.set is not None:
        target = step.on.get("done", step.next)
        return number + 1 if target is None else places.get(target)
    if step.branch is not None and step.branch[0].when is None:
        return places.get(step.branch[0].next)
    return None
