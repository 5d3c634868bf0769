"""The lifecycle of a call: `step(call, input, now) -> (call, effects)`. Pure; the only place with its rules.

Theory of operation. A call moves forward through `Phase` only:

    QUEUED → ORIGINATING → RINGING → ANALYZING → IN_FLOW → HANGING_UP → ENDED

skipping what does not apply (no ringing seen, no analysis asked for), and every path ends in ENDED exactly
once. Events may be lost, doubled or late, so each fact has several witnesses, and the first one is believed:

* An answer is known from CHANNEL_ANSWER, from any later event of the answered channel (its end included), from the
  originate's `+OK` (with ignore_early_media that reply means answered), or from the node's word.
* The channel can be driven (an application that is sent is run) once it is in park: known from CHANNEL_PARK, from
  the originate's `+OK`, or from the node's word. Before that, `park` takes the channel from whatever was sent
  (tests/traces race_playback_before_park); so it is after a flow has called the channel back from elsewhere, and while
  the node is out of reach. The flow begins with the answer or the verdict, whichever it has to wait for, and sends,
  and its time passes, while the call is `drivable`.
* An end is known from CHANNEL_HANGUP_COMPLETE or CHANNEL_DESTROY, or from the node's word that the channel is gone.
  CHANNEL_HANGUP, and any event of a channel that is going down, tells nearly all of it already: the rest is waited for
  briefly, then the node is asked. So it is with a failed job of a channel that was seen.
* While the call waits for anything, a deadline stands in `deadlines`; when it passes, the node is asked, or the
  next best fact is taken. So no loss of events leaves a call without an end.
* What the end means is judged once, when it is reached, by all that is known then (`lifecycle.endings`): the order in
  which it became known makes no difference. Only what we ourselves end a call for stands before.
* After ENDED every input is ignored.

Times: `now` is a moment on both clocks; the machine reads none. Spans are monotonic, or the node's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from amd_model.verdict import Reason
from fsbridge.call.lifecycle import inputs as i
from fsbridge.call.lifecycle.analysis import amd_heard, conclude, run_flow, tap_connected, tap_failed, tap_silent
from fsbridge.call.lifecycle.effects import AnswerChannel, CheckChannel, Effect, Kill, Originate, StopFlow
from fsbridge.call.lifecycle.endings import CUT_BY, close, fail, inconclusive, lose
from fsbridge.call.lifecycle.moves import Limits, Step, calm, end, hang_up, live, seen, unwait, wait
from fsbridge.esl.causes import known_cause
from fsbridge.model.call import Call
from fsbridge.model.ids import is_uuid
from fsbridge.model.moment import Moment
from fsbridge.model.outcome import FailureReason, HangupInfo
from fsbridge.model.status import Deadline, Phase

MAX_KILLS = 3
"""How often an unconfirmed hang-up is asked for before the call is closed without the node's word."""


MAX_LOOKS = 4
"""How often an answered channel is looked for in park, each time after twice as long, before the node's word that it
is not there ends the call."""


def step(call: Call, event: i.Input, now: Moment, limits: Limits) -> Step:
    """The call after one input, and what must be done. Total: any input in any phase has an answer."""
    if call.ended:
        return call, ()
    return _HANDLERS[type(event)](call, event, now, limits)


def earliest(call: Call) -> tuple[Deadline, float] | None:
    """The deadline that passes first, if the call waits for anything."""
    return min(call.deadlines.items(), key=lambda item: item[1], default=None)


# --- placing -------------------------------------------------------------------------------------------


def _begin(call: Call, _: i.Begin, now: Moment, limits: Limits) -> Step:
    if call.phase is not Phase.QUEUED:
        return call, ()
    if call.inbound:
        call = live(replace(call, phase=Phase.RINGING, ringing=True, channel_seen=True), driven=True)
        return wait(call, Deadline.ORIGINATE, now, limits.answer_s), (AnswerChannel(),)
    patience = limits.ring_s + limits.originate_grace_s
    call = replace(call, phase=Phase.ORIGINATING)
    return wait(call, Deadline.ORIGINATE, now, patience), (Originate(),)


