"""When the sweep's slots run, how well that is kept, and whether one stream more would fit.

Pure: told the time, never reads it; owned by the server, which runs the slots.
"""

from __future__ import annotations

from collections import deque

GROUPS = 3
"""Slots in a cycle. Fewer make larger batches and longer waits: with two, a core carried 3 % more streams than with
three, and a verdict's lag p99 was 126 ms instead of 95; with five, 12 % fewer and 78 ms."""
CYCLE_S = 0.1
"""Each stream is swept once a cycle: as often as it can have a whole tick."""
SLOT_S = CYCLE_S / GROUPS
YIELD_S = 0.0005
MAX_LAG_S = 0.150
"""A slot that ends this long after its time is late; several in the last second refuse new streams."""
LATE_SLOTS = 5
MAX_BUSY = 0.80
"""Share of the time that slots may take, the new stream included. Handshakes, and bursts of whatever shares the
core, need the rest: at 0.85 `tests/bench/bench_worker.py` once saw a verdict lag p99 of 190 ms, all of it queueing.
At 0.80 it is what it is at 0.75 (100 to 160 ms at either, as busy as the host is)."""
ENOUGH_STREAMS = 100
"""From here on a slot's time is the streams' and not its own, so it tells what one stream more would cost."""
FEW_STREAMS = 50
"""Fewer than these are never refused for lateness: they take some 2 % of a core and cannot be its cause."""


class Timetable:
    """When slots run, and how well that is kept. Pure: told the time, never reads it."""

    def __init__(self, now: float) -> None:
        self._due = now
        self._ended_by_group = [now - CYCLE_S + SLOT_S * group for group in range(GROUPS)]
        self._recent: deque[tuple[float, float, float, int]] = deque()
        self._group = 0

    def ran(self, started: float, ended: float, streams: int) -> None:
        """A slot ran, with `streams` under analysis.

        Its lag is what its group waited beyond a cycle, plus the time it took.
        """
        group = self._group
        self._group = (group + 1) % GROUPS
        waited = started - self._ended_by_group[group] - CYCLE_S
        self._ended_by_group[group] = started
        self._recent.append((ended, max(0.0, waited) + ended - started, ended - started, streams))
        while self._recent[0][0] < ended - 1.0:
            self._recent.popleft()
        # Keep the rhythm after one late slot, but do not run a backlog of slots that are a cycle old.
        self._due = max(self._due + SLOT_S, ended - CYCLE_S)

    def wait(self, now: float) -> float:
        """Seconds until the next slot; never zero, so that handshakes get their turn under load too."""
        return max(self._due - now, YIELD_S)

    @property
    def lag_s(self) -> float:
        """The worst lag of the last second."""
        return max((lag for _, lag, _, _ in self._recent), default=0.0)

    @property
    def busy(self) -> float:
        """Share of the last second spent in slots."""
        return sum(spent for _, _, spent, _ in self._recent)

    def overloaded(self, streams: int) -> bool:
        """True when a stream more than `streams` would make the others late.

        Never with a few: when those are late, something else has the core, and refusing would not help.
        Time spent follows the streams only a second later, and many may ask within it; so what counts is the
        time that `streams` and one more will take, judged by what those of the last second took.
        """
        if streams < FEW_STREAMS:
            return False
        if sum(lag > MAX_LAG_S for _, lag, _, _ in self._recent) >= LATE_SLOTS:
            return True
        if len(self._recent) < 2 * GROUPS:
            return False
        seen = sum(count for _, _, _, count in self._recent) / len(self._recent)
        growth = (streams + 1) / seen if seen >= ENOUGH_STREAMS else 1.0
        return self.busy * growth > MAX_BUSY
