"""What a flow, or a voice bot in it, wants of the node that its channel is on."""

from __future__ import annotations

from typing import Protocol

from fsbridge.esl.dialstring import Tap
from fsbridge.flow.interpreter.actions import OpenStream
from fsbridge.model.ids import ActionId, ChannelUuid

BREAK_S = 2.0
"""How long the end of an application that was broken off is waited for: what is sent before it runs inside it."""


class Executor(Protocol):
    """What a node does for a flow. Each raises EslError."""

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
