"""`originate`: an outbound leg that runs an application once it is up.

The order of events and of the result among them follows tests/traces: a refusal is reported after
CHANNEL_HANGUP_COMPLETE, a call that rings out right after CHANNEL_HANGUP, success after CALL_UPDATE.
"""

from __future__ import annotations

from collections.abc import Callable

from fsbridge.simulator.legs import dialstring
from fsbridge.simulator.legs.legs import Leg
from fsbridge.simulator.protocol.wire import whole
from fsbridge.simulator.switch.limits import OUTBOUND
from fsbridge.simulator.switch.node import Node

DEFAULT_TIMEOUT = 60.0


def originate(node: Node, argument: str, reply: Callable[[str], None]) -> None:
    """Start a call; `reply` gets ``+OK <uuid>`` or ``-ERR <CAUSE>`` when it is known."""
    try:
        dial = dialstring.parse(argument)
    except dialstring.DialStringInvalid as error:
        reply(error.reply)
        return
    if node.closed:
        reply("-ERR CHAN_NOT_IMPLEMENTED\n")
        return
    if not node.admits(OUTBOUND):
        reply("-ERR DESTINATION_OUT_OF_ORDER\n")
        return
    _Origination(node, dial, reply)


class _Origination:
    """One call being placed; its owner is the command."""

    def __init__(self, node: Node, dial: dialstring.Dial, reply: Callable[[str], None]) -> None:
        self._node = node
        self._dial = dial
        self._reply: Callable[[str], None] | None = reply
        self._connecting = False
        caller = (
            dial.variables.get("origination_caller_id_name", ""),
            dial.variables.get("origination_caller_id_number", "0000000000"),
        )
        seconds = float(whole(dial.variables.get("originate_timeout", "")) or DEFAULT_TIMEOUT)
        self._leg = Leg(node, dial, self, seconds=seconds, caller=caller)
        failed = self._leg.start()
        if failed:
            self._report(f"-ERR {failed}\n")

    def leg_early(self) -> None:
        if self._dial.variables.get("ignore_early_media", "false") == "false":
            self._connected()

    def leg_answered(self) -> None:
        if not self._connecting:
            self._connected()

    def leg_rang_out(self) -> None:
        self._report("-ERR NO_ANSWER\n")

    def leg_over(self) -> None:
        channel = self._leg.channel
        self._report(f"+OK {channel.uuid}\n" if channel.hit_dialplan else f"-ERR {channel.cause}\n")

    def _connected(self) -> None:
        """The leg is up: after a while, each on its own, the result is told and the application begins."""
        self._connecting = True
        self._leg.cancel_timeout()
        result, application = self._node.settings.answer_gap.draw(self._node.random)
        if application > 0:
            # Until one of them the leg takes what is sent to it, and loses it.
            self._leg.channel.execution.attend()
        steps = [(result, self._succeed), (application, self._begin)]
        for seconds, step in sorted(steps, key=lambda each: each[0]):
            if seconds > 0:
                self._node.scheduler.call_later(seconds, step)
            else:
                step()

    def _flip(self) -> None:
        if not self._leg.channel.flipped:
            self._leg.channel.flip_caller_id()

    def _succeed(self) -> None:
        if not self._leg.channel.hung_up:
            self._flip()
            if not self._leg.channel.hit_dialplan:
                self._leg.channel.execution.hold()
            self._report(f"+OK {self._leg.channel.uuid}\n")

    def _begin(self) -> None:
        channel = self._leg.channel
        if channel.hung_up:
            return
        self._flip()
        channel.execution.take_off()
        if channel.hung_up:
            channel.execution.unwind()
            return
        channel.hit_dialplan = True
        channel.set_state("CS_EXECUTE")
        channel.execution.begin([(self._dial.application, self._dial.application_argument)])

    def _report(self, result: str) -> None:
        if self._reply is not None:
            reply, self._reply = self._reply, None
            reply(result)
