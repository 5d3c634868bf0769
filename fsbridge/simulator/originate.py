"""`originate`: from a dial string to an answered, parked leg, or to the reason why not.

The order of events and of the result among them follows tests/traces: a refusal is reported after
CHANNEL_HANGUP_COMPLETE, a call that rings out right after CHANNEL_HANGUP, success after CALL_UPDATE. The real
timeout counts whole seconds of the wall clock and so fires up to a second early; this one is exact.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

from fsbridge.simulator import causes, dialstring
from fsbridge.simulator.audio_lines import FRAME_SECONDS, Line
from fsbridge.simulator.callee import Callee
from fsbridge.simulator.channel import Channel
from fsbridge.simulator.node import Message, Node
from fsbridge.simulator.scheduler import Timer
from fsbridge.simulator.wire import whole

_DEFAULT_TIMEOUT = 60.0


def originate(node: Node, argument: str, reply: Callable[[str], None]) -> None:
    """Start a call; `reply` gets ``+OK <uuid>`` or ``-ERR <CAUSE>`` when it is known."""
    try:
        dial = dialstring.parse(argument)
    except dialstring.DialStringInvalid as error:
        reply(error.reply)
        return
    if not node.admits():
        reply("-ERR DESTINATION_OUT_OF_ORDER\n")
        return
    Origination(node, dial, reply).start()


class Origination:
    """One leg being placed, and later its called side's line to it."""

    def __init__(self, node: Node, dial: dialstring.Dial, reply: Callable[[str], None]) -> None:
        self._node = node
        self._dial = dial
        self._reply: Callable[[str], None] | None = reply
        self._timeout: Timer | None = None
        self._callee: Callee | None = None
        wanted = dial.variables.get("origination_uuid", "")
        taken = wanted in node.channels or node.faults.takes_uuid()
        channel_uuid = wanted if wanted and not taken else str(uuid.uuid4())
        shown = dial.target.removeprefix("sip:").removeprefix("sips:")
        name = f"sofia/{dial.profile}/{dial.target if dial.gateway else shown}"
        self.channel = Channel(node, channel_uuid, name, dial.user, dial.variables)
        self.heard: Line = self.channel.heard
        self.said: Line = self.channel.said
        self._set_variables(wanted, channel_uuid)

    def _set_variables(self, wanted: str, channel_uuid: str) -> None:
        dial = self._dial
        variables = self.channel.variables
        if dial.gateway:
            variables["sip_gateway_name"] = dial.gateway
        variables["sip_profile_name"] = "gateway" if dial.gateway else dial.profile
        variables["channel_name"] = self.channel.name
        host = "" if "@" in dial.target else "@127.0.0.1:5080"
        variables["sip_destination_url"] = f"sip:{dial.target.removeprefix('sip:')}{host}"
        variables.update((name, value) for name, value in dial.variables.items() if value)
        if wanted:
            variables["origination_uuid"] = channel_uuid
        variables["originate_early_media"] = "false"
        variables["originate_endpoint"] = dial.endpoint
        variables["sofia_profile_name"] = dial.profile

    def start(self) -> None:
        node, channel, dial = self._node, self.channel, self._dial
        known = node.settings.gateways + node.settings.dead_gateways
        if dial.gateway and dial.gateway not in known:
            channel.vanish()
            self._report("-ERR INVALID_GATEWAY\n")
            return
        if not dial.gateway and dial.profile not in node.settings.profiles:
            channel.vanish()
            self._report("-ERR INVALID_PROFILE\n")
            return
        if dial.gateway:
            node.gateway_calls[dial.gateway][0] += 1
        node.add(channel)
        channel.on_hangup = self._hung_up
        channel.on_hangup_complete = self._over
        channel.fire("CHANNEL_OUTGOING", variables=False)
        channel.set_state("CS_INIT")
        channel.fire("CHANNEL_CREATE")
        channel.fire("CHANNEL_ORIGINATE")
        channel.set_state("CS_ROUTING")
        channel.set_state("CS_CONSUME_MEDIA")
        self._timeout = node.scheduler.call_later(_seconds(dial.variables), self._ring_out)
        if dial.gateway in node.settings.dead_gateways:
            node.scheduler.call_later(FRAME_SECONDS, lambda: self.refuse(503))
            return
        script = node.settings.far_ends.find(dial.user)
        if script is None:
            node.scheduler.call_later(FRAME_SECONDS, lambda: self.refuse(404))
            return
        callee = Callee(node.scheduler, self, script, dial.user, self._keep_message)
        self._callee = callee
        channel.on_digit_sent = callee.hear_digit
        node.scheduler.call_later(FRAME_SECONDS, callee.start)

    # The called side's line

    def sample(self) -> int:
        return self.channel.sample()

    def ring(self) -> None:
        if not self.channel.hung_up:
            self.channel.ring()

    def early_media(self) -> None:
        if self.channel.hung_up:
            return
        self.channel.early_media()
        if self._dial.variables.get("ignore_early_media", "false") == "false" and self._reply is not None:
            self._connected()

    def answer(self) -> None:
        channel = self.channel
        if channel.hung_up or channel.answered:
            return
        self._cancel_timeout()
        channel.answer()
        if self._reply is not None and not channel.hung_up:
            self._connected()

    def refuse(self, status: int) -> None:
        self.channel.hang_up(causes.of_status(status), by_far_end=True, status=status)

    def hang_up_from_far_end(self, cause: str) -> None:
        status = 0 if self.channel.answered else 480
        self.channel.hang_up(cause, by_far_end=True, status=status)

    def press(self, digit: str) -> None:
        self.channel.dtmf(digit)

    # Its end

    def _connected(self) -> None:
        channel = self.channel
        self._cancel_timeout()
        channel.flip_caller_id()
        self._report(f"+OK {channel.uuid}\n")
        channel.hit_dialplan = True
        channel.set_state("CS_EXECUTE")
        channel.execution.begin(self._dial.application, self._dial.application_argument, str(uuid.uuid4()))

    def _ring_out(self) -> None:
        if not self.channel.hung_up and self._reply is not None:
            self.channel.hang_up("NO_ANSWER", at_once=True)
            self._report("-ERR NO_ANSWER\n")

    def _hung_up(self) -> None:
        self._cancel_timeout()
        if self._callee is not None:
            self._callee.caller_gone()

    def _over(self) -> None:
        if self._dial.gateway and not self.channel.answered:
            self._node.gateway_calls[self._dial.gateway][1] += 1
        self._report(f"-ERR {self.channel.cause}\n")

    def _report(self, result: str) -> None:
        if self._reply is not None:
            reply, self._reply = self._reply, None
            reply(result)

    def _cancel_timeout(self) -> None:
        if self._timeout is not None:
            self._timeout.cancel()
            self._timeout = None

    def _keep_message(self, pcm: bytes) -> None:
        self._node.keep_message(Message(self.channel.uuid, self.channel.number, pcm))


def _seconds(variables: dict[str, str]) -> float:
    return float(whole(variables.get("originate_timeout", "")) or _DEFAULT_TIMEOUT)
