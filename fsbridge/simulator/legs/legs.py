"""An outbound leg: from a dial string to the answer, or to the reason why there is none.

Used by `originate` and by the application `bridge`; each is told through `LegOwner` and decides what comes next.
Order of events as in tests/traces; who answers is the dialplan's matter first (the call comes back to the node),
then the far-end book's.
"""

from __future__ import annotations

import uuid
from typing import Protocol

from fsbridge.simulator.audio.lines import FRAME_SECONDS, Line
from fsbridge.simulator.farends.callee import Callee
from fsbridge.simulator.farends.dialplan import PUBLIC
from fsbridge.simulator.legs.dialstring import Dial
from fsbridge.simulator.legs.inbound import LoopedCall
from fsbridge.simulator.switch import causes
from fsbridge.simulator.switch.channel import Channel
from fsbridge.simulator.switch.limits import INBOUND
from fsbridge.simulator.switch.node import Message, Node
from fsbridge.simulator.time.scheduler import Timer

INVALID_GATEWAY = "INVALID_GATEWAY"
INVALID_PROFILE = "INVALID_PROFILE"
_CHALLENGES = (401, 407)


class LegOwner(Protocol):
    """Who placed a leg."""

    def leg_early(self) -> None:
        """Its far side has given early media."""

    def leg_answered(self) -> None: ...

    def leg_rang_out(self) -> None:
        """Its time to be answered is over; it has been hung up with NO_ANSWER just now."""

    def leg_over(self) -> None:
        """It has reported its end."""


class FarSide(Protocol):
    """Whoever is at the other end of a leg."""

    def caller_gone(self) -> None: ...


