"""A flow's text into a checked document, or every fault in it with its line. Pure.

What the shapes (`flow.model`) cannot say is checked here: targets that do not exist, ids that stand twice, texts and
conditions that cannot be read, spoken or played, variables that nothing defines, steps that are never reached, and
circles in which nothing happens.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from fsbridge.flow import expression, template
from fsbridge.flow.errors import FlowInvalid
from fsbridge.flow.model import KINDS, Case, Defaults, FlowBody, FlowDocument, Gather, Speak, Step
from fsbridge.flow.source import Path, Source, SourceError, read

MAX_TOLD = 100
"""Faults that are told of one document; a report is read by people, and by callers who get it in an error's body."""

FACTS = ("session_id", "destination", "caller_id", "verdict")
"""Variables that every flow is given; nothing else may take their names."""

Fault = tuple[Path, str]

_PARTS: tuple[type[BaseModel], ...] = (FlowBody, Step, Speak, Gather, Case)
_KEYS = sorted({name for part in _PARTS for name in part.model_fields})
_WORDS = {
    "missing": "is missing",
    "model_type": "must be a mapping (key: value)",
    "dict_type": "must be a mapping (key: value)",
    "tuple_type": "must be a list",
    "string_type": "must be text; put a number in quotes",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_too_short": "is empty",
}
_NAME_HINT = "begins with a letter and has only letters, digits, _ and - (at most 64 characters)"
_PATTERN_HINTS = {
    "id": _NAME_HINT,
    "next": _NAME_HINT,
    "variable": "begins with a letter and has only letters, digits and _ (at most 64 characters)",
    "voice": "has only letters, digits and _ . - (at most 64 characters)",
    "engine": "has only letters, digits and _ . - (at most 64 characters)",
    "terminators": "has only digits, * and # (at most 12)",
    "pattern": "a regular expression of at most 60 of the characters 0-9 * # [ ] ( ) | ? + ^ - and \\d",
    "hangup": "a hang-up cause of FreeSWITCH, such as NORMAL_CLEARING",
}


def parse(
    text: str, source: str = "flow", defaults: Defaults | None = None, *, call_variables: bool = True
) -> FlowDocument:
    """A document. Raises FlowInvalid with every fault as ``source:line: step id: field: what is wrong``.

    With `call_variables`, names that the document does not define may come with the call and are no fault.
    """
    try:
        read_source = read(text)
    except SourceError as error:
        raise FlowInvalid(tuple(f"{source}:{line}: {fault}" for line, fault in error.faults)) from error
    defaults = defaults or Defaults()
    raw = read_source.value
    try:
        body = FlowBody.model_validate(raw)
    except ValidationError as error:
        faults = [*_misshapen(error, read_source), *_meaning_of_good_steps(raw, defaults)]
        raise FlowInvalid(_told(faults, read_source, source)) from error
    faults = list(_meaning(body, defaults, call_variables))
    if faults:
        raise FlowInvalid(_told(faults, read_source, source))
    return FlowDocument(body=body, version=hashlib.sha256(text.encode()).hexdigest()[:16], defaults=defaults)


def _told(faults: Sequence[Fault], read_source: Source, source: str) -> tuple[str, ...]:
    """Faults in the order of the text; a place is a path whose field is said in words, behind the step's name."""
    lines = sorted((read_source.line(path), number) for number, (path, _) in enumerate(faults))
    told = tuple(
        f"{source}:{line}: {_where(read_source.value, *faults[number])}" for line, number in lines[: MAX_TOLD + 1]
    )
    if len(lines) > MAX_TOLD:
        told = (*told[:MAX_TOLD], f"{source}: and {len(lines) - MAX_TOLD} more")
    return told


def _where(raw: Any, path: Path, what: str) -> str:
    in_step = len(path) > 1 and path[0] == "steps" and isinstance(path[1], int)
    field = ".".join(str(part)[:64] for part in (path[2:] if in_step else path))
    step = _step_name(raw, path[1]) if in_step else ""
    # Keys and ids are anybody's text: none of it may steer a terminal or forge a line of a log.
    return "".join(c if c.isprintable() else "?" for c in (f"{step}{field}: {what}" if field else f"{step}{what}"))


