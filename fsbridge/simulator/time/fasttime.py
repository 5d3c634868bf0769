"""Time that runs fast for a whole process: clock, waits, timeouts and sockets' deadlines alike.

A flow tried out against the simulator need not take as long as a call. Speeding up the simulated node alone
(`SimulatorSettings.speed`) leaves the service's own deadlines in real seconds; with this, service and node live in the
same fast time and keep their proportions: a menu that waits five seconds for a digit waits five simulated ones.

In a launcher, after gevent has patched the process and before anything waits::

    time = FastTime.install()          # still at real pace: start workers, sockets, the service with clock=time
    simulator = Simulator(SimulatorSettings(), supervisor, time)
    time.go(20.0)                      # from here on twenty seconds pass in one

What is outside of the process keeps its own time. AMD workers judge by the audio they get and so say the same, but
some tenths of a real second later, which are `speed` times as long here: with them go at 10 at most, without them 40
do no harm. Deadlines for other machines (HTTP, webhooks) are shorter by as much. `speed` 1 is real time again.
"""

from __future__ import annotations

from typing import Any

import gevent
from gevent._hub_local import set_hub
from gevent.hub import Hub

from fsbridge.clock import Clock, SystemClock

MAX_SPEED = 100.0
"""Above it, the milliseconds that sockets and other processes take stand for whole simulated seconds."""


class FastTime:
    """A Clock, and the pace of every wait in the process that `install` was called in."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.speed = 1.0
        self._marked = self._from_monotonic = clock.monotonic()
        self._from_wall = clock.wall()

    @classmethod
    def install(cls, clock: Clock | None = None) -> FastTime:
        """Give this thread an event loop whose waits go by the new clock; `go` makes it fast.

        To be called once, by a launcher: greenlets and watchers of the loop before are lost.
        """
        time = cls(clock or SystemClock())
        hub = gevent.get_hub()
        loop = _paced_loop(type(hub.loop), time)
        hub.destroy(destroy_loop=True)
        set_hub(Hub(loop=loop(default=True)))
        return time

    def go(self, speed: float) -> None:
        """Let time run at this pace. Waits that have begun end as they would have. Raises ValueError."""
        if not 0 < speed <= MAX_SPEED:
            raise ValueError(f"speed must be above 0 and at most {MAX_SPEED:.0f}; 1 is real time")
        self._from_monotonic, self._from_wall = self.monotonic(), self.wall()
        self._marked = self._clock.monotonic()
        self.speed = speed

    def monotonic(self) -> float:
        return self._from_monotonic + (self._clock.monotonic() - self._marked) * self.speed

    def wall(self) -> float:
        return self._from_wall + (self._clock.monotonic() - self._marked) * self.speed


def _paced_loop(base: Any, time: FastTime) -> Any:
    """The event loop's class, with timers that count in the seconds of `time`."""

    class PacedLoop(base):  # type: ignore[misc]
        def timer(self, after: float, repeat: float = 0.0, ref: bool = True, priority: int | None = None) -> Any:
            return super().timer(after / time.speed, repeat / time.speed, ref, priority)

    return PacedLoop
