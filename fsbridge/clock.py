"""Where time comes from; nobody else reads a clock.

Spans, pauses and deadlines are made of `monotonic`. `wall` is for moments that people read or that outlive the process:
it may be set by an hour at any time, so the difference of two of its readings is no span.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Seconds; `monotonic` never goes back, `wall` is Unix time."""

    def monotonic(self) -> float: ...

    def wall(self) -> float: ...


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()  # noqa: TID251 - the one place that reads it


def rfc3339(wall: float) -> str:
    """Unix seconds as RFC 3339 UTC with milliseconds, e.g. ``2026-01-31T12:00:00.250Z``."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
