"""The demo's calls and what each must come to. Pure: data and one comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ORG = "6f1c0a52-3a51-4d0c-9a0e-0f2f1f6f4a10"
FLOW = "a3d4f6b8-0c1e-4f2a-8b3c-5d6e7f809102"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One call: who is called, in which mode, with which analysis, and the outcome that is expected.

    `expected` are fields of the call resource; `callbacks` the webhook events, in order.
    """

    title: str
    destination: str
    mode: str
    analysis: tuple[str, ...]
    expected: Mapping[str, Any]
    callbacks: tuple[str, ...] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)


_PERSON = {"status": "Completed", "callAnalysisResult": "live_person", "failureReason": None}

SCENARIOS = (
    Scenario("a person answers", "+15550100001", "sync", ("live_person",), _PERSON),
    Scenario(
        "a person who presses 1",
        "+15550100010",
        "poll",
        ("live_person",),
        _PERSON,
        variables={"name": "Amelia"},
    ),
    Scenario(
        "a machine, not wanted",
        "+15550100002",
        "poll",
        ("live_person",),
        {"status": "Failed", "callAnalysisResult": "answering_machine", "failureReason": "answering_machine"},
    ),
    Scenario(
        "a machine, greeted after the beep",
        "+15550100011",
        "poll",
        ("live_person", "answering_machine"),
        {"status": "Completed", "callAnalysisResult": "answering_machine", "failureReason": None},
    ),
    Scenario(
        "a fax",
        "+15550100003",
        "sync",
        ("live_person",),
        {"status": "Failed", "callAnalysisResult": "fax", "failureReason": "fax"},
    ),
    Scenario(
        "a busy line",
        "+15550100004",
        "sync",
        ("live_person",),
        {"status": "Failed", "callAnalysisResult": None, "failureReason": "busy"},
    ),
    Scenario(
        "a line that rings out",
        "+15550100005",
        "poll",
        ("live_person",),
        {"status": "Failed", "callAnalysisResult": None, "failureReason": "no_answer"},
    ),
    Scenario("a SIP URI", "sip:live@127.0.0.1:5080", "poll", ("live_person",), _PERSON),
    Scenario(
        "a person, told by webhook",
        "+15550100001",
        "webhook",
        ("live_person",),
        _PERSON,
        callbacks=("call.answered", "call.completed"),
    ),
    Scenario(
        "a machine, told by webhook",
        "+15550100012",
        "webhook",
        ("live_person",),
        {"status": "Failed", "callAnalysisResult": "answering_machine", "failureReason": "answering_machine"},
        callbacks=("call.answered", "call.failed"),
    ),
)


def differences(scenario: Scenario, resource: Mapping[str, Any], callbacks: tuple[str, ...]) -> list[str]:
    """What came out otherwise than expected, in words; empty when all is well."""
    found = [
        f"{key} is {resource.get(key)!r}, expected {value!r}"
        for key, value in scenario.expected.items()
        if resource.get(key) != value
    ]
    if scenario.callbacks and callbacks != scenario.callbacks:
        found.append(f"callbacks were {', '.join(callbacks) or 'none'}, expected {', '.join(scenario.callbacks)}")
    return found
