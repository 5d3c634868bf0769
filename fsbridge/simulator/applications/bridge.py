"""The application `bridge`: places a second leg and connects the two, until one of them ends or is taken away.

Events, their order and the variables left as in tests/traces/flow_bridge_and_transfer.jsonl (answered, then transferred
away; refused). In no recording: early media of the second leg,
ringback, and a second leg that hangs up first; there the first goes on unless `hangup_after_bridge` is set, as in
mod_dptools' source.
"""

from __future__ import annotations

from dataclasses import replace

from fsbridge.simulator.applications.play import open_sound
from fsbridge.simulator.applications.sounding import pause
from fsbridge.simulator.audio import sound
from fsbridge.simulator.audio.lines import FRAME_SECONDS
from fsbridge.simulator.legs import dialstring
from fsbridge.simulator.legs.legs import Leg
from fsbridge.simulator.protocol.wire import whole
from fsbridge.simulator.switch.bridging import connect, disconnect, tell_partner
from fsbridge.simulator.switch.channel import Channel
from fsbridge.simulator.switch.limits import OUTBOUND
from fsbridge.simulator.switch.node import Node
from fsbridge.simulator.time.process import ELAPSED, HANGUP, LEG, App

_DEFAULT_SECONDS = 60.0
_DIALSTATUS = {
    "SUCCESS": "SUCCESS",
    "USER_BUSY": "BUSY",
    "NO_ANSWER": "NOANSWER",
    "NO_USER_RESPONSE": "NOANSWER",
    "ORIGINATOR_CANCEL": "CANCEL",
    "CALL_REJECTED": "DONTCALL",
    "UNALLOCATED_NUMBER": "INVALIDARGS",
    "INVALID_GATEWAY": "CHANUNAVAIL",
}


class _Dialling:
    """The owner of the second leg: wakes the application when something has happened to it."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._process = channel.execution.current
        self.leg: Leg | None = None
        self.answered = False
        self.over = False
        self.taken = False
        """The second leg was transferred away: it goes on without the first."""

    def leg_early(self) -> None:
        channel = self._channel
        assert self.leg is not None
        if self.leg.channel.variables.get("ignore_early_media", "false") == "false" and not channel.hung_up:
            other = self.leg.channel
            channel.said.feed(channel.sample(), [(other.heard, channel.offset_of(other))])

    def leg_answered(self) -> None:
        self.answered = True
        self._process.wake(LEG)

    def leg_rang_out(self) -> None:
        """Told by its end too."""

    def leg_over(self) -> None:
        self.over = True
        self._process.wake(LEG)

    def leg_taken(self) -> None:
        self.taken = True
        self._process.wake(LEG)


def bridge(node: Node, channel: Channel, argument: str) -> App:
    """``{variables}<leg>|<leg>``: the legs are tried in order until one answers; then the two are one call.

    A leg is ``sofia/gateway/<name>/<number>`` or ``sofia/<profile>/<uri>``. A cause named in `fail_on_single_reject`
    ends the trying.
    """
    channel.set_callstate("RING_WAIT")
    try:
        dials = dialstring.parse_legs(argument)
    except dialstring.DialStringInvalid as error:
        return _failed(channel, error.reply.removeprefix("-ERR ").strip(), None)
    _ringback(channel)
    for number, dial in enumerate(dials, 1):
        dialling = _Dialling(channel)
        cause = _dial(node, channel, dial, dialling)
        leg = dialling.leg
        if leg is not None and not cause:
            while not (dialling.answered or dialling.over):
                if (yield None) == HANGUP:
                    leg.channel.hang_up("ORIGINATOR_CANCEL", at_once=True)
                    return ""
            if dialling.answered:
                yield from _answered(channel, leg.channel, dialling)
                return ""
            channel.said.unfeed(channel.sample())
            cause = leg.channel.cause
        other = None if leg is None else leg.channel
        if number == len(dials) or _named(cause, dial.variables.get("fail_on_single_reject", "false")):
            return _failed(channel, cause, other)
        _note_attempt(channel, other, cause)
    return ""


def _named(cause: str, causes: str) -> bool:
    """Whether a variable that lists causes, or says true, means this one."""
    return causes == "true" or cause in causes.upper().split(",")


def _answered(channel: Channel, other: Channel, dialling: _Dialling) -> App:
    channel.said.cut(channel.sample())
    reason = yield from pause(channel, FRAME_SECONDS, wakes=(HANGUP,))
    if reason == ELAPSED and not dialling.over:
        yield from _bridged(channel, other, dialling)
    else:
        channel.said.unfeed(channel.sample())
        other.hang_up("NORMAL_CLEARING", at_once=True)
    return ""


def _dial(node: Node, channel: Channel, dial: dialstring.Dial, dialling: _Dialling) -> str:
    """Place the second leg; returns the cause when that fails at once."""
    if node.closed:
        return "CHAN_NOT_IMPLEMENTED"
    if not node.admits(OUTBOUND):
        return "DESTINATION_OUT_OF_ORDER"
    variables = channel.variables
    if "ignore_early_media" in variables:
        dial = replace(dial, variables={"ignore_early_media": variables["ignore_early_media"], **dial.variables})
    shown = channel.shown_caller()
    number = variables.get("effective_caller_id_number", shown[1])
    name = variables.get("effective_caller_id_name", shown[0])
    caller = (
        dial.variables.get("origination_caller_id_name", name),
        dial.variables.get("origination_caller_id_number", number),
    )
    wanted = dial.variables.get("originate_timeout") or variables.get("call_timeout", "")
    seconds = float(whole(wanted) or _DEFAULT_SECONDS)
    # This one has to be passed, not reached.
    seconds = min(seconds, float((whole(dial.variables.get("leg_timeout", "")) or _DEFAULT_SECONDS) + 1))
    dialling.leg = Leg(node, dial, dialling, seconds=seconds, caller=caller, originator=channel)
    return dialling.leg.start()


def _ringback(channel: Channel) -> None:
    """What the first leg hears meanwhile, if a variable says so."""
    tone = channel.variables.get("transfer_ringback" if channel.answered else "ringback", "")
    if tone:
        try:
            cadence = f"tone_stream://{tone};loops=-1" if tone.startswith("%(") else tone
            channel.said.play(channel.sample(), open_sound(channel, cadence))
        except sound.SoundError:
            # FreeSWITCH too lets the caller wait in silence then.
            return


def _note_attempt(channel: Channel, other: Channel | None, result: str) -> None:
    variables = channel.variables
    if other is not None:
        _push(variables, "originated_legs", f"{other.uuid};Outbound Call;{other.number}")
        _push(variables, "originate_causes", f"{other.uuid};{'NONE' if result == 'SUCCESS' else result}")
    variables["originate_disposition"] = result
    variables["DIALSTATUS"] = _DIALSTATUS.get(result, result)


def _push(variables: dict[str, str], name: str, value: str) -> None:
    """FreeSWITCH's list variables: a plain value, then ``ARRAY::a|:b``."""
    before = variables.get(name)
    if before is None:
        variables[name] = value
    else:
        variables[name] = f"{before if before.startswith('ARRAY::') else 'ARRAY::' + before}|:{value}"


