"""One simulated FreeSWITCH node: its channels, its commands, its hash, what it tells of itself. No sockets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from fsbridge.simulator.settings import SimulatorSettings
from fsbridge.simulator.switch.channel import Channel
from fsbridge.simulator.switch.ground import Fetcher, Ground, Reply
from fsbridge.simulator.switch.parts import Tap, TapRequest
from fsbridge.simulator.time.process import App
from fsbridge.simulator.time.scheduler import Scheduler

VERSION = "1.11.3-dev"
FULL_VERSION = f"{VERSION}+git~20260821T141014Z~cc93a683ca~64bit"

MAX_MESSAGES = 1000


class TapFactory(Protocol):
    def open(self, channel: Channel, request: TapRequest) -> Tap: ...


@dataclass(frozen=True, slots=True)
class Message:
    """What an answering machine took down: the number called, and the caller's words as PCM."""

    channel: str
    number: str
    pcm: bytes


Api = Callable[["Node", str, Reply], None]
"""Runs one API command line and gives its output to the reply, at once or (originate) when the call is up."""
Applications = Callable[["Node", Channel, str, str], App | None]
"""The generator of an application with its argument, on a channel; None when there is none of this name."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a node is given by whoever puts it together: its commands, its applications, its ways to the outside."""

    api: Api
    applications: Applications
    taps: TapFactory
    fetcher: Fetcher


class Node(Ground):
    """State of one node."""

    def __init__(self, settings: SimulatorSettings, scheduler: Scheduler, surroundings: Surroundings) -> None:
        super().__init__(settings, scheduler, surroundings.fetcher)
        self._api = surroundings.api
        self._applications = partial(surroundings.applications, self)
        self.taps = surroundings.taps
        self.channels: dict[str, Channel] = {}
        self.hashes: dict[tuple[str, str], str] = {}
        self.globals = {"core_uuid": self.core_uuid, "hostname": settings.node, "switchname": settings.node}
        self.messages: list[Message] = []
        self.shutting_down = False
        self.closed = False
        """It has no SIP any more: no call comes or goes."""
        self.on_end: Callable[[], None] = lambda: None
        """The node is to go: for whoever put it together."""
        self.gateway_calls: dict[str, list[int]] = {gw: [0, 0] for gw in settings.gateways + settings.dead_gateways}

    def run_api(self, line: str, reply: Reply = lambda output: None) -> None:
        self._api(self, line, reply)

    # Channels

    def new_channel(
        self, uuid: str, name: str, number: str, caller: tuple[str, str], *, inbound: bool = False
    ) -> Channel:
        """A channel of this node, among the others from `add` to its end. caller: the caller id, name and number."""
        return Channel(self, self._applications, uuid, name, number, caller, inbound=inbound)

    def add(self, channel: Channel) -> None:
        self.channels[channel.uuid] = channel
        channel.on_destroy = lambda: self._forget(channel)
        self.limits.count(len(self.channels))

    def _forget(self, channel: Channel) -> None:
        self.channels.pop(channel.uuid, None)

    def live(self, channel_uuid: str) -> Channel | None:
        """The channel, if it has not been hung up: what commands that act on a channel find."""
        channel = self.channels.get(channel_uuid)
        return channel if channel is not None and not channel.hung_up else None

    def admits(self, way: str) -> bool:
        """Count one more call attempt, inbound or outbound; False when it is paused or past one of its limits."""
        return not self.closed and self.limits.admits(self.scheduler.now(), len(self.channels), way)

    @property
    def ready(self) -> bool:
        """Whether `status` says so; HEARTBEAT does in any case."""
        return not (self.closed or self.limits.paused)

    def last_rate(self) -> int:
        return self.limits.last_rate(self.scheduler.now())

    def keep_message(self, message: Message) -> None:
        """Remember what an answering machine took down; the oldest are forgotten first."""
        self.messages.append(message)
        del self.messages[:-MAX_MESSAGES]

    # What it tells of itself

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
                ("Max-Sessions", str(self.limits.max_sessions)),
                ("Session-Per-Sec", str(self.limits.left(self.scheduler.now()))),
                ("Session-Per-Sec-Last", str(self.last_rate())),
                ("Session-Per-Sec-Max", str(self.limits.peak_rate)),
                ("Session-Per-Sec-FiveMin", str(self.limits.peak_rate)),
                ("Session-Since-Startup", str(self.limits.sessions_started)),
                ("Session-Peak-Max", str(self.limits.peak_sessions)),
                ("Session-Peak-FiveMin", str(self.limits.peak_sessions)),
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
