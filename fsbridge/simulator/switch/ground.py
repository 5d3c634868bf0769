"""What a node is apart from the channels that live on it: its time, its settings, its events and who hears them.

Everything here runs inside the scheduler's one greenlet of thought: nothing blocks, nothing switches. The socket
server hangs listeners on it.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Protocol

from fsbridge.simulator.farends.dialplan import Dialplan
from fsbridge.simulator.faults import Faults
from fsbridge.simulator.protocol.events import SOURCES, Event, Subscription
from fsbridge.simulator.settings import SimulatorSettings
from fsbridge.simulator.switch.limits import Limits
from fsbridge.simulator.time.scheduler import Scheduler, Timer

Reply = Callable[[str], None]

_LOOKS_SECONDS = 0.5
_POSTPONED_SECONDS = 30.0
"""An event that waits for another one is sent after so long without it."""


class Listener(Protocol):
    """One authenticated event-socket connection."""

    subscription: Subscription

    def deliver(self, event: Event) -> None: ...

    def close_after_queue(self) -> None:
        """Close, without a notice, once what is queued has been sent."""
        ...


class Fetcher(Protocol):
    """Gets audio over HTTP."""

    def fetch(self, url: str, done: Callable[[bytes | None], None], *, cached: bool) -> None:
        """`done` is called with the content, None when it cannot be had; `cached`: an earlier one will do."""
        ...


class Ground(ABC):
    """What channels stand on. `fire` sends events out; `hold`/`release` keep them behind the reply to a command."""

    def __init__(self, settings: SimulatorSettings, scheduler: Scheduler, fetcher: Fetcher) -> None:
        self.settings = settings
        self.scheduler = scheduler
        self.fetcher = fetcher
        self.dialplan = Dialplan((*settings.dialplan.extensions, *settings.far_ends.extensions))
        self.limits = Limits(settings.max_sessions, settings.sessions_per_second)
        self.faults = Faults(self.drop_listeners, lambda seconds: self.on_cut(seconds))
        self.on_cut: Callable[[float], None] = lambda seconds: None
        """The connections of all listeners are to be cut, and no new one taken for so many seconds: for the server."""
        self.random = Random(settings.seed)
        self.core_uuid = str(uuid.uuid4())
        self.listeners: set[Listener] = set()
        self._sequence = 0
        self._tasks = 0
        self._waiting_tasks: dict[int, tuple[str, Timer, list[tuple[str, str]]]] = {}
        self._held: list[Event] | None = None
        self._postponed: list[tuple[tuple[str, str | None], Event]] = []
        self._stamp_second = -1
        self._stamps = ("", "")
        self._fixed = (
            ("Core-UUID", self.core_uuid),
            ("FreeSWITCH-Hostname", settings.node),
            ("FreeSWITCH-Switchname", settings.node),
            ("FreeSWITCH-IPv4", "127.0.0.1"),
            ("FreeSWITCH-IPv6", "::1"),
        )

    @abstractmethod
    def run_api(self, line: str, reply: Reply = lambda output: None) -> None:
        """Run an API command. Without `reply`, its output goes nowhere, as for a hook on a channel."""

    def schedule_task(self, description: str, group: str, due: int, task: Callable[[], None]) -> None:
        """FreeSWITCH's scheduler: announce, wait, do, announce.

        It looks twice a second whether the clock shows the second `due` (Unix time), so ``+2`` comes 1 to 2.5 seconds
        later (switch_scheduler.c).
        """
        self._tasks += 1
        headers = [
            ("Task-ID", str(self._tasks)),
            ("Task-Desc", description),
            ("Task-Group", group),
            ("Task-Runtime", str(due)),
        ]
        self.fire("ADD_SCHEDULE", headers)
        number = self._tasks

        def run() -> None:
            del self._waiting_tasks[number]
            task()
            self.fire("DEL_SCHEDULE", headers)

        look = self.random.uniform(0.0, _LOOKS_SECONDS)
        timer = self.scheduler.call_later(max(due - self.scheduler.wall(), 0.0) + look, run)
        self._waiting_tasks[number] = (group, timer, headers)

    def forget_tasks(self, which: str) -> int:
        """Take a task's number, or a group's name, from the scheduler; how many tasks that were."""
        found = [number for number, (group, _, _) in self._waiting_tasks.items() if which in (group, str(number))]
        for number in found:
            _, timer, headers = self._waiting_tasks.pop(number)
            timer.cancel()
            self.fire("DEL_SCHEDULE", headers)
        return len(found)

    # Events

    def heard(self, name: str) -> bool:
        """Whether anybody listens for events of this name: asked before the work of building one."""
        return any(listener.subscription.wants_name(name) for listener in self.listeners)

    def fire(
        self,
        name: str,
        headers: Sequence[tuple[str, str]] | Callable[[], Sequence[tuple[str, str]]] = (),
        *,
        subclass: str = "",
        body: str | None = None,
        first: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Send an event to those who want it. `first`: headers that stand before Event-Name."""
        self._sequence += 1
        if not self.heard(name):
            return
        treated = self.faults.treatment(name, subclass)
        if not treated.copies:
            return
        own = headers() if callable(headers) else headers
        all_headers = [*first, *self.preamble(name, subclass), *own]
        event = Event(name, subclass, all_headers, "" if treated.empty else body, treated.noise)
        for _ in range(treated.copies):
            if treated.after:
                self._postpone(event, treated.after)
            elif treated.delay > 0:
                self.scheduler.call_later(treated.delay, lambda: self._send(event))
            elif self._held is not None:
                self._held.append(event)
            else:
                self._send(event)

    def _postpone(self, event: Event, other: str) -> None:
        """Send it after the next `other` of its channel, or when that has not come for long."""
        waiting = ((other, event.get("Unique-ID")), event)
        self._postponed.append(waiting)

        def give_up() -> None:
            if waiting in self._postponed:
                self._postponed.remove(waiting)
                self._send(event)

        self.scheduler.call_later(_POSTPONED_SECONDS, give_up)

    def _send_postponed(self, event: Event) -> None:
        key = event.get("Unique-ID")
        due = [one for one in self._postponed if one[0] in ((event.name, key), (event.subclass, key))]
        for waiting in due:
            self._postponed.remove(waiting)
            self._send(waiting[1])

    def preamble(self, name: str, subclass: str = "") -> list[tuple[str, str]]:
        """The headers that every event begins with."""
        wall = self.scheduler.wall()
        if int(wall) != self._stamp_second:
            self._stamp_second = int(wall)
            when = datetime.fromtimestamp(self._stamp_second, UTC)
            self._stamps = (when.strftime("%Y-%m-%d %H:%M:%S"), when.strftime("%a, %d %b %Y %H:%M:%S GMT"))
        file, function = SOURCES.get(name, ("", ""))
        return [
            *([("Event-Subclass", subclass)] if subclass else []),
            ("Event-Name", name),
            *self._fixed,
            ("Event-Date-Local", self._stamps[0]),
            ("Event-Date-GMT", self._stamps[1]),
            ("Event-Date-Timestamp", str(int(wall * 1e6))),
            ("Event-Calling-File", file),
            ("Event-Calling-Function", function),
            ("Event-Sequence", str(self._sequence)),
        ]

    def stamp(self, wall: int) -> str:
        """Unix seconds as FreeSWITCH writes local time (the simulated node lives in UTC)."""
        return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%d %H:%M:%S")

    def hold(self) -> None:
        """Keep events back until `release`: a command's reply goes out before the events that it causes."""
        if self._held is None:
            self._held = []

    def release(self) -> None:
        held, self._held = self._held, None
        for event in held or ():
            self._send(event)

    def _send(self, event: Event) -> None:
        for listener in list(self.listeners):
            if listener.subscription.wants(event):
                listener.deliver(event)
        if self.faults.drops_after(event.name, event.subclass):
            self.drop_listeners()
        if self._postponed:
            self._send_postponed(event)

    def drop_listeners(self) -> None:
        for listener in list(self.listeners):
            listener.close_after_queue()