class Leg:
    """One leg being placed, and later the far side's line to it."""

    def __init__(
        self,
        node: Node,
        dial: Dial,
        owner: LegOwner,
        *,
        seconds: float,
        caller: tuple[str, str],
        originator: Channel | None = None,
    ) -> None:
        """seconds: how many seconds of the clock it may ring, the one that has begun counted as a whole one.

        originator: the leg that it is placed for, by `bridge`.
        """
        self._node = node
        self._dial = dial
        self._owner = owner
        self._seconds = seconds
        self._timeout: Timer | None = None
        self._far: FarSide | None = None
        wanted = dial.variables.get("origination_uuid", "")
        taken = wanted in node.channels or node.faults.takes_uuid()
        self.uuid = wanted if wanted and not taken else str(uuid.uuid4())
        shown = dial.target.removeprefix("sip:").removeprefix("sips:")
        name = f"sofia/{dial.profile}/{dial.target if dial.gateway else shown}"
        self.channel = node.new_channel(self.uuid, name, dial.user, caller)
        self.heard: Line = self.channel.heard
        self.said: Line = self.channel.said
        self._set_variables(wanted, originator)

    def _set_variables(self, wanted: str, originator: Channel | None) -> None:
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
            variables["origination_uuid"] = self.uuid
        if originator is not None:
            self.channel.other = (originator, "originator")
            variables.update(dict.fromkeys(("originator", "signal_bond"), originator.uuid))
            variables["originating_leg_uuid"] = originator.uuid
        variables["originate_early_media"] = "false"
        variables["originate_endpoint"] = dial.endpoint
        variables["sofia_profile_name"] = dial.profile

    def start(self) -> str:
        """Dial. Returns "" or, when there is no such way out, the cause: the channel is gone again then."""
        node, channel, dial = self._node, self.channel, self._dial
        known = node.settings.gateways + node.settings.dead_gateways
        if dial.gateway and dial.gateway not in known:
            channel.vanish()
            return INVALID_GATEWAY
        if not dial.gateway and dial.profile not in node.settings.profiles:
            channel.vanish()
            return INVALID_PROFILE
        if dial.gateway:
            node.gateway_calls[dial.gateway][0] += 1
        node.add(channel)
        channel.on_hangup = self._hung_up
        channel.on_hangup_complete = self._over
        channel.fire("CHANNEL_OUTGOING", variables=False)
        if channel.other is not None:
            channel.belong_to(channel.other[0])
        channel.set_state("CS_INIT")
        channel.fire("CHANNEL_CREATE")
        channel.fire("CHANNEL_ORIGINATE")
        channel.set_state("CS_ROUTING")
        channel.set_state("CS_CONSUME_MEDIA")
        self._timeout = node.scheduler.call_later(self._seconds - node.scheduler.wall() % 1, self._ring_out)
        if dial.gateway in node.settings.dead_gateways:
            node.scheduler.call_later(FRAME_SECONDS, lambda: self.refuse(503))
        else:
            node.scheduler.call_later(FRAME_SECONDS, self._reach)
        return ""

    def _reach(self, user: str = "") -> None:
        """The INVITE arrives somewhere; `user`: where a redirection sent it."""
        node, user = self._node, user or self._dial.user
        if self.channel.hung_up:
            return
        extension = node.dialplan.find(user, PUBLIC)
        if extension is not None:
            if node.admits(INBOUND):
                self._far = LoopedCall(node, self, extension)
            else:
                self.refuse(503)
            return
        script = node.settings.far_ends.find(user)
        if script is None:
            self.refuse(404)
            return
        callee = Callee(node.scheduler, self, script, user, self._keep_message)
        self._far = callee
        self.channel.on_digit_sent = callee.hear_digit
        callee.start()

    # The far side's line

    def sample(self) -> int:
        return self.channel.sample()

    def ring(self) -> None:
        if not self.channel.hung_up:
            self.channel.ring()

    def early_media(self) -> None:
        if not self.channel.hung_up:
            self.channel.early_media()
            self._owner.leg_early()

    def answer(self) -> None:
        channel = self.channel
        if channel.hung_up or channel.answered:
            return
        self.cancel_timeout()
        channel.answer()
        if not channel.hung_up:
            self._owner.leg_answered()

    def refuse(self, status: int, cause: str = "", *, q850: int = 0) -> None:
        """End the call with a SIP status; `cause`, or its number, is the one in the Reason header, if there is one.

        It is believed before the status, unless `ignore_q850_reason` is set. Nobody answers a challenge without a
        gateway's password.
        """
        if status in _CHALLENGES and not self._dial.gateway:
            self.channel.hang_up("MANDATORY_IE_MISSING", at_once=True)
            return
        variables = self.channel.variables
        if q850:
            variables["sip_reason"] = f"Q.850;cause={q850}"
            cause = causes.of_q850(q850)
        elif cause:
            variables["sip_reason"] = f'Q.850;cause={causes.q850(cause)};text="{cause}"'
        if variables.get("ignore_q850_reason") == "true":
            cause = ""
        self.channel.hang_up(cause or causes.of_status(status), by_far_end=True, status=status)

    def refer(self, extension: str) -> None:
        self.channel.refer(extension)

    def redirect(self, number: str) -> None:
        """302: followed, unless the leg says that it must not be (tests/traces redirect_refused, redirect_followed).

        A leg of `bridge` is followed as well; a real one would run the dialplan's context `redirected`.
        """
        contact, variables = f"sip:{number}@127.0.0.1:5199", self.channel.variables
        variables["sip_hangup_disposition"] = "recv_refuse"
        if variables.get("outbound_redirect_fatal") != "true":
            variables["sip_redirected_to"] = contact
            self.channel.reached = number
            self._node.scheduler.call_later(FRAME_SECONDS, lambda: self._reach(number))
            return
        variables["sip_redirected_to"] = variables["sip_redirect_contact_0"] = f"<{contact}>"
        variables["sip_redirect_contact_user_0"] = number
        variables["proto_specific_hangup_cause"] = "sip:302"
        self.channel.hang_up("REQUESTED_CHAN_UNAVAIL", at_once=True)

    def vanish(self) -> None:
        self.channel.lose_media()

    def hang_up_from_far_end(self, cause: str) -> None:
        status = 0 if self.channel.answered else 480
        self.channel.hang_up(cause, by_far_end=True, status=status)

    def press(self, digit: str) -> None:
        self.channel.dtmf(digit)

    # Its end

    def cancel_timeout(self) -> None:
        if self._timeout is not None:
            self._timeout.cancel()
            self._timeout = None

    def _ring_out(self) -> None:
        if not self.channel.hung_up and not self.channel.answered:
            self.channel.hang_up("NO_ANSWER", at_once=True)
            self._owner.leg_rang_out()

    def _hung_up(self) -> None:
        self.cancel_timeout()
        if self._far is not None:
            self._far.caller_gone()

    def _over(self) -> None:
        if self._dial.gateway and not self.channel.answered:
            self._node.gateway_calls[self._dial.gateway][1] += 1
        self._owner.leg_over()

    def _keep_message(self, pcm: bytes) -> None:
        self._node.keep_message(Message(self.channel.uuid, self.channel.number, pcm))
