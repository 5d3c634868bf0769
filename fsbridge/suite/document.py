"""A suite's text into a checked suite, and a suite in an environment into the calls to be placed. Pure.

Faults are told as a flow's are, all at once: ``source:line: call NAME: field: what is wrong``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from fsbridge.errors import FsbridgeError
from fsbridge.flow.document import template
from fsbridge.flow.document.faults import Fault, item_of, misspelt, told
from fsbridge.flow.document.source import Path, Source, SourceError, read
from fsbridge.model.ids import is_uuid
from fsbridge.near import Words
from fsbridge.suite.model import FLOW_SCHEME, MAX_PLACED, Environment, Outcome, SuiteBody, SuiteCall

SIMULATED = "simulated"
"""The environment of a simulation that names none."""
_ENVIRONMENT = "environment"
_FIRST_NUMBER = 15_550_300_000
"""Where the numbers of simulated far ends begin."""

_SHAPES = (SuiteBody, SuiteCall, Environment, Outcome)
_KEYS = Words(sorted({found.alias or name for shape in _SHAPES for name, found in shape.model_fields.items()}))
_HINTS = {
    "url": "the service's base address, such as https://calls.example.com",
    "key_env": "the name of an environment variable, such as FSBRIDGE_KEY",
    "callerId": "up to 15 digits, with or without +",
    "[key]": "a name has letters, digits and _ only, and begins with a letter",
}


class SuiteInvalid(FsbridgeError):
    """A suite cannot be run; `problems` has every fault: file, line, call, field, what is wrong."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problems))


@dataclass(frozen=True, slots=True)
class Suite:
    """A checked suite; `source` is what its text is called, and `text` says on which lines things stand."""

    body: SuiteBody
    source: str
    text: Source

    def told(self, faults: Sequence[Fault]) -> SuiteInvalid:
        """Faults found later, with their lines."""
        return _refused(faults, self.text, self.source)


@dataclass(frozen=True, slots=True)
class Planned:
    """One call to be placed. `flow` is a UUID or a document's path; `place` is its number in the suite's list.

    `request` is the body of the POST (in poll mode), `attempt` counts from 1 where it is repeated.
    """

    name: str
    attempt: int
    place: int
    flow: str
    request: Mapping[str, Any]
    expect: Outcome
    timeout_s: float
    far_end: str | list[Any] | None = field(default=None)

    @property
    def title(self) -> str:
        """The name, and which of several it is."""
        return self.name if self.attempt == 0 else f"{self.name} #{self.attempt}"


def parse(text: str, source: str = "suite") -> Suite:
    """A suite. Raises SuiteInvalid."""
    try:
        found = read(text)
    except SourceError as error:
        raise SuiteInvalid([f"{source}:{line}: {fault}" for line, fault in error.faults]) from error
    if not isinstance(found.value, dict):
        raise SuiteInvalid([f"{source}:1: a suite is a mapping with the keys name, environments and calls"])
    try:
        body = SuiteBody.model_validate(found.value)
    except ValidationError as error:
        raise _refused(list(_misshapen(error)), found, source) from error
    suite = Suite(body, source, found)
    faults = list(_meaning(body))
    if faults:
        raise suite.told(faults)
    return suite


def environment(suite: Suite, name: str | None, simulate: bool) -> tuple[str, Environment]:
    """The environment to run in, by its name. Raises SuiteInvalid."""
    known = suite.body.environments
    if name is None and simulate:
        return SIMULATED, known.get(SIMULATED, Environment())
    if name is None and len(known) == 1:
        name = next(iter(known))
    if name is None or name not in known:
        near = Words(known).nearest(name or "")
        hint = f"; did you mean {near}?" if near else ""
        what = f"there is no environment {name!r}" if name is not None else "choose an environment"
        raise suite.told([(("environments",), f"{what}; there are {', '.join(known) or 'none'}{hint}")])
    found = known[name]
    if found.url is None and not simulate:
        raise suite.told([(("environments", name), "has no url, org and key_env: it is for a simulation only")])
    return name, found


