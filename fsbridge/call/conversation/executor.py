"""What a flow, or a voice bot in it, wants of the node that its channel is on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fsbridge.esl.dialstring import Tap
from fsbridge.esl.events import Event
from fsbridge.flow.interpreter.actions import Executed, OpenStream
from fsbridge.model.ids import ActionId, ChannelUuid

BREAK_S = 2.0
"""How long the end of an application that was broken off is waited for: what is sent before it runs inside it."""


@dataclass(slots=True)
class Watch:
    """How long applications take, by the node's own clock and never too short.

    An application that is sent because another has completed began with that: ours may be late, and then takes the
    time between two events for longer, but the node's stands in both.
    """

    _now: int | None = None
    _since: int | None = None

    def sent(self) -> None:
        """An application has been sent."""
        self._since = self._now

    def done(self, event: Event) -> float | None:
        """The application's seconds, where they are known; what is sent until `idle` is sent because of this event."""
        text = event.headers.get("Event-Date-Timestamp", "")
        self._now = int(text) if text.isdecimal() and len(text) < 20 else None
        if self._now is None or self._since is None:
            return None
        return max(0, self._now - self._since) / 1e6

    def idle(self) -> None:
        """All has been done that an event led to."""
        self._now = None


def completed(event: Event, asked: str, took_s: float | None, *, cut: bool, bounded: bool = False) -> Executed:
    """CHANNEL_EXECUTE_COMPLETE as a flow reads it."""
    prefix, headers = "variable_", event.headers
    variables = {name.removeprefix(prefix): headers[name] for name in headers if name.startswith(prefix)}
    return Executed(headers.get("Application-Response", ""), variables, asked, took_s, bounded, cut)


class Executor(Protocol):
    """What a node does for a flow. Each method raises EslError."""

    @property
    def away(self) -> bool:
        """Whether nothing can be told to the node now, or heard from it."""

    def exists(self, channel: ChannelUuid) -> bool:
        """Whether the node has the channel."""

    def execute(self, channel: ChannelUuid, action_id: ActionId, app: str, arg: str) -> None:
        """Start an application on a channel."""

    def break_off(self, channel: ChannelUuid) -> None:
        """End what is being played or recorded, whatever waits behind it included."""

    def call_back(self, channel: ChannelUuid) -> None:
        """Take the channel out of a bridge or a conference and park it again."""

    def start_bot(self, channel: ChannelUuid, stream: OpenStream) -> None:
        """Fork the channel's audio to a bot."""

    def tell_bot(self, channel: ChannelUuid, message: object) -> None:
        """A text frame to the bot."""

    def stop_bot(self, channel: ChannelUuid) -> None:
        """End the bot's fork."""


class FlowSwitch(Executor, Protocol):
    """What a whole flow needs of its node, its ears included. Each raises EslError."""

    def start_tap(self, channel: ChannelUuid, tap: Tap) -> None:
        """Start an audio tap, in place of one of the same name."""

    def stop_tap(self, channel: ChannelUuid, name: str) -> None:
        """End an audio tap."""
