"""The lifecycle of a call: `step(call, input, now) -> (call, effects)`. Pure; the only place with its rules.

Theory of operation. A call moves forward through `Phase` only:

    QUEUED → ORIGINATING → RINGING → ANALYZING → IN_FLOW → HANGING_UP → ENDED

skipping what does not apply (no ringing seen, no analysis asked for), and every path ends in ENDED exactly
once. Events may be lost, doubled or late, so the rules are these:

* An answer is known from CHANNEL_ANSWER *or* from the originate's `+OK` (with ignore_early_media that reply
  means answered) *or* from the node's word that the channel is answered, whichever comes first.
* An end is known from CHANNEL_HANGUP_COMPLETE, or from the node's word that the channel is gone. A failed job
  of a channel that was seen waits briefly for its hang-up event, which carries the SIP status.
* The channel can be driven (an application that is sent is run) once it is in park: known from CHANNEL_PARK, from
  the originate's `+OK`, or from the node's word. Before that, `park` takes the channel from whatever was sent
  (tests/traces race_playback_before_park); so it is after a flow has called the channel back from elsewhere. The
  flow begins with the answer or the verdict, whichever it has to wait for, and sends when `driven`.
* While the call waits for anything, a deadline stands in `deadlines`; when it passes, the node is asked, or the
  next best fact is taken. So no loss of events leaves a call without an end.
* After ENDED every input is ignored.

Times: `now` is `Now(monotonic, wall)`; the machine reads no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from amd_model.verdict import AmdEvent, EventKind, Reason, Verdict
from fsbridge.amd import policy
from fsbridge.call.lifecycle import inputs as i
from fsbridge.call.lifecycle.effects import (
    AnswerChannel,
    CheckChannel,
    Effect,
    Kill,
    Originate,
    RetryTap,
    StartFlow,
    StopFlow,
    StopTap,
    Tell,
)
from fsbridge.esl.causes import classify
from fsbridge.model.call import Call
from fsbridge.model.notice import Notice
from fsbridge.model.outcome import FailureReason, HangupInfo
from fsbridge.model.status import Deadline, Phase

Step = tuple[Call, tuple[Effect, ...]]

MAX_TAP_RETRIES = 1
"""How many other workers are tried when one refuses the tap."""

MAX_KILLS = 3
"""How often an unconfirmed hang-up is asked for before the call is closed without the node's word."""


MAX_LOOKS = 4
"""How often an answered channel is looked for in park, each time after twice as long, before the node's word that it
is not there ends the call."""


