"""A flow's text into a checked document, or every fault in it with its line. Pure.

YAML (of which JSON is a part) by the safe loader; aliases, duplicate keys, and texts beyond the bounds are
refused. What the shapes cannot say is checked here: targets that do not exist, ids that stand twice, variables that
nothing defines, conditions and templates that cannot be read, steps that are never reached.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from fsbridge.flow import expression, template
from fsbridge.flow.errors import FlowInvalid
from fsbridge.flow.model import Defaults, FlowBody, FlowDocument, Gather, Speak, Step

MAX_BYTES = 256 * 1024
MAX_DEPTH = 12
FACTS = ("session_id", "destination", "caller_id", "verdict")
"""Variables that every flow is given."""

Path = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """The safe loader with YAML 1.2's booleans: `true` and `false` only, so that `on`, `yes` and `no` are words."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"true|True|TRUE|false|False|FALSE"), list("tTfF"))


def parse(
    text: str, source: str = "flow", defaults: Defaults | None = None, *, call_variables: bool = True
) -> FlowDocument:
    """A document. Raises FlowInvalid with every fault as ``source:line: step id: field: what is wrong``.

    With `call_variables`, names that the document does not define may come with the call and are no fault.
    """
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise FlowInvalid((f"{source}: larger than {MAX_BYTES // 1024} kB",))
    try:
        for token in yaml.scan(text):
            if isinstance(token, yaml.AliasToken):
                mark = token.start_mark
                raise FlowInvalid((f"{source}:{mark.line + 1}: aliases (*name) are not allowed; write it out",))
        root = yaml.compose(text, _Loader)
        lines: dict[Path, int] = {}
        faults = list(_survey(root, (), lines)) if root is not None else []
        if faults:
            raise FlowInvalid(tuple(f"{source}:{line}: {fault}" for line, fault in faults))
        raw = yaml.load(text, _Loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise FlowInvalid((f"{source}:{_line_of(error)}: not YAML: {_problem_of(error)}",)) from error
    try:
        body = FlowBody.model_validate(raw)
    except ValidationError as error:
        faults_found = tuple(_explain(fault, raw, lines, source) for fault in error.errors())
        raise FlowInvalid(faults_found) from error
    problems = tuple(
        f"{source}:{_line(lines, path)}: {_step_name(raw, path)}{fault}"
        for path, fault in _meaning(body, call_variables)
    )
    if problems:
        raise FlowInvalid(problems)
    version = hashlib.sha256(text.encode()).hexdigest()[:16]
    return FlowDocument(body=body, version=version, defaults=defaults or Defaults())


# --- shape ---------------------------------------------------------------------------------------------


def _survey(node: yaml.Node, path: Path, lines: dict[Path, int]) -> Iterator[tuple[int, str]]:
    """Note each node's line; find keys that stand twice and nesting that is too deep."""
    line = node.start_mark.line + 1
    lines.setdefault(path, line)
    if len(path) > MAX_DEPTH:
        yield line, f"nested deeper than {MAX_DEPTH} levels"
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                yield key.start_mark.line + 1, f"the key {name!r} stands twice"
            seen.add(name)
            lines[(*path, name)] = key.start_mark.line + 1
            yield from _survey(value, (*path, name), lines)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _survey(value, (*path, number), lines)


def _explain(fault: Any, raw: Any, lines: Mapping[Path, int], source: str) -> str:
    location: Path = tuple(fault["loc"])
    known = location
    while known and known not in lines:
        known = known[:-1]
    in_step = known[:1] == ("steps",) and len(known) > 1
    field = ".".join(map(str, known[2:] if in_step else known))
    message = "no such key" if fault["type"] == "extra_forbidden" else str(fault["msg"]).removeprefix("Value error, ")
    if not isinstance(raw, dict):
        message = "a flow is a mapping with the key steps"
    where = f"{field}: " if field else ""
    return f"{source}:{_line(lines, known)}: {_step_name(raw, location)}{where}{message}"


def _step_name(raw: Any, path: Path) -> str:
    if len(path) < 2 or path[0] != "steps" or not isinstance(path[1], int):
        return ""
    try:
        step_id = raw["steps"][path[1]]["id"]
    except (KeyError, IndexError, TypeError):
        return f"step {path[1] + 1}: "
    return f"step {step_id}: "


def _line(lines: Mapping[Path, int], path: Path) -> int:
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _line_of(error: Exception) -> int:
    mark = getattr(error, "problem_mark", None)
    return mark.line + 1 if mark is not None else 1


def _problem_of(error: Exception) -> str:
    return str(getattr(error, "problem", None) or error)[:200]


# --- meaning -------------------------------------------------------------------------------------------


def _meaning(body: FlowBody, call_variables: bool) -> Iterator[tuple[Path, str]]:
    ids = [step.id for step in body.steps]
    for number, step_id in enumerate(ids):
        if step_id in ids[:number]:
            yield ("steps", number, "id"), f"id: {step_id!r} stands twice"
    if body.entry is not None and body.entry not in ids:
        yield ("entry",), f"entry: there is no step {body.entry!r}"
    defined = {*FACTS, *body.variables}
    for step in body.steps:
        defined |= set(step.set or ()) | ({step.gather.variable} if step.gather else set())
    for number, step in enumerate(body.steps):
        for field, target in _targets(step):
            if target not in ids:
                yield ("steps", number, *field), f"{'.'.join(map(str, field))}: there is no step {target!r}"
        for field, read in _reads(step):
            if isinstance(read, str):
                yield ("steps", number, *field), f"{field[0]}: {read}"
            elif not call_variables and read - defined:
                yield ("steps", number, *field), f"{field[0]}: nothing defines {', '.join(sorted(read - defined))}"
    yield from _unreached(body, ids)


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
    match step:
        case Step(play=str() as text):
            yield ("play",), text
        case Step(speak=str() as text):
            yield ("speak",), text
        case Step(speak=Speak(text=text)):
            yield ("speak", "text"), text
        case Step(gather=Gather() as gather):
            yield from ((("gather", name), text) for name in ("prompt", "invalid") if (text := getattr(gather, name)))
        case Step(set=dict() as values):
            yield from ((("set", name), value) for name, value in values.items() if isinstance(value, str))


def _unreached(body: FlowBody, ids: list[str]) -> Iterator[tuple[Path, str]]:
    if len(set(ids)) != len(ids):
        return
    todo = [body.entry if body.entry in ids else ids[0]]
    reached: set[str] = set()
    while todo:
        step_id = todo.pop()
        if step_id is None or step_id in reached or step_id not in ids:
            continue
        reached.add(step_id)
        number = ids.index(step_id)
        step = body.steps[number]
        todo += [target for _, target in _targets(step)]
        falls = step.hangup is None and step.next is None and not _always_leaves(step)
        if falls and number + 1 < len(ids):
            todo.append(ids[number + 1])
    for number, step_id in enumerate(ids):
        if step_id not in reached:
            yield ("steps", number), "is never reached; name it in next, on or branch, or take it out"


def _always_leaves(step: Step) -> bool:
    return step.branch is not None and any(case.when is None for case in step.branch)