def _unplaceable(call: Call, event: i.Unplaceable, now: Moment, _: Limits) -> Step:
    if call.phase is not Phase.QUEUED:
        return call, ()
    return end(fail(call, FailureReason.TRUNK_UNAVAILABLE, event.detail), now)


def _originate_failed(call: Call, event: i.OriginateFailed, now: Moment, _: Limits) -> Step:
    if call.channel_seen or call.answered_at is not None:
        return call, ()
    return end(fail(call, FailureReason.TRUNK_UNAVAILABLE, event.detail), now)


def _originate_unsure(call: Call, _: i.OriginateUnsure, now: Moment, limits: Limits) -> Step:
    # The command may have arrived. Dialling again could ring twice, so the node is asked when it is back; until
    # then ORIGINATE's deadline stands.
    return call, ()


def _job_done(call: Call, event: i.JobDone, now: Moment, limits: Limits) -> Step:
    if event.ok and event.text == call.channel:
        return _parked(call, i.Parked(answered=True), now, limits)
    if event.ok and is_uuid(event.text):
        # A duplicate origination_uuid is no error to FreeSWITCH: it gives the channel another one.
        failed = fail(call, FailureReason.TRUNK_UNAVAILABLE, "the node gave the channel another uuid")
        ended, effects = end(failed, now)
        return ended, (Kill("NORMAL_CLEARING", event.text), *effects)
    if event.ok or not known_cause(event.text):
        return _job_unclear(call, i.JobUnclear(event.text), now, limits)
    if call.answered_at is not None or call.live.over is not None:
        return call, ()  # contradicted by the answer, or told already: the hang-up events decide
    call = replace(call, hangup=HangupInfo(cause=event.text))
    if not call.channel_seen:
        return end(close(call, ""), now)
    # Its hang-up events are on the way, with the SIP status; the node is asked once where they are lost.
    call = wait(calm(replace(call, phase=Phase.HANGING_UP)), Deadline.HANGUP, now, limits.late_event_s)
    return replace(call, kills=MAX_KILLS - 1), ()


def _job_unclear(call: Call, _: i.JobUnclear, now: Moment, limits: Limits) -> Step:
    return (call, ()) if call.answered_at is not None else (call, (CheckChannel(),))


def _channel_seen(call: Call, _: i.ChannelSeen, now: Moment, limits: Limits) -> Step:
    return seen(call), ()


def _progress(call: Call, event: i.Progress, now: Moment, limits: Limits) -> Step:
    call = seen(call)
    if not event.early_media and not call.live.alerted:
        call = live(call, alerted=True)
    if call.answered_at is not None:
        return call, ()
    forward = call.phase in (Phase.QUEUED, Phase.ORIGINATING)
    return replace(call, phase=Phase.RINGING if forward else call.phase, ringing=True), ()


# --- answered ------------------------------------------------------------------------------------------


def _answered(call: Call, event: i.Answered, now: Moment, limits: Limits) -> Step:
    call = seen(call)
    if call.answered_at is not None:
        return call, ()
    at = now.before(event.ago_s)
    call = replace(call, answered_at=at.wall)
    if call.live.over is not None:
        return call, ()  # told after its end: how long it was the node has to say
    call = live(call, answered=at)
    if call.phase is Phase.HANGING_UP:
        return call, ()
    call = _await_park(wait(calm(call), Deadline.CALL, at, limits.max_call_s), now, limits)
    options = call.request.amd
    if call.request.call_analysis is None or options is None:
        return run_flow(call)
    call = replace(call, phase=Phase.ANALYZING)
    patience = options.total_timeout_ms / 1000 + limits.verdict_grace_s
    call = wait(call, Deadline.VERDICT, now, patience)
    # The tap is FreeSWITCH's own, from the answer on: its word may come before that of the answer.
    if call.analysis is not None:
        return conclude(call, now, limits, message_over=False)
    if call.live.tap_failed is not None:
        return tap_failed(call, i.TapFailed(call.live.tap_failed), now, limits)
    return call if call.tap_connected else wait(call, Deadline.TAP, now, limits.tap_silence_s), ()


def _parked(call: Call, event: i.Parked, now: Moment, limits: Limits) -> Step:
    call = _drive(seen(call))
    return _answered(call, i.Answered(), now, limits) if event.answered else (call, ())