@dataclass(frozen=True, slots=True)
class Now:
    """The moment of a step: monotonic seconds for deadlines, Unix seconds for the record."""

    monotonic: float
    wall: float


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a call waits for what, in seconds."""

    ring_s: float = 30.0
    originate_grace_s: float = 10.0
    tap_connect_s: float = 3.0
    verdict_grace_s: float = 2.0
    max_call_s: float = 3600.0
    hangup_s: float = 5.0
    late_event_s: float = 1.0
    answer_s: float = 5.0
    park_s: float = 1.0


def step(call: Call, event: i.Input, now: Now, limits: Limits) -> Step:
    """The call after one input, and what must be done. Total: any input in any phase has an answer."""
    if call.ended:
        return call, ()
    return _HANDLERS[type(event)](call, event, now, limits)


def earliest(call: Call) -> tuple[Deadline, float] | None:
    """The deadline that passes first, if the call waits for anything."""
    return min(call.deadlines.items(), key=lambda item: item[1], default=None)


# --- placing -------------------------------------------------------------------------------------------


def _begin(call: Call, _: i.Begin, now: Now, limits: Limits) -> Step:
    if call.phase is not Phase.QUEUED:
        return call, ()
    if call.inbound:
        call = replace(call, phase=Phase.RINGING, ringing=True, channel_seen=True, driven=True)
        return _wait(call, Deadline.ORIGINATE, now, limits.answer_s), (AnswerChannel(),)
    patience = limits.ring_s + limits.originate_grace_s
    call = replace(call, phase=Phase.ORIGINATING)
    return _wait(call, Deadline.ORIGINATE, now, patience), (Originate(),)


def _unplaceable(call: Call, event: i.Unplaceable, now: Now, _: Limits) -> Step:
    if call.phase is not Phase.QUEUED:
        return call, ()
    return _end(_fail(call, FailureReason.TRUNK_UNAVAILABLE, event.detail), now)


def _originate_failed(call: Call, event: i.OriginateFailed, now: Now, _: Limits) -> Step:
    if call.channel_seen or call.answered_at is not None:
        return call, ()
    return _end(_fail(call, FailureReason.TRUNK_UNAVAILABLE, event.detail), now)


def _originate_unsure(call: Call, _: i.OriginateUnsure, now: Now, limits: Limits) -> Step:
    # The command may have arrived. Dialling again could ring twice, so the node is asked when it is back; until
    # then ORIGINATE's deadline stands.
    return call, ()


def _job_done(call: Call, event: i.JobDone, now: Now, limits: Limits) -> Step:
    if event.ok:
        if event.text and event.text != call.channel:
            # A duplicate origination_uuid is no error to FreeSWITCH: it gives the channel another one.
            failed = _fail(call, FailureReason.TRUNK_UNAVAILABLE, "the node gave the channel another uuid")
            ended, effects = _end(failed, now)
            return ended, (Kill("NORMAL_CLEARING", event.text), *effects)
        return _parked(call, i.Parked(answered=True), now, limits)
    if call.answered_at is not None:
        return call, ()  # contradicted by the answer: the hang-up event decides
    if call.hangup is None:
        call = replace(call, hangup=HangupInfo(cause=event.text))
    if call.failure is None:
        call = _fail(call, classify(event.text), f"the node reported {event.text}")
    if not call.channel_seen:
        return _end(call, now)
    # Its CHANNEL_HANGUP_COMPLETE is on the way, with the SIP status.
    call = _wait(_calm(replace(call, phase=Phase.HANGING_UP)), Deadline.HANGUP, now, limits.late_event_s)
    return replace(call, kills=MAX_KILLS), ()


def _channel_seen(call: Call, _: i.ChannelSeen, now: Now, limits: Limits) -> Step:
    return replace(call, channel_seen=True), ()


def _progress(call: Call, _: i.Progress, now: Now, limits: Limits) -> Step:
    call = replace(call, channel_seen=True)
    if call.phase not in (Phase.QUEUED, Phase.ORIGINATING):
        return call, ()
    return replace(call, phase=Phase.RINGING, ringing=True), ()


# --- answered ------------------------------------------------------------------------------------------


def _answered(call: Call, _: i.Answered, now: Now, limits: Limits) -> Step:
    call = replace(call, channel_seen=True)
    if call.answered_at is not None:
        return call, ()
    call = replace(call, answered_at=now.wall)
    if call.phase is Phase.HANGING_UP:
        return call, ()
    call = _await_park(_wait(_calm(call), Deadline.CALL, now, limits.max_call_s), now, limits)
    options = call.request.amd
    if call.request.call_analysis is None or options is None:
        return _run_flow(call)
    call = _wait(replace(call, phase=Phase.ANALYZING), Deadline.TAP, now, limits.tap_connect_s)
    patience = options.total_timeout_ms / 1000 + limits.verdict_grace_s
    return _wait(call, Deadline.VERDICT, now, patience), ()


def _parked(call: Call, event: i.Parked, now: Now, limits: Limits) -> Step:
    call = _drive(replace(call, channel_seen=True))
    return _answered(call, i.Answered(), now, limits) if event.answered else (call, ())


def _called_back(call: Call, _: i.CalledBack, now: Now, limits: Limits) -> Step:
    if call.phase is not Phase.IN_FLOW:
        return call, ()
    return _await_park(replace(call, driven=False), now, limits), ()


def _drive(call: Call) -> Call:
    return _unwait(replace(call, driven=True, looks=0), Deadline.PARK)


def _await_park(call: Call, now: Now, limits: Limits) -> Call:
    return call if call.driven else _wait(call, Deadline.PARK, now, limits.park_s * 2**call.looks)


def _tap_connected(call: Call, _: i.TapConnected, now: Now, limits: Limits) -> Step:
    if call.phase in (Phase.IN_FLOW, Phase.HANGING_UP):
        return call, ()  # the flow's own ears, or its bot
    call = replace(call, tap_connected=True)
    return _unwait(call, Deadline.TAP), ()


def _tap_failed(call: Call, event: i.TapFailed, now: Now, limits: Limits) -> Step:
    if call.phase is not Phase.ANALYZING:
        return call, ()
    if not event.final and not call.tap_connected and call.tap_retries < MAX_TAP_RETRIES:
        # A full worker refuses at the upgrade so that another one may take the call; little of the answer is lost.
        call = replace(call, tap_retries=call.tap_retries + 1)
        return _wait(call, Deadline.TAP, now, limits.tap_connect_s), (RetryTap(),)
    return _conclude(_inconclusive(call), now, limits, message_over=True)


def _amd_heard(call: Call, event: i.AmdHeard, now: Now, limits: Limits) -> Step:
    if call.phase is not Phase.ANALYZING:
        return call, ()
    if call.analysis is None and event.event.kind not in (EventKind.VERDICT, EventKind.CORRECTION):
        return call, ()
    call = replace(call, analysis=policy.hear(call.analysis, event.event))
    return _conclude(call, now, limits, message_over=False)


def _conclude(call: Call, now: Now, limits: Limits, *, message_over: bool) -> Step:
    """Act on what is known of the answer: run the flow, wait for the message's end, or hang up."""
    analysis, options = call.analysis, call.request.amd
    allowed = call.request.call_analysis
    if analysis is None or options is None or allowed is None:
        return call, ()
    call, told = _tell_answer(_unwait(_unwait(call, Deadline.TAP), Deadline.VERDICT))
    refused = policy.refusal(analysis.result, allowed)
    if refused is not None:
        call = _fail(call, refused, f"the answer was {analysis.result}, which callAnalysis does not include")
        hung, effects = _hang_up(call, "NORMAL_CLEARING", now, limits)
        return hung, (*told, StopTap(), *effects)
    if not message_over and policy.waits_for_message_end(analysis, options):
        patience = options.message_end_timeout_ms / 1000 + limits.verdict_grace_s
        return _wait(call, Deadline.VERDICT, now, patience), told
    running, effects = _run_flow(call)
    return running, (*told, StopTap(), *effects)


