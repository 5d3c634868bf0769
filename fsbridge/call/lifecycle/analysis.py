"""The analysis of an answer: the tap and what the detector says through it, until the flow may run or may not. Pure."""

from __future__ import annotations

from dataclasses import replace

from amd_model.verdict import EventKind, Reason
from fsbridge.amd import policy
from fsbridge.call.lifecycle import inputs as i
from fsbridge.call.lifecycle.effects import RetryTap, StartFlow, StopTap
from fsbridge.call.lifecycle.endings import fail, inconclusive
from fsbridge.call.lifecycle.moves import Limits, Step, hang_up, live, tell_answer, unwait, wait
from fsbridge.model.call import Call
from fsbridge.model.moment import Moment
from fsbridge.model.status import Deadline, Phase

MAX_TAP_RETRIES = 1
"""How many other workers are tried when one refuses the tap."""


def tap_connected(call: Call, event: i.TapConnected, now: Moment, limits: Limits) -> Step:
    if call.phase in (Phase.IN_FLOW, Phase.HANGING_UP):
        return call, ()  # the flow's own ears, or its bot
    return unwait(live(replace(call, tap_connected=True), tap_failed=None), Deadline.TAP), ()


def tap_failed(call: Call, event: i.TapFailed, now: Moment, limits: Limits) -> Step:
    if call.phase in (Phase.ORIGINATING, Phase.RINGING):
        return live(call, tap_failed=event.detail), ()
    if call.phase is not Phase.ANALYZING:
        return call, ()
    if not event.final and not call.tap_connected and call.tap_retries < MAX_TAP_RETRIES:
        # A full worker refuses at the upgrade so that another one may take the call; little of the answer is lost.
        return _retry_tap(call, RetryTap(), now, limits.tap_connect_s)
    call = call if call.analysis is not None else inconclusive(call, Reason.UNAVAILABLE)
    return conclude(call, now, limits, message_over=True, why=event.detail)


def tap_silent(call: Call, now: Moment, limits: Limits) -> Step:
    """A tap that has neither connected nor failed: FreeSWITCH starts one for nothing now and then, without a word
    (tests/traces tap_never_connects), so it is started anew while there is time."""
    if call.tap_retries < MAX_TAP_RETRIES:
        left = max(limits.tap_connect_s - limits.tap_silence_s, limits.tap_silence_s)
        return _retry_tap(call, RetryTap(silent=True), now, left)
    return tap_failed(call, i.TapFailed("the audio tap did not connect in time", final=True), now, limits)


def _retry_tap(call: Call, retry: RetryTap, now: Moment, patience: float) -> Step:
    call = live(replace(call, tap_retries=call.tap_retries + 1), tap_failed=None)
    return wait(call, Deadline.TAP, now, patience), (retry,)


def amd_heard(call: Call, event: i.AmdHeard, now: Moment, limits: Limits) -> Step:
    if call.request.call_analysis is None or call.phase not in (Phase.ORIGINATING, Phase.RINGING, Phase.ANALYZING):
        return call, ()
    if call.analysis is None and event.event.kind not in (EventKind.VERDICT, EventKind.CORRECTION):
        return call, ()
    call = replace(call, analysis=policy.hear(call.analysis, event.event), tap_connected=True)
    return conclude(call, now, limits, message_over=False) if call.phase is Phase.ANALYZING else (call, ())


def conclude(call: Call, now: Moment, limits: Limits, *, message_over: bool, why: str = "") -> Step:
    """Act on what is known of the answer: run the flow, wait for the message's end, or hang up."""
    analysis, options = call.analysis, call.request.amd
    allowed = call.request.call_analysis
    if analysis is None or options is None or allowed is None:
        return call, ()
    call, told = tell_answer(unwait(unwait(call, Deadline.TAP), Deadline.VERDICT))
    refused = policy.refusal(analysis.result, allowed)
    if refused is not None:
        why = f" ({why})" if why else ""
        call = fail(call, refused, f"the answer was {analysis.result}{why}, which callAnalysis does not include")
        hung, effects = hang_up(call, "NORMAL_CLEARING", now, limits)
        return hung, (*told, StopTap(), *effects)
    if not message_over and policy.waits_for_message_end(analysis, options):
        patience = options.message_end_timeout_ms / 1000 + limits.verdict_grace_s
        return wait(call, Deadline.VERDICT, now, patience), told
    running, effects = run_flow(call)
    return running, (*told, StopTap(), *effects)


def run_flow(call: Call) -> Step:
    call, told = tell_answer(call)
    return replace(call, phase=Phase.IN_FLOW, flow_started=True), (*told, StartFlow())