def _called_back(call: Call, _: i.CalledBack, now: Moment, limits: Limits) -> Step:
    if call.phase is not Phase.IN_FLOW or call.handed_over:
        return call, ()
    return _await_park(live(call, driven=False), now, limits), ()


def _drive(call: Call) -> Call:
    return call if call.live.driven else unwait(live(call, driven=True, looks=0), Deadline.PARK)


def _await_park(call: Call, now: Moment, limits: Limits) -> Call:
    if call.live.driven:
        return call
    return wait(call, Deadline.PARK, now, limits.park_s * 2**call.live.looks)


def _flow_began(call: Call, event: i.FlowBegan, now: Moment, _: Limits) -> Step:
    if call.phase is not Phase.IN_FLOW:
        return call, ()
    return replace(call, flow_version=event.version, fails_at_hangup=event.fails_at_hangup), ()


def _flow_ended(call: Call, event: i.FlowEnded, now: Moment, limits: Limits) -> Step:
    if call.phase is not Phase.IN_FLOW or call.flow_over:
        return call, ()
    call = replace(call, flow_over=True, flow_result=event.data)
    if event.result is i.FlowResult.LEFT:
        # The dialplan has the channel now, and may keep it as long as it likes: its hang-up ends the call.
        return wait(calm(call), Deadline.CALL, now, limits.max_call_s), (StopFlow(),)
    if event.result is i.FlowResult.BROKE:
        call = fail(call, FailureReason.FLOW_ERROR, event.detail)
    elif event.result is i.FlowResult.NOT_STARTED:
        call = fail(call, FailureReason.SESSION_START_FAILED, event.detail)
    return hang_up(call, event.cause, now, limits)


# --- ending --------------------------------------------------------------------------------------------


def _hanging_up(call: Call, event: i.HangingUp, now: Moment, limits: Limits) -> Step:
    if call.live.over is not None:
        return call, ()
    call = live(seen(call), over=now) if event.end is None else _learn(call, event.end, now)
    stop: tuple[Effect, ...] = (StopFlow(),) if call.phase is Phase.IN_FLOW else ()
    call = calm(replace(call, phase=Phase.HANGING_UP, kills=0))
    return wait(call, Deadline.HANGUP, now, limits.late_event_s), stop


def _hung_up(call: Call, event: i.HungUp, now: Moment, _: Limits) -> Step:
    return end(close(_learn(call, event.end, now), ""), now)


def _learn(call: Call, told: i.End, now: Moment) -> Call:
    """Take what the node says of the end: its moment is the first that was told, its cause the last."""
    over = call.live.over or now.before(told.ago_s)
    talk_s = call.live.told_talk_s if told.talk_s is None else told.talk_s
    call = live(call, over=over, told_talk_s=talk_s, alerted=call.live.alerted or told.alerted)
    call = replace(seen(call), hangup=told.info, ringing=call.ringing or told.alerted)
    if talk_s is not None and call.answered_at is None:
        call = replace(call, answered_at=over.wall - talk_s)
    return call


def _channel_gone(call: Call, event: i.ChannelGone, now: Moment, limits: Limits) -> Step:
    if event.end is not None:
        return _hung_up(call, i.HungUp(event.end), now, limits)
    if call.phase is Phase.QUEUED:
        return call, ()
    detail = f"node {call.node} knows nothing of the channel any more: FreeSWITCH was restarted, or has no mod_hash"
    if call.answered_at is None and call.ringing and Deadline.ORIGINATE not in call.deadlines:
        # It has rung for as long as it may, and nobody told of an answer.
        call = fail(call, FailureReason.NO_ANSWER, detail)
    return end(close(call, detail), now)


def _channel_alive(call: Call, event: i.ChannelAlive, now: Moment, limits: Limits) -> Step:
    if call.phase is Phase.QUEUED or call.handed_over:
        return call, ()
    call = live(seen(call), away=False) if call.live.away else seen(call)
    if call.phase is Phase.HANGING_UP:
        return hang_up(call, call.live.asked or "NORMAL_CLEARING", now, limits)
    if event.parked:
        call = _drive(call)
    if event.answered_ago_s is not None:
        if call.answered_at is None:
            return _answered(call, i.Answered(event.answered_ago_s), now, limits)
        return (call, ()) if call.live.driven else _not_parked(call, now, limits)
    if call.answered_at is None and Deadline.ORIGINATE not in call.deadlines:
        # It rings past every timeout: FreeSWITCH's own timer has failed us.
        return hang_up(fail(call, FailureReason.NO_ANSWER, "still ringing"), "NO_ANSWER", now, limits)
    return call, ()