def _run_flow(call: Call) -> Step:
    call, told = _tell_answer(call)
    return replace(call, phase=Phase.IN_FLOW, flow_started=True), (*told, StartFlow())


def _flow_began(call: Call, event: i.FlowBegan, now: Now, _: Limits) -> Step:
    if call.phase is not Phase.IN_FLOW:
        return call, ()
    return replace(call, flow_version=event.version, fails_at_hangup=event.fails_at_hangup), ()


def _flow_ended(call: Call, event: i.FlowEnded, now: Now, limits: Limits) -> Step:
    if call.phase is not Phase.IN_FLOW:
        return call, ()
    call = replace(call, flow_over=True, flow_result=event.data)
    if event.result is i.FlowResult.LEFT:
        return call, (StopFlow(),)  # somebody else's dialplan has the channel now: its hang-up ends the call
    if event.result is i.FlowResult.BROKE:
        call = _fail(call, FailureReason.FLOW_ERROR, event.detail)
    elif event.result is i.FlowResult.NOT_STARTED:
        call = _fail(call, FailureReason.SESSION_START_FAILED, event.detail)
    return _hang_up(call, event.cause, now, limits)


# --- ending --------------------------------------------------------------------------------------------


def _hung_up(call: Call, event: i.HungUp, now: Now, _: Limits) -> Step:
    call = replace(call, hangup=event.info)
    if call.answered_at is None:
        return _end(_fail(call, classify(event.info.cause), f"the call ended with {event.info.cause}"), now)
    return _end(_judge_answered_end(call), now)


