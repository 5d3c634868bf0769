"""Calls that come in to the node: from a scripted caller, or out of the node itself and back into its dialplan.

The order of events is that of tests/traces/inbound_call_parked.jsonl. A call that comes back has two legs, and what
one plays the other hears; digits, answer and end cross as they would by SIP and RTP on loopback.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Protocol

from fsbridge.errors import FsbridgeError
from fsbridge.simulator.audio.lines import FRAME_SECONDS, Line
from fsbridge.simulator.farends.callee import Call, Callee
from fsbridge.simulator.farends.dialplan import PUBLIC, Extension
from fsbridge.simulator.farends.script import FarEnd
from fsbridge.simulator.switch import causes
from fsbridge.simulator.switch import variables as channel_variables
from fsbridge.simulator.switch.channel import Channel
from fsbridge.simulator.switch.limits import INBOUND
from fsbridge.simulator.switch.node import Message, Node

_CANCELLED = 487


def _channel(node: Node, number: str, caller: str) -> Channel:
    name = f"sofia/external/{caller}@127.0.0.1"
    channel = node.new_channel(str(uuid.uuid4()), name, number, (caller, caller), inbound=True)
    channel_variables.caller(channel)
    node.add(channel)
    return channel


def _arrive(channel: Channel, extension: Extension) -> None:
    """From the INVITE to the first application of the dialplan."""
    channel.profile.index = 0
    channel.set_state("CS_NEW")
    channel.profile.index = 1
    channel.start_media()
    channel.variables["endpoint_disposition"] = "RECEIVED"
    channel.set_state("CS_INIT")
    channel.fire("CHANNEL_CREATE")
    channel.state = "CS_ROUTING"
    channel.set_callstate("RINGING")
    channel.set_state("CS_ROUTING")
    channel.hit_dialplan = True
    channel.set_state("CS_EXECUTE")
    channel.execution.begin(extension.actions)


class CallerGone(FsbridgeError):
    """The caller was not admitted: the node is paused or full, or nobody answers that number."""


class CallIn:
    """A scripted caller and the inbound channel that its call became."""

    def __init__(
        self, node: Node, number: str, script: FarEnd, caller: str, on_message: Callable[[Message], None]
    ) -> None:
        """Place the call. Raises CallerGone when the node takes no calls or its dialplan has no such number."""
        extension = node.dialplan.find(number, PUBLIC)
        if extension is None:
            raise CallerGone(
                f"{number}: the simulated dialplan has no such number; add an Extension to settings.dialplan"
            )
        if not node.admits(INBOUND):
            raise CallerGone(f"{number}: the simulated node is paused or at its limits")
        self._node = node
        self._on_message = on_message
        self.channel = _channel(node, number, caller)
        self.heard: Line = self.channel.heard
        self.said: Line = self.channel.said
        self._callee = Callee(node.scheduler, self, script, number, self._keep, calls=True)
        self.channel.on_digit_sent = self._callee.hear_digit
        self.channel.on_answer = self._callee.line_answered
        self.channel.on_hangup = self._callee.caller_gone
        node.scheduler.call_later(0.0, lambda: self._start(extension))

    def _start(self, extension: Extension) -> None:
        if not self.channel.hung_up:
            _arrive(self.channel, extension)
            self._callee.start()

    def _keep(self, pcm: bytes) -> None:
        self._on_message(Message(self.channel.uuid, self.channel.number, pcm))

    # The caller's line

    def sample(self) -> int:
        return self.channel.sample()

    def ring(self) -> None:
        """A caller does not ring."""

    def early_media(self) -> None:
        """A caller cannot answer before it is answered."""

    def answer(self) -> None:
        """A caller does not answer."""

    def refuse(self, status: int, *, q850: int = 0) -> None:
        self.hang_up_from_far_end("NORMAL_CLEARING")

    def refer(self, extension: str) -> None:
        self.channel.refer(extension)

    def redirect(self, number: str) -> None:
        """A caller is not called, so it cannot send a call elsewhere."""

    def vanish(self) -> None:
        self.channel.lose_media()

    def hang_up_from_far_end(self, cause: str) -> None:
        answered = self.channel.answered
        self.channel.hang_up(
            cause if answered else "ORIGINATOR_CANCEL", by_far_end=True, status=0 if answered else _CANCELLED
        )

    def press(self, digit: str) -> None:
        self.channel.dtmf(digit)


class Outward(Call, Protocol):
    """The outbound leg of a call that comes back, as its other half sees it."""

    channel: Channel

    def refuse(self, status: int, cause: str = "", *, q850: int = 0) -> None:
        """cause, or its number: the one in the Reason header, if there is one."""
        ...


class LoopedCall:
    """An outbound leg that comes back to its node as an inbound call, and the way between the two."""

    def __init__(self, node: Node, leg: Outward, extension: Extension) -> None:
        self._node = node
        self._leg = leg
        out = leg.channel
        back = self.channel = _channel(node, out.number, out.caller_number)
        back.heard.feed(0, [(out.said, back.offset_of(out))])
        out.heard.feed(0, [(back.said, out.offset_of(back))])
        back.on_ring = lambda: self._cross(leg.ring)
        back.on_early_media = lambda: self._cross(leg.early_media)
        back.on_answer = lambda: self._cross(leg.answer)
        back.on_digit_sent = leg.press
        out.on_digit_sent = back.dtmf
        back.on_hangup_complete = self._back_ended
        _arrive(back, extension)

    def caller_gone(self) -> None:
        """The outbound leg was hung up."""
        out = self._leg.channel
        cause, status = (out.cause, 0) if self.channel.answered else ("ORIGINATOR_CANCEL", _CANCELLED)
        self._node.scheduler.call_later(
            FRAME_SECONDS, lambda: self.channel.hang_up(cause, by_far_end=True, status=status)
        )

    def _cross(self, action: Callable[[], None]) -> None:
        self._node.scheduler.call_later(0.0, action)

    def _back_ended(self) -> None:
        back, leg = self.channel, self._leg
        if back.answered:
            self._cross(lambda: leg.hang_up_from_far_end(back.cause))
        else:
            self._cross(lambda: leg.refuse(causes.to_status(back.cause), back.cause))
