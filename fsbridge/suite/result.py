"""What a run of a suite found: values that the reports are made of, and the comparison. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fsbridge.suite.document import Planned, as_json
from fsbridge.suite.model import Outcome

Event = Mapping[str, Any]
"""An entry of a timeline: at, event, and details."""


@dataclass(frozen=True, slots=True)
class CallReport:
    """One call and what it came to.

    `faults` are the differences from what was expected; `error` says why there is no outcome at all. `started_at` is
    Unix seconds, `took_s` from the request to the end of the call. `wav` is the recording, where there is one.
    """

    planned: Planned
    started_at: float
    took_s: float
    session_id: str = ""
    resource: Mapping[str, Any] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    error: str = ""
    events: Sequence[Event] = ()
    wav: bytes | None = field(default=None, repr=False)

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.faults and not self.error


@dataclass(frozen=True, slots=True)
class SuiteReport:
    """All calls of a run, in the order of the suite."""

    suite: str
    environment: str
    started_at: float
    took_s: float
    calls: Sequence[CallReport]

    @property
    def passed(self) -> bool:
        """Whether every call was as expected."""
        return all(call.passed for call in self.calls)


def differences(expect: Outcome, resource: Mapping[str, Any]) -> tuple[str, ...]:
    """What of an ended call's record is not as expected, in words."""
    return tuple(_differences(expect, resource))


def _differences(expect: Outcome, resource: Mapping[str, Any]) -> Iterator[str]:
    status = resource.get("status")
    if status != expect.expected_status:
        why = ": ".join(str(resource[key]) for key in ("failureReason", "failureDetail") if resource.get(key))
        yield f"status is {status}{f' ({why})' if why else ''}, expected {expect.expected_status}"
    for key, wanted in (
        ("failureReason", expect.failure_reason),
        ("callAnalysisResult", expect.call_analysis_result),
    ):
        if wanted is not None and resource.get(key) != wanted:
            yield f"{key} is {resource.get(key) or 'none'}, expected {wanted}"
    if expect.flow_result is not None:
        for path, found, part in missing(expect.flow_result, resource.get("flowResult")):
            yield f"flowResult{path} is {as_json(found)}, expected {as_json(part)}"
    seconds = resource.get("durationSeconds") or 0
    if expect.min_duration_seconds is not None and seconds < expect.min_duration_seconds:
        yield f"durationSeconds is {seconds}, expected {expect.min_duration_seconds} or more"
    if expect.max_duration_seconds is not None and seconds > expect.max_duration_seconds:
        yield f"durationSeconds is {seconds}, expected {expect.max_duration_seconds} or less"


def missing(wanted: Any, found: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where `wanted` is not a part of `found`: (path, what is there, what was wanted).

    A mapping's keys must be there with a part each; a list must be as long, entry for entry; all else must be equal,
    and true is not 1.
    """
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        for key, part in wanted.items():
            if key not in found:
                yield f"{path}.{key}", None, part
            else:
                yield from missing(part, found[key], f"{path}.{key}")
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for number, (part, there) in enumerate(zip(wanted, found, strict=True)):
            yield from missing(part, there, f"{path}[{number}]")
    elif isinstance(wanted, bool) != isinstance(found, bool) or wanted != found:
        yield path, found, wanted


def broken_steps(events: Sequence[Event]) -> Iterator[str]:
    """The steps of a timeline that failed, with what was heard instead: the evidence of a failure."""
    for event in events:
        if event.get("event") == "stepEnded" and event.get("outcome") in ("failed", "timeout", "missing", "refused"):
            detail = f": {event['detail']}" if event.get("detail") else ""
            yield f"step {event.get('step')} ({event.get('kind')}) {event.get('outcome')}{detail}"