def _channel_gone(call: Call, event: i.ChannelGone, now: Now, limits: Limits) -> Step:
    if event.info is not None:
        return _hung_up(call, i.HungUp(event.info), now, limits)
    if call.phase is Phase.QUEUED:
        return call, ()
    if call.answered_at is None:
        detail = "the node knows no such channel and kept no cause"
        reason = FailureReason.NO_ANSWER if call.ringing else FailureReason.TRUNK_UNAVAILABLE
        return _end(_fail(call, reason, detail), now)
    return _end(_judge_answered_end(call), now)


def _channel_alive(call: Call, event: i.ChannelAlive, now: Now, limits: Limits) -> Step:
    if call.phase is Phase.QUEUED:
        return call, ()
    call = replace(call, channel_seen=True)
    if call.phase is Phase.HANGING_UP:
        return _hang_up(call, "NORMAL_CLEARING", now, limits)
    if event.parked:
        call = _drive(call)
    if event.answered and call.answered_at is None:
        return _answered(call, i.Answered(), now, limits)
    if event.answered and not call.driven:
        return _not_parked(call, now, limits)
    if call.answered_at is None and Deadline.ORIGINATE not in call.deadlines:
        # It rings past every timeout: FreeSWITCH's own timer has failed us.
        return _hang_up(_fail(call, FailureReason.NO_ANSWER, "still ringing"), "NO_ANSWER", now, limits)
    return call, ()


def _not_parked(call: Call, now: Now, limits: Limits) -> Step:
    if call.looks < MAX_LOOKS:
        return call, ()
    detail = f"node {call.node} has not parked the channel: nothing that is sent to it would be run"
    return _hang_up(_lost(call, detail), "NORMAL_TEMPORARY_FAILURE", now, limits)


def _node_lost(call: Call, _: i.NodeLost, now: Now, limits: Limits) -> Step:
    return _end(_lost(call, f"node {call.node} has not come back"), now)


def _stop_asked(call: Call, event: i.StopAsked, now: Now, limits: Limits) -> Step:
    if call.phase is Phase.QUEUED:
        return _end(_lost(call, event.detail), now)
    if call.phase is Phase.HANGING_UP:
        return call, ()
    return _hang_up(_lost(call, event.detail), "NORMAL_CLEARING", now, limits)


def _deadline(call: Call, event: i.DeadlinePassed, now: Now, limits: Limits) -> Step:
    if event.which not in call.deadlines:
        return call, ()
    call = _unwait(call, event.which)
    match event.which:
        case Deadline.ORIGINATE:
            return _wait(call, Deadline.HANGUP, now, limits.hangup_s), (CheckChannel(),)
        case Deadline.TAP:
            detail = "the audio tap did not connect in time"
            return _tap_failed(call, i.TapFailed(detail, final=True), now, limits)
        case Deadline.PARK:
            return _await_park(replace(call, looks=call.looks + 1), now, limits), (CheckChannel(),)
        case Deadline.VERDICT:
            if call.analysis is None:
                call = _inconclusive(call)
            return _conclude(call, now, limits, message_over=True)
        case Deadline.CALL:
            return _hang_up(call, "ALLOTTED_TIMEOUT", now, limits)
        case Deadline.HANGUP:
            if call.kills < MAX_KILLS:
                again = _wait(replace(call, kills=call.kills + 1), Deadline.HANGUP, now, limits.hangup_s)
                return again, (CheckChannel(),)
            return _end(_judge_answered_end(call) if call.answered_at is not None else _lost(call, "no word"), now)


def _hang_up(call: Call, cause: str, now: Now, limits: Limits) -> Step:
    stop: tuple[Effect, ...] = (StopFlow(),) if call.phase is Phase.IN_FLOW else ()
    call = _calm(replace(call, phase=Phase.HANGING_UP))
    return _wait(call, Deadline.HANGUP, now, limits.hangup_s), (*stop, Kill(cause))


