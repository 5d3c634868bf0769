"""Opens the taps of a node and lets each speak every 20 ms of simulated time."""

from __future__ import annotations

from fsbridge.simulator.audio.lines import FRAME_SECONDS
from fsbridge.simulator.switch.channel import Channel
from fsbridge.simulator.switch.parts import TapRequest
from fsbridge.simulator.taps.tap import AudioTap
from fsbridge.simulator.time.scheduler import Scheduler
from fsbridge.supervise import Supervisor

_LATE_SECONDS = 0.1
"""Further behind than this in real time, ticks are left out: longer frames, as the real module sends then."""
_GROUPS = 4


class TapPacer:
    """Opens taps and lets each speak every 20 ms of simulated time.

    In real time the taps take turns in groups, so that hundreds of them do not hold the hub in one go; on a faster
    clock all speak together, since there the turns would cost more than they spare.
    """

    def __init__(self, supervisor: Supervisor, scheduler: Scheduler) -> None:
        self._supervisor = supervisor
        self._scheduler = scheduler
        self._groups: list[dict[AudioTap, None]] = [{} for _ in range(_GROUPS if scheduler.speed <= 1 else 1)]
        self._turn = 0
        self._ticking = False

    def open(self, channel: Channel, request: TapRequest) -> AudioTap:
        tap = AudioTap(self, channel, request)
        if not channel.node.faults.silences_tap():
            self._supervisor.spawn("simulator.tap", tap.run)
        return tap

    def add(self, tap: AudioTap) -> None:
        min(self._groups, key=len)[tap] = None
        if not self._ticking:
            self._ticking = True
            self._scheduler.call_later(0.0, self._tick)

    def remove(self, tap: AudioTap) -> None:
        for group in self._groups:
            group.pop(tap, None)

    def _tick(self) -> None:
        if not any(self._groups):
            self._ticking = False
            return
        self._turn = (self._turn + 1) % len(self._groups)
        for tap in list(self._groups[self._turn]):
            tap.tick()
        scheduler = self._scheduler
        step = FRAME_SECONDS / len(self._groups)
        due = scheduler.now() + step
        behind = scheduler.clock_now() - due
        if behind > _LATE_SECONDS * scheduler.speed:
            due += behind // step * step
        scheduler.call_at(due, self._tick)
