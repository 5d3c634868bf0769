"""One simulated FreeSWITCH node: its channels, its events, its limits, its hash. No sockets.

Everything here runs inside the scheduler's one greenlet of thought: nothing blocks, nothing switches. The socket
server hangs listeners on it and hands it commands; taps come from a factory given by the composition (Simulator).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from fsbridge.simulator.farends.dialplan import Dialplan
from fsbridge.simulator.faults import Faults
from fsbridge.simulator.protocol.events import SOURCES, Event, Subscription
from fsbridge.simulator.settings import SimulatorSettings
from fsbridge.simulator.time.scheduler import Scheduler, Timer

if TYPE_CHECKING:
    from fsbridge.simulator.applications.conference import Room
    from fsbridge.simulator.switch.channel import Channel
    from fsbridge.simulator.time.process import App

VERSION = "1.11.3-dev"
FULL_VERSION = f"{VERSION}+git~20260821T141014Z~cc93a683ca~64bit"

MAX_MESSAGES = 1000


class Listener(Protocol):
    """One authenticated event-socket connection."""

    subscription: Subscription

    def deliver(self, event: Event) -> None: ...

    def close_after_queue(self) -> None:
        """Close, without a notice, once what is queued has been sent."""
        ...


@dataclass(frozen=True, slots=True)
class TapRequest:
    """``uuid_audio_fork <uuid> start`` and its arguments. mix: mono, mixed or stereo; rate in Hz."""

    url: str
    mix: str
    rate: int
    bug: str
    metadata: str


class Tap(Protocol):
    """One audio fork of a channel."""

    def send_text(self, text: str) -> bool: ...

    def pause(self, paused: bool) -> None: ...

    def stop(self, text: str) -> None:
        """Send the closing text, if any, then close with code 1000; nothing is heard of it afterwards."""
        ...


class TapFactory(Protocol):
    def open(self, channel: Channel, request: TapRequest) -> Tap: ...


@dataclass(frozen=True, slots=True)
class Message:
    """What an answering machine took down: the number called, and the caller's words as PCM."""

    channel: str
    number: str
    pcm: bytes


class Fetcher(Protocol):
    """Gets audio over HTTP."""

    def fetch(self, url: str, done: Callable[[bytes | None], None], *, cached: bool) -> None:
        """`done` is called with the content, None when it cannot be had; `cached`: an earlier one will do."""
        ...


Reply = Callable[[str], None]
Api = Callable[["Node", str, Reply], None]
"""Runs one API command line and gives its output to the reply, at once or (originate) when the call is up."""
Applications = Callable[["Channel", str, str], "App"]
"""The generator of an application with its argument, on a channel."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a node is given by whoever puts it together: its commands, its applications, its ways to the outside."""

    api: Api
    applications: Applications
    taps: TapFactory
    fetcher: Fetcher


