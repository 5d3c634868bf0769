"""The simulator's time: one heap of things to do, in the order of simulated time.

Everything that waits in the simulator waits here, so the order of what happens depends on simulated times only,
never on how fast the clock runs or how late the machine is: a callback sees `now()` as the moment it was due,
and work that comes from outside (`perform`) first lets everything due happen. Callbacks run in one greenlet,
must not block, and keep their order of registration when due at the same moment.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import TypeVar

import structlog
from gevent.event import Event

from fsbridge.clock import Clock

T = TypeVar("T")

log = structlog.get_logger(__name__)

_TURN = 256
"""Callbacks run before other greenlets get their turn; bounds how long the hub is held when the machine is late."""


class Timer:
    """One thing to do later; `cancel` makes it a no-op."""

    __slots__ = ("callback", "due")

    def __init__(self, due: float, callback: Callable[[], object]) -> None:
        self.due = due
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class Scheduler:
    """Simulated time, `speed` seconds of it in each second of `clock`, counted from the start of the simulator."""

    def __init__(self, clock: Clock, speed: float = 1.0) -> None:
        self._clock = clock
        self.speed = speed
        self._started = clock.monotonic()
        self._wall_started = clock.wall()
        self._heap: list[tuple[float, int, Timer]] = []
        self._sequence = itertools.count()
        self._now = 0.0
        self._inside = False
        self._wake = Event()
        self._stopped = False

    def now(self) -> float:
        """Simulated seconds since the start; inside a callback, the moment at which it was due."""
        if self._inside:
            return self._now
        return max(self._now, self.clock_now())

    def clock_now(self) -> float:
        """Where simulated time would be if nothing were late."""
        return (self._clock.monotonic() - self._started) * self.speed

    def wall(self) -> float:
        """Unix time of the simulated moment: what event headers and call stamps show."""
        return self._wall_started + self.now()

    def call_at(self, due: float, callback: Callable[[], object]) -> Timer:
        timer = Timer(max(due, self._now), callback)
        heapq.heappush(self._heap, (timer.due, next(self._sequence), timer))
        if self._heap[0][2] is timer:
            self._wake.set()
        return timer

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        return self.call_at(self.now() + seconds, callback)

    def perform(self, work: Callable[[], T]) -> T:
        """Do work that came from outside, at its place in simulated time. Its exceptions are the caller's."""
        if self._inside:
            return work()
        moment = self.now()
        self._run_due(moment, None)
        self._now = max(self._now, moment)
        self._inside = True
        try:
            return work()
        finally:
            self._inside = False

    def run(self) -> None:
        """Run callbacks as they fall due until `stop`: the body of the simulator's one pacing task."""
        while not self._stopped:
            self._wake.clear()
            self._run_due(self.clock_now(), _TURN)
            if self._stopped:
                break
            seconds = 60.0
            if self._heap:
                seconds = max((self._heap[0][0] - self.clock_now()) / self.speed, 0.0)
            # Even when late, a short wait lets sockets be served: a loop that never yields starves them.
            self._wake.wait(max(seconds, 0.0002))

    def stop(self) -> None:
        self._stopped = True
        self._heap.clear()
        self._wake.set()

    def _run_due(self, moment: float, limit: int | None) -> None:
        heap = self._heap
        done = 0
        while heap and heap[0][0] <= moment and (limit is None or done < limit):
            due, _, timer = heapq.heappop(heap)
            callback = timer.callback
            if callback is None:
                continue
            timer.callback = None
            done += 1
            self._now = max(self._now, due)
            self._inside = True
            try:
                callback()
            except Exception:
                # One call's fault must not stop the node's clock, on which every other call depends.
                log.exception("simulator_callback_failed")
            finally:
                self._inside = False