def _bridged(channel: Channel, other: Channel, dialling: _Dialling) -> App:
    """From CHANNEL_BRIDGE to CHANNEL_UNBRIDGE."""
    _note_attempt(channel, other, "SUCCESS")
    channel.other = (other, "originatee")
    if channel.answered:
        channel.set_callstate("ACTIVE")
    else:
        channel.answer()
    pair = connect(channel, other)
    channel.fire("CHANNEL_BRIDGE", before=pair)
    other.set_state("CS_EXCHANGE_MEDIA")
    other.execution.attend()
    tell_partner(other, channel)
    channel.node.scheduler.call_later(FRAME_SECONDS, lambda: _tell_first(channel, other))
    other.on_transfer = dialling.leg_taken
    while not (dialling.over or dialling.taken):
        if (yield None) == HANGUP:
            break
        channel.execution.digits.clear()
    disconnect(channel, other)
    for one in (channel, other):
        one.variables.pop("signal_bond", None)
    if dialling.taken:
        other.other = None
    else:
        other.hang_up(channel.cause or "NORMAL_CLEARING", at_once=True)
    channel.variables["bridge_hangup_cause"] = other.cause or "NORMAL_CLEARING"
    channel.other = None
    channel.fire("CHANNEL_UNBRIDGE", before=pair)
    if dialling.over and channel.variables.get("hangup_after_bridge") == "true":
        channel.hang_up(other.cause, in_thread=True)
    return ""


def _tell_first(channel: Channel, other: Channel) -> None:
    if not channel.hung_up and channel.other is not None and channel.other[0] is other:
        tell_partner(channel, other)


def _failed(channel: Channel, cause: str, other: Channel | None) -> str:
    """The second leg was not answered: the call ends with it, unless `continue_on_fail` allows this cause."""
    variables = channel.variables
    _note_attempt(channel, other, cause)
    variables["originate_failed_cause"] = cause
    variables["last_bridge_hangup_cause"] = cause
    if other is not None:
        for name in ("sip_invite_failure_status", "sip_invite_failure_phrase"):
            if name in other.variables:
                variables[name] = other.variables[name]
        specific = other.variables.get("proto_specific_hangup_cause")
        if specific:
            variables["last_bridge_proto_specific_hangup_cause"] = specific
    channel.set_callstate("ACTIVE" if channel.answered else "RINGING")
    channel.said.cut(channel.sample())
    if not _named(cause, variables.get("continue_on_fail", "false")):
        channel.hang_up(cause, in_thread=True)
    return ""
