"""What a call's end means: completed, or failed with which reason and words. Pure.

By the contract an answered call whose flow ran is completed, also when the far end leaves in the middle of it; one
whose flow was cut by our side or by the node is not. A call that nobody answered has failed, by what the far end, the
network and the node said of it. Rules where the contract leaves room:

* Once it rang, 408 and 504 (no final reply in time), and 503 too where it truly rang, are `no_answer`: the network had
  the call at the phone, and gave up. After early media alone a 503 may be an announcement's, and stays the trunk's.
* A redirection that is not followed is `unroutable_number`.
* A node that was shut down, crashed or had its profile restarted, and one that knows nothing of the call any more:
  `trunk_unavailable` before the answer, afterwards `flow_error` (`session_start_failed` before the flow).
* No more audio (MEDIA_TIMEOUT), and the longest time of a call (ALLOTTED_TIMEOUT), cut the flow as well.
"""

from __future__ import annotations

from dataclasses import replace

from amd_model.verdict import AmdEvent, EventKind, Reason, Verdict
from fsbridge.amd import policy
from fsbridge.esl.causes import classify, is_redirection
from fsbridge.model.call import Call
from fsbridge.model.outcome import FailureReason, HangupInfo

CUT_BY = {
    "SYSTEM_SHUTDOWN": "FreeSWITCH on node {node} was shut down",
    "CRASH": "FreeSWITCH on node {node} crashed",
    "MANAGER_REQUEST": "somebody on node {node} ended the call, or restarted its SIP profile",
    "DESTINATION_OUT_OF_ORDER": "FreeSWITCH on node {node} gave the channel up",
    "ALLOTTED_TIMEOUT": "the call had reached its longest time (dialing.max_call_s)",
    "MEDIA_TIMEOUT": "no more audio came from the far end",
    "SRTP_READ_ERROR": "the far end's encrypted audio could not be read",
}
"""Causes by which neither we nor the far end end a call that is answered, unless one of the two says so."""

MOVED_BY = {
    "BLIND_TRANSFER": "the far end transferred the call elsewhere",
    "ATTENDED_TRANSFER": "the far end transferred the call elsewhere",
    "REDIRECTION_TO_NEW_DESTINATION": "the far end sent the call elsewhere",
}

TIMED_OUT = frozenset({408, 504})
"""SIP statuses of a network that waited for a final reply in vain; FreeSWITCH's cause RECOVERY_ON_TIMER_EXPIRE."""

UNAVAILABLE = 503


def close(call: Call, detail: str) -> Call:
    """The call with the failure that its end means, if it means one; `detail` is for an end that nobody told of."""
    if call.answered_at is not None:
        return _answered(call, detail)
    info = call.hangup
    return lose(call, detail) if info is None else fail(call, unanswered(call, info), _words(call, info))


def unanswered(call: Call, info: HangupInfo) -> FailureReason:
    """The failure reason of a call that nobody answered."""
    reason = classify(info.cause, info.sip_status)
    if reason is not FailureReason.TRUNK_UNAVAILABLE or not call.ringing:
        return reason
    in_vain = info.sip_status in TIMED_OUT or info.cause == "RECOVERY_ON_TIMER_EXPIRE"
    refused = info.sip_status == UNAVAILABLE and call.live.alerted
    return FailureReason.NO_ANSWER if in_vain or refused else reason


def lose(call: Call, detail: str) -> Call:
    """The failure of a call that we lose hold of, by how far it had come; a flow that had ended has not failed."""
    if call.flow_over:
        return call
    if call.answered_at is None:
        return fail(call, FailureReason.TRUNK_UNAVAILABLE, detail)
    if call.flow_started:
        return fail(call, FailureReason.FLOW_ERROR, detail)
    return fail(call, FailureReason.SESSION_START_FAILED, detail)


def fail(call: Call, reason: FailureReason, detail: str) -> Call:
    """The first reason stands: what broke the call, not what its end looked like."""
    if call.failure is not None:
        return call
    return replace(call, failure=reason, failure_detail=detail)


def inconclusive(call: Call, reason: Reason) -> Call:
    """The verdict of an answer that nothing was found out of."""
    heard = AmdEvent(EventKind.VERDICT, at_ms=0, result=Verdict.UNKNOWN, reason=reason)
    analysis = call.analysis or replace(policy.hear(None, heard), decided_after_ms=None)
    return replace(call, analysis=analysis)


def _answered(call: Call, detail: str) -> Call:
    if call.failure is not None:
        return call
    cut = detail if call.hangup is None else _cut(call, call.hangup)
    if call.flow_started:
        if call.flow_over:
            return call
        if cut is not None:
            return lose(call, f"the call ended before the flow had reached its end: {cut}")
        if call.fails_at_hangup:
            return fail(call, FailureReason.FLOW_ERROR, "the call ended before the flow had reached its end")
        return call
    if cut is not None:
        return lose(call, f"the call ended before the flow began: {cut}")
    if call.request.call_analysis is not None and call.analysis is None:
        detail = "the call ended before its answer could be judged"
        return fail(inconclusive(call, Reason.TIMEOUT), FailureReason.UNKNOWN, detail)
    return fail(call, FailureReason.SESSION_START_FAILED, "the call ended before the flow began")


def _cut(call: Call, info: HangupInfo) -> str | None:
    """Who cut an answered call, in words; None where the far end left it, or we did."""
    if info.cause in MOVED_BY:
        return MOVED_BY[info.cause]
    if info.by_far_end or call.live.asked == info.cause or info.cause not in CUT_BY:
        return None
    return CUT_BY[info.cause].format(node=call.node)


def _words(call: Call, info: HangupInfo) -> str:
    status = f" (SIP {info.sip_status})" if info.sip_status is not None else ""
    if is_redirection(info.sip_status):
        return f"the far end sent the call elsewhere{status}, where it is not followed"
    if info.cause in ("SYSTEM_SHUTDOWN", "CRASH", "MANAGER_REQUEST") and not info.by_far_end:
        return f"the call ended before anybody had answered: {CUT_BY[info.cause].format(node=call.node)}"
    if info.sip_status is not None and info.sip_status < 300:
        return f"the far end answered and hung up in the same moment: {info.cause}{status}"
    return f"the call ended with {info.cause}{status}"
