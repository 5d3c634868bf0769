"""Whether a node takes new calls, and why not, by what it says of itself. Pure.

A HEARTBEAT says "System Ready" while nothing is admitted (`fsctl pause`) and while the node goes down: `fsctl shutdown`
leaves the event socket open for half a minute in which every call fails. Only these questions tell
(tests/traces standing_paused, standing_shut_down):

| | `fsctl pause_check outbound` | `fsctl ready_check` | calls end with |
|---|---|---|---|
| as ever | false | true | |
| `fsctl pause` | true | false | DESTINATION_OUT_OF_ORDER |
| `fsctl pause outbound` | true | true | DESTINATION_OUT_OF_ORDER |
| `fsctl shutdown` | false | false | SYSTEM_SHUTDOWN, then CHAN_NOT_IMPLEMENTED |
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from fsbridge.esl.events import Event

QUESTIONS = ("fsctl pause_check outbound", "fsctl ready_check")
"""The `api` commands whose answers `read_standing` takes, in this order."""

DOUBTFUL = frozenset({"DESTINATION_OUT_OF_ORDER", "CHAN_NOT_IMPLEMENTED", "SYSTEM_SHUTDOWN"})
"""Causes of a call's end that make it worth while to ask."""


class Standing(StrEnum):
    """What a connected node has said last; the words are for people."""

    OPEN = ""
    PAUSED = "paused until fsctl resume"
    CLOSING = "shutting down"
    SILENT = "it does not answer whether it takes calls"


@dataclass(frozen=True, slots=True)
class Health:
    """What the last HEARTBEAT said.

    `sessions_per_second` is the node's limit less what it took in this second (switch_time.c), `peak_per_second` the
    most that it has seen.
    """

    sessions: int
    max_sessions: int
    sessions_per_second: int
    peak_per_second: int
    idle_cpu: float

    @property
    def full(self) -> bool:
        """Whether it has as many sessions as it may."""
        return self.sessions >= self.max_sessions > 0


def read_standing(paused: str, ready: str) -> Standing:
    """The answers to QUESTIONS; an answer that is neither yes nor no says nothing against the node."""
    if paused.strip() == "true":
        return Standing.PAUSED
    return Standing.CLOSING if ready.strip() == "false" else Standing.OPEN


def read_health(event: Event) -> Health:
    """A HEARTBEAT's figures; what is missing or no number counts as 0 (fs-traces/unknown_gateway)."""

    def number(name: str) -> float:
        try:
            value = float(event.headers.get(name, "0"))
        except ValueError:
            return 0.0
        return value if math.isfinite(value) else 0.0

    return Health(
        sessions=int(number("Session-Count")),
        max_sessions=int(number("Max-Sessions")),
        sessions_per_second=int(number("Session-Per-Sec")),
        peak_per_second=int(number("Session-Per-Sec-Max")),
        idle_cpu=number("Idle-CPU"),
    )


def reason(standing: Standing, health: Health | None, draining: bool) -> str:
    """Why a connected node takes no new calls, in words; empty where it does."""
    if draining:
        return "drained"
    if standing is not Standing.OPEN:
        return str(standing)
    if health is not None and health.full:
        return f"full: {health.sessions} of {health.max_sessions} sessions"
    return ""