def _judge_answered_end(call: Call) -> Call:
    """An answered call whose flow ran is completed unless the flow broke; one that ended before its flow failed.

    A flow may want it otherwise: one that expects things of the far end has failed if that leaves first.
    """
    if call.failure is None and call.flow_started and call.fails_at_hangup and not call.flow_over:
        return _fail(call, FailureReason.FLOW_ERROR, "the call ended before the flow had reached its end")
    if call.failure is not None or call.flow_started:
        return call
    if call.request.call_analysis is not None and call.analysis is None:
        detail = "the call ended before its answer could be judged"
        return _fail(_inconclusive(call), FailureReason.UNKNOWN, detail)
    return _fail(call, FailureReason.SESSION_START_FAILED, "the call ended before the flow began")


def _lost(call: Call, detail: str) -> Call:
    """The failure of a call that we lose hold of: by how far it had come."""
    if call.answered_at is None:
        return _fail(call, FailureReason.TRUNK_UNAVAILABLE, detail)
    if call.flow_started:
        return _fail(call, FailureReason.FLOW_ERROR, detail)
    return _fail(call, FailureReason.SESSION_START_FAILED, detail)


def _end(call: Call, now: Now) -> Step:
    stop: tuple[Effect, ...] = (StopFlow(),) if call.phase is Phase.IN_FLOW else ()
    told: tuple[Effect, ...] = ()
    if call.answered_at is not None:
        call, told = _tell_answer(call)
    notice = Notice.COMPLETED if call.failure is None else Notice.FAILED
    call = replace(_calm(call), phase=Phase.ENDED, completed_at=now.wall)
    return call, (*stop, *told, Tell(notice))


# --- small things --------------------------------------------------------------------------------------


def _tell_answer(call: Call) -> tuple[Call, tuple[Effect, ...]]:
    if call.answer_told:
        return call, ()
    return replace(call, answer_told=True), (Tell(Notice.ANSWERED),)


def _inconclusive(call: Call) -> Call:
    heard = AmdEvent(EventKind.VERDICT, at_ms=0, result=Verdict.UNKNOWN, reason=Reason.TIMEOUT)
    analysis = call.analysis or replace(policy.hear(None, heard), decided_after_ms=None)
    return replace(call, analysis=analysis)


def _fail(call: Call, reason: FailureReason, detail: str) -> Call:
    """The first reason stands: what broke the call, not what its end looked like."""
    if call.failure is not None:
        return call
    return replace(call, failure=reason, failure_detail=detail)


def _wait(call: Call, which: Deadline, now: Now, seconds: float) -> Call:
    return replace(call, deadlines=MappingProxyType({**call.deadlines, which: now.monotonic + seconds}))


def _unwait(call: Call, which: Deadline) -> Call:
    if which not in call.deadlines:
        return call
    return replace(
        call, deadlines=MappingProxyType({key: at for key, at in call.deadlines.items() if key is not which})
    )


def _calm(call: Call) -> Call:
    return replace(call, deadlines=MappingProxyType({}))


_HANDLERS: dict[type[Any], Callable[[Call, Any, Now, Limits], Step]] = {
    i.Begin: _begin,
    i.Unplaceable: _unplaceable,
    i.OriginateFailed: _originate_failed,
    i.OriginateUnsure: _originate_unsure,
    i.JobDone: _job_done,
    i.ChannelSeen: _channel_seen,
    i.Progress: _progress,
    i.Answered: _answered,
    i.Parked: _parked,
    i.CalledBack: _called_back,
    i.TapConnected: _tap_connected,
    i.TapFailed: _tap_failed,
    i.AmdHeard: _amd_heard,
    i.FlowBegan: _flow_began,
    i.FlowEnded: _flow_ended,
    i.HungUp: _hung_up,
    i.ChannelGone: _channel_gone,
    i.ChannelAlive: _channel_alive,
    i.NodeLost: _node_lost,
    i.StopAsked: _stop_asked,
    i.DeadlinePassed: _deadline,
}