def plan(
    suite: Suite, name: str, place: Environment, *, only: str | None = None, simulate: bool = False
) -> list[Planned]:
    """The calls to be placed in an environment, in order. Raises SuiteInvalid.

    `only` leaves out calls whose name does not hold it. In a simulation, a call that has a far end of its own is placed
    to a number that only this far end answers, whatever `to` says.
    """
    scope = {**place.variables, "numbers": dict(place.numbers), _ENVIRONMENT: name}
    faults: list[Fault] = []
    planned: list[Planned] = []
    for number, call in enumerate(suite.body.calls):
        if only is not None and only.lower() not in call.name.lower():
            continue
        request, wrong = _request(call, number, place, scope, simulate)
        faults += wrong
        for attempt in range(1, call.repeat + 1):
            planned.append(
                Planned(
                    name=call.name,
                    attempt=attempt if call.repeat > 1 else 0,
                    place=number,
                    flow=call.flow,
                    request=request,
                    expect=call.expect,
                    timeout_s=call.timeout,
                    far_end=call.far_end if simulate else None,
                )
            )
    if faults:
        raise suite.told(faults)
    if not planned:
        raise SuiteInvalid([f"{suite.source}: no call's name holds {only!r}"])
    return planned


def _request(
    call: SuiteCall, number: int, place: Environment, scope: Mapping[str, Any], simulate: bool
) -> tuple[dict[str, Any], list[Fault]]:
    faults: list[Fault] = []
    request: dict[str, Any] = {"mode": "poll"}
    if simulate and call.far_end is not None:
        request["destinationNumber"] = f"+{_FIRST_NUMBER + number}"
    elif call.to is None:
        faults.append((("calls", number), "has no number to call (to); its far_end is for a simulation only"))
    else:
        try:
            request["destinationNumber"] = str(template.render(call.to, scope))
        except template.TemplateError as error:
            faults.append((("calls", number, "to"), f"{error}{_known(call.to, place)}"))
    try:
        request["variables"] = {**place.variables, **template.render_data(call.variables, scope)}
    except template.TemplateError as error:
        faults.append((("calls", number, "variables"), str(error)))
    if call.call_analysis:
        request["callAnalysis"] = list(call.call_analysis)
    if call.call_analysis_options is not None:
        request["callAnalysisOptions"] = call.call_analysis_options
    if call.caller_id is not None:
        request["callerId"] = call.caller_id
    return request, faults


def _known(text: str, place: Environment) -> str:
    if "numbers." not in text:
        return ""
    return f"; the environment's numbers are {', '.join(place.numbers) or 'none'}"


def destination_of(planned: Planned) -> str:
    """The number or SIP URI that is called."""
    return str(planned.request["destinationNumber"])


def is_flow_id(flow: str) -> bool:
    """Whether a call's flow is one that the service has, not a document of ours."""
    return is_uuid(flow.lower())


# --- faults --------------------------------------------------------------------------------------------


def _meaning(body: SuiteBody) -> Iterator[Fault]:
    names: set[str] = set()
    for number, call in enumerate(body.calls):
        here: Path = ("calls", number)
        if call.name in names:
            yield (*here, "name"), f"{call.name!r} stands twice; a report needs names that differ"
        names.add(call.name)
        for field_, value in (("to", call.to), ("variables", call.variables)):
            try:
                template.data_names(value)
            except template.TemplateError as error:
                yield (*here, field_), str(error)
        far_end = call.far_end
        if isinstance(far_end, str) and "://" in far_end and not far_end.removeprefix(FLOW_SCHEME):
            yield (*here, "far_end"), "names no document behind flow://"
    for name, place in body.environments.items():
        for reserved in ("numbers", _ENVIRONMENT):
            if reserved in place.variables:
                yield ("environments", name, "variables", reserved), "has a meaning of its own; choose another name"
    if sum(call.repeat for call in body.calls) > MAX_PLACED:
        yield ("calls",), f"are more than {MAX_PLACED} with their repeats"


def _misshapen(error: ValidationError) -> Iterator[Fault]:
    for found in error.errors():
        path: Path = found["loc"]
        # A value of several shapes is told once, by its place and not by each shape's name.
        if len(path) > 3 and path[0] == "calls" and path[2] == "far_end":
            if path[3] != "str" and "list" in str(path[3]):
                continue
            yield path[:3], "must be steps, the name of a far end, or flow://PATH"
            continue
        yield tuple(part for part in path if part != "[key]"), _in_words(found, path)


def _in_words(found: Any, path: Path) -> str:
    return misspelt(found, path, _KEYS, _HINTS.get(str(path[-1])) if path else None)


def _refused(faults: Sequence[Fault], text: Source, source: str) -> SuiteInvalid:
    return SuiteInvalid([str(problem) for problem in told(faults, text, source, _where)])


def _where(raw: Any, path: Path) -> tuple[None, str]:
    call, field_ = item_of(raw, path, "calls", "name")
    return None, ": ".join(part for part in (f"call {call}" if call else "", field_) if part)


def as_json(value: Any) -> str:
    """A value for people to read, bounded."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 500 else text[:499] + "…"