def _step_name(raw: Any, number: Any) -> str:
    try:
        step_id = raw["steps"][number]["id"]
    except (KeyError, IndexError, TypeError):
        step_id = None
    return f"step {step_id}: " if isinstance(step_id, str) and len(step_id) <= 64 else f"step {number + 1}: "


# --- shape ---------------------------------------------------------------------------------------------


def _misshapen(error: ValidationError, read_source: Source) -> Iterator[Fault]:
    """pydantic's findings in words."""
    raw = read_source.value
    if not isinstance(raw, dict):
        yield (), "a flow is a mapping with the key steps"
        return
    for found in error.errors():
        path: Path = tuple(part for part in found["loc"] if part != "[key]")
        # A list whose items are at fault is told to be too short as well.
        if found["type"] == "too_short" and path == ("steps",) and raw["steps"]:
            continue
        yield path, _in_words(found, path)


def _in_words(found: Any, path: Path) -> str:
    kind, message = found["type"], str(found["msg"]).removeprefix("Value error, ")
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(path[-1]), _KEYS, 1)
        return "no such key" + (f"; did you mean {near[0]}?" if near else "")
    if kind == "string_pattern_mismatch":
        hint = _PATTERN_HINTS.get(str(path[-1]), _NAME_HINT)
        return f"{str(found['input'])[:60]!r} is not allowed: {hint}"
    if kind == "missing" and path == ("steps",):
        return "is missing; a flow is a mapping with the key steps"
    if kind in ("model_type", "dict_type") and len(path) == 2 and path[0] == "steps":
        return f"a step is a mapping with an id and one of {', '.join(KINDS)}"
    if kind in ("too_long", "too_short"):
        bounds = found["ctx"]
        limit = f"at most {bounds['max_length']}" if kind == "too_long" else f"at least {bounds['min_length']}"
        return f"has {bounds['actual_length']} entries; it may have {limit}"
    return _WORDS.get(kind, message[:1].lower() + message[1:])


def _meaning_of_good_steps(raw: Any, defaults: Defaults) -> Iterator[Fault]:
    """What can be said of the steps that are well-formed beside others that are not: all faults are told at once."""
    steps = raw.get("steps") if isinstance(raw, dict) else None
    if not isinstance(steps, list):
        return
    ids = {step["id"] for step in steps if isinstance(step, dict) and isinstance(step.get("id"), str)}
    for number, each in enumerate(steps):
        try:
            step = Step.model_validate(each)
        except ValidationError:
            continue
        yield from _meaning_of_step(number, step, ids, defaults)


# --- meaning -------------------------------------------------------------------------------------------


def _meaning(body: FlowBody, defaults: Defaults, call_variables: bool) -> Iterator[Fault]:
    places: dict[str, int] = {}
    for number, step in enumerate(body.steps):
        if step.id in places:
            yield ("steps", number, "id"), f"{step.id!r} stands twice"
        places.setdefault(step.id, number)
    if body.entry is not None and body.entry not in places:
        yield ("entry",), f"there is no step {body.entry!r}"
    for name in body.variables:
        if name in FACTS:
            yield ("variables", name), "is a fact of the call; choose another name"
    for number, step in enumerate(body.steps):
        yield from _meaning_of_step(number, step, places.keys(), defaults)
    if not call_variables:
        yield from _undefined(body)
    if len(places) == len(body.steps):
        yield from _unreached(body, places)
        yield from _idle_circles(body, places)