def _not_parked(call: Call, now: Moment, limits: Limits) -> Step:
    if call.live.looks < MAX_LOOKS:
        return call, ()
    detail = f"node {call.node} has not parked the channel: nothing that is sent to it would be run"
    return hang_up(lose(call, detail), "NORMAL_TEMPORARY_FAILURE", now, limits)


def _node_away(call: Call, _: i.NodeAway, now: Moment, limits: Limits) -> Step:
    return (call, ()) if call.live.away else (live(call, away=True), ())


def _node_back(call: Call, _: i.NodeBack, now: Moment, limits: Limits) -> Step:
    return (live(call, away=False), ()) if call.live.away else (call, ())


def _node_lost(call: Call, event: i.NodeLost, now: Moment, limits: Limits) -> Step:
    return end(lose(call, event.detail or f"node {call.node} has not come back"), now)


def _stop_asked(call: Call, event: i.StopAsked, now: Moment, limits: Limits) -> Step:
    if call.phase is Phase.QUEUED:
        return end(lose(call, event.detail), now)
    if call.phase is Phase.HANGING_UP and Deadline.HANGUP in call.deadlines:
        return call, ()
    return hang_up(lose(call, event.detail), "NORMAL_CLEARING", now, limits)


def _deadline(call: Call, event: i.DeadlinePassed, now: Moment, limits: Limits) -> Step:
    if event.which not in call.deadlines:
        return call, ()
    call = unwait(call, event.which)
    match event.which:
        case Deadline.ORIGINATE:
            return wait(call, Deadline.HANGUP, now, limits.hangup_s), (CheckChannel(),)
        case Deadline.TAP:
            return tap_silent(call, now, limits)
        case Deadline.PARK:
            return _await_park(live(call, looks=call.live.looks + 1), now, limits), (CheckChannel(),)
        case Deadline.VERDICT:
            return conclude(inconclusive(call, Reason.TIMEOUT), now, limits, message_over=True)
        case Deadline.CALL if call.handed_over:
            return wait(call, Deadline.CALL, now, limits.max_call_s), (CheckChannel(),)
        case Deadline.CALL:
            if not call.flow_over:
                call = lose(call, CUT_BY["ALLOTTED_TIMEOUT"])
            return hang_up(call, "ALLOTTED_TIMEOUT", now, limits)
        case Deadline.HANGUP:
            if call.kills < MAX_KILLS:
                again = wait(replace(call, kills=call.kills + 1), Deadline.HANGUP, now, limits.hangup_s)
                return again, (CheckChannel(),)
            return end(close(call, f"node {call.node} gave no word of the call's end"), now)


_HANDLERS: dict[type[Any], Callable[[Call, Any, Moment, Limits], Step]] = {
    i.Begin: _begin,
    i.Unplaceable: _unplaceable,
    i.OriginateFailed: _originate_failed,
    i.OriginateUnsure: _originate_unsure,
    i.JobDone: _job_done,
    i.JobUnclear: _job_unclear,
    i.ChannelSeen: _channel_seen,
    i.Progress: _progress,
    i.Answered: _answered,
    i.Parked: _parked,
    i.CalledBack: _called_back,
    i.TapConnected: tap_connected,
    i.TapFailed: tap_failed,
    i.AmdHeard: amd_heard,
    i.FlowBegan: _flow_began,
    i.FlowEnded: _flow_ended,
    i.HangingUp: _hanging_up,
    i.HungUp: _hung_up,
    i.ChannelGone: _channel_gone,
    i.ChannelAlive: _channel_alive,
    i.NodeAway: _node_away,
    i.NodeBack: _node_back,
    i.NodeLost: _node_lost,
    i.StopAsked: _stop_asked,
    i.DeadlinePassed: _deadline,
}