class Node:
    """State of one node. `fire` sends events out; `hold`/`release` keep them behind the reply to a command."""

    def __init__(self, settings: SimulatorSettings, scheduler: Scheduler, surroundings: Surroundings) -> None:
        self._api = surroundings.api
        self.applications = surroundings.applications
        self.taps = surroundings.taps
        self.fetcher = surroundings.fetcher
        self.settings = settings
        self.dialplan = Dialplan((*settings.dialplan.extensions, *settings.far_ends.extensions))
        self.scheduler = scheduler
        self.faults = Faults(self.drop_listeners)
        self.core_uuid = str(uuid.uuid4())
        self.channels: dict[str, Channel] = {}
        self.listeners: set[Listener] = set()
        self.hashes: dict[tuple[str, str], str] = {}
        self.globals = {"core_uuid": self.core_uuid, "hostname": settings.node, "switchname": settings.node}
        self.rooms: dict[str, Room] = {}
        """Conferences, by name."""
        self.messages: list[Message] = []
        self.max_sessions = settings.max_sessions
        self.sessions_per_second = settings.sessions_per_second
        self.paused = False
        self.sessions_started = 0
        self.peak_sessions = 0
        self.peak_rate = 0
        self.gateway_calls: dict[str, list[int]] = {gw: [0, 0] for gw in settings.gateways + settings.dead_gateways}
        self._second = -1
        self._in_second = 0
        self._sequence = 0
        self._tasks = 0
        self._held: list[Event] | None = None
        self._stamp_second = -1
        self._stamps = ("", "")
        self._fixed = (
            ("Core-UUID", self.core_uuid),
            ("FreeSWITCH-Hostname", settings.node),
            ("FreeSWITCH-Switchname", settings.node),
            ("FreeSWITCH-IPv4", "127.0.0.1"),
            ("FreeSWITCH-IPv6", "::1"),
        )

    def run_api(self, line: str, reply: Reply = lambda output: None) -> None:
        """Run an API command. Without `reply`, its output goes nowhere, as for a hook on a channel."""
        self._api(self, line, reply)

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
        if not self.heard(name) or self.faults.loses(name, subclass):
            return
        own = headers() if callable(headers) else headers
        event = Event(name, subclass, [*first, *self.preamble(name, subclass), *own], body)
        delay = self.faults.delay_of(name, subclass)
        if delay > 0:
            self.scheduler.call_later(delay, lambda: self._send(event))
        elif self._held is not None:
            self._held.append(event)
        else:
            self._send(event)

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

    def drop_listeners(self) -> None:
        for listener in list(self.listeners):
            listener.close_after_queue()

    def heartbeat(self) -> None:
        """One HEARTBEAT with the node's figures."""
        if self.faults.heartbeat_paused:
            return
        self.fire(
            "HEARTBEAT",
            [
                ("Event-Info", "System Ready"),
                ("Up-Time", self.uptime_text()),
                ("FreeSWITCH-Version", FULL_VERSION),
                ("Uptime-msec", str(int(self.scheduler.now() * 1000))),
                ("Session-Count", str(len(self.channels))),
                ("Max-Sessions", str(self.max_sessions)),
                ("Session-Per-Sec", str(self.sessions_per_second)),
                ("Session-Per-Sec-Last", str(self.last_rate())),
                ("Session-Per-Sec-Max", str(self.peak_rate)),
                ("Session-Per-Sec-FiveMin", str(self.peak_rate)),
                ("Session-Since-Startup", str(self.sessions_started)),
                ("Session-Peak-Max", str(self.peak_sessions)),
                ("Session-Peak-FiveMin", str(self.peak_sessions)),
                ("Idle-CPU", "90.000000"),
            ],
        )

    def uptime_text(self) -> str:
        """The up-time in the words of `status`."""
        microseconds = int(self.scheduler.now() * 1e6)
        seconds, micro = divmod(microseconds, 1_000_000)
        minutes, second = divmod(seconds, 60)
        hours, minute = divmod(minutes, 60)
        days, hour = divmod(hours, 24)
        years, day = divmod(days, 365)
        parts = [(years, "year"), (day, "day"), (hour, "hour"), (minute, "minute"), (second, "second")]
        parts += [(micro // 1000, "millisecond"), (micro % 1000, "microsecond")]
        return ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in parts)

    # Channels

    def live(self, channel_uuid: str) -> Channel | None:
        """The channel, if it has not been hung up: what commands that act on a channel find."""
        channel = self.channels.get(channel_uuid)
        return channel if channel is not None and not channel.hung_up else None

    def admits(self) -> bool:
        """Count one more call attempt; False when the node is paused or past one of its limits."""
        second = int(self.scheduler.now())
        if second != self._second:
            self._second, self._in_second = second, 0
        if self.paused or len(self.channels) >= self.max_sessions or self._in_second >= self.sessions_per_second:
            return False
        self._in_second += 1
        self.sessions_started += 1
        self.peak_rate = max(self.peak_rate, self._in_second)
        return True

    def last_rate(self) -> int:
        return self._in_second if int(self.scheduler.now()) == self._second else 0

    def add(self, channel: Channel) -> None:
        self.channels[channel.uuid] = channel
        self.peak_sessions = max(self.peak_sessions, len(self.channels))

    def remove(self, channel: Channel) -> None:
        self.channels.pop(channel.uuid, None)

    def keep_message(self, message: Message) -> None:
        """Remember what an answering machine took down; the oldest are forgotten first."""
        self.messages.append(message)
        del self.messages[:-MAX_MESSAGES]

    def schedule_task(self, description: str, group: str, seconds: float, task: Callable[[], None]) -> Timer:
        """FreeSWITCH's scheduler: announce, wait, do, announce."""
        self._tasks += 1
        headers = [
            ("Task-ID", str(self._tasks)),
            ("Task-Desc", description),
            ("Task-Group", group),
            ("Task-Runtime", str(int(self.scheduler.wall() + seconds))),
        ]
        self.fire("ADD_SCHEDULE", headers)

        def run() -> None:
            task()
            self.fire("DEL_SCHEDULE", headers)

        return self.scheduler.call_later(seconds, run)