def _meaning_of_step(number: int, step: Step, ids: Any, defaults: Defaults) -> Iterator[Fault]:
    here: Path = ("steps", number)
    for field, target in _targets(step):
        if target not in ids:
            near = difflib.get_close_matches(target, ids, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            yield (*here, *field), f"there is no step {target!r}{hint}"
    for field, names in _reads(step):
        if isinstance(names, str):
            yield (*here, *field), names
    for name in (*(step.set or ()), *((step.gather.variable,) if step.gather else ())):
        if name in FACTS:
            field = ("set", name) if step.set else ("gather", "variable")
            yield (*here, *field), f"{name!r} is a fact of the call; choose another name"
    if step.hangup is not None and step.next is not None:
        yield (*here, "next"), "nothing comes after a hangup; take it out"
    yield from (((*here, *field), fault) for field, fault in _lost_in_speech(step))
    yield from (((*here, *field), fault) for field, fault in _unplayable(step, defaults))


def _targets(step: Step) -> Iterator[tuple[Path, str]]:
    if step.next is not None:
        yield ("next",), step.next
    for outcome, target in step.on.items():
        yield ("on", outcome), target
    for number, case in enumerate(step.branch or ()):
        yield ("branch", number, "next"), case.next


def _reads(step: Step) -> Iterator[tuple[Path, set[str] | str]]:
    """What a step reads: names, or in words why its text cannot be read."""
    for field, text in _texts(step):
        try:
            yield field, template.names(text)
        except template.TemplateError as error:
            yield field, str(error)
    for number, case in enumerate(step.branch or ()):
        if case.when is not None:
            try:
                yield ("branch", number, "when"), expression.check(case.when)
            except expression.ExpressionError as error:
                yield ("branch", number, "when"), str(error)


def _texts(step: Step) -> Iterator[tuple[Path, str]]:
    yield from _sources(step)
    if step.speak is not None:
        yield ("speak",), step.speak.text
    for name, value in (step.set or {}).items():
        if isinstance(value, str):
            yield ("set", name), value


def _sources(step: Step) -> Iterator[tuple[Path, str]]:
    if step.play is not None:
        yield ("play",), step.play
    if step.gather is not None:
        for name, source in (("prompt", step.gather.prompt), ("invalid", step.gather.invalid)):
            if source is not None:
                yield ("gather", name), source


def _lost_in_speech(step: Step) -> Iterator[tuple[Path, str]]:
    if step.speak is not None and (lost := template.unspeakable(step.speak.text)):
        yield ("speak",), f"{' '.join(lost[:20])} cannot be spoken; write the word instead"


def _unplayable(step: Step, defaults: Defaults) -> Iterator[tuple[Path, str]]:
    """A source without variables is known now."""
    for field, source in _sources(step):
        if "{{" not in source:
            try:
                template.playable(source, defaults.prompts_dir)
            except template.TemplateError as error:
                yield field, str(error)


def _undefined(body: FlowBody) -> Iterator[Fault]:
    defined = {*FACTS, *body.variables}
    for step in body.steps:
        defined |= set(step.set or ()) | ({step.gather.variable} if step.gather else set())
    for number, step in enumerate(body.steps):
        for field, names in _reads(step):
            if not isinstance(names, str) and names - defined:
                yield ("steps", number, *field), f"nothing defines {', '.join(sorted(names - defined))}"


def _unreached(body: FlowBody, places: dict[str, int]) -> Iterator[Fault]:
    todo = [places.get(body.entry or "", 0)]
    reached: set[int] = set()
    while todo:
        number = todo.pop()
        if number in reached or number >= len(body.steps):
            continue
        reached.add(number)
        step = body.steps[number]
        todo += [places[target] for _, target in _targets(step) if target in places]
        if step.hangup is None and step.next is None and not _always_leaves(step):
            todo.append(number + 1)
    for number in range(len(body.steps)):
        if number not in reached:
            yield ("steps", number), "is never reached; name it in next, on or branch, or take it out"


def _always_leaves(step: Step) -> bool:
    return step.branch is not None and any(case.when is None for case in step.branch)


def _idle_circles(body: FlowBody, places: dict[str, int]) -> Iterator[Fault]:
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


def _only_way(step: Step, number: int, places: dict[str, int]) -> int | None:
    if step.set is not None:
        target = step.on.get("done", step.next)
        return number + 1 if target is None else places.get(target)
    if step.branch is not None and step.branch[0].when is None:
        return places.get(step.branch[0].next)
    return None
