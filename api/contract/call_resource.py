"""A call as it is shown to callers. Pure."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from amd_model.verdict import Answerer, Reason, Verdict
from api.contract.shapes import AnswerShape
from fsbridge.clock import rfc3339
from fsbridge.model.call import Call
from fsbridge.model.outcome import FailureReason, HangupInfo
from fsbridge.model.request import Mode
from fsbridge.model.status import Status


class CallAnalysisDetails(AnswerShape):
    """What the detector found; times in milliseconds after the answer."""

    result: Verdict
    confidence: float = Field(ge=0, le=1)
    reason: Reason | None
    decided_after_ms: int | None
    greeting_end_ms: int | None
    beep_ms: int | None
    model_version: str
    kind: Answerer | None = Field(description="Who or what answered, closer than `result`, where words or tones tell.")
    language: str | None = Field(description="ISO 639-1, of the words that were heard.", examples=["en"])
    transcript: str | None = Field(description="What was heard; only where the configuration allows it.")


class Hangup(AnswerShape):
    """How the channel ended. A number of the Reason header beats the SIP status, and need not agree with it."""

    cause: str = Field(
        description="FreeSWITCH's hang-up cause; ours where we have hung up and the node did not say",
        examples=["USER_BUSY"],
    )
    q850: int | None = Field(
        ge=1,
        le=127,
        description="The cause's number of ITU-T Q.850; null for FreeSWITCH's own causes, which have none.",
    )
    sip_status: int | None = Field(
        ge=200, le=699, description="The final status of the far end's, or 487 where we have given up.", examples=[486]
    )
    sip_reason: str | None = Field(
        description="The far end's Reason header (RFC 3326), where it sent one and FreeSWITCH tells it (from 1.11 on).",
        examples=['Q.850;cause=17;text="USER_BUSY"'],
    )


class CallResource(AnswerShape):
    """One call. Every key but `flowResult` is always there; null where it does not apply (yet)."""

    session_id: str = Field(json_schema_extra={"format": "uuid"})
    flow_id: str = Field(json_schema_extra={"format": "uuid"})
    flow_version: str | None = Field(description="Of the document that ran; a flow's version is its ETag.")
    inbound: bool = Field(description="Whether the call came in; then `destinationNumber` is what was called.")
    status: Status = Field(
        description="`Queued`, `Ringing`, `Answered`, then once and finally `Completed` or `Failed`."
    )
    destination_number: str
    caller_id: str | None
    mode: Mode
    call_analysis_result: Verdict | None = Field(description="Only where analysis was asked for.")
    call_analysis_details: CallAnalysisDetails | None = Field(description="Only where analysis was asked for.")
    failure_reason: FailureReason | None = Field(
        description="Only for `Failed`. `no_answer`: it rang and nobody answered, or the network gave up ringing (408, "
        "504, and 503 after 180). `busy`: busy, or declined. `unroutable_number`: there is no such number, or it was "
        "sent elsewhere (3xx). `trunk_unavailable`: the trunk, or the node before the answer. `session_start_failed`: "
        "answered, and the flow did not begin. `flow_error`: the flow broke, or was cut before its end: by the node "
        "(shut down, restarted, lost), by our side, at `dialing.max_call_s`, or for want of audio. A far end that "
        "leaves in the middle of a flow completes the call. `answering_machine`, `fax`, `unknown`: who answered, and "
        "is not in `callAnalysis`."
    )
    failure_detail: str | None = Field(description="The failure in words; only for `Failed`.")
    hangup: Hangup | None
    duration_seconds: int | None = Field(
        description="From the answer to the end, by a clock that nobody sets; the instants are UTC."
    )
    metadata: Any = Field(description="As it came, byte for byte.")
    created_at: str = Field(json_schema_extra={"format": "date-time"})
    answered_at: str | None = Field(json_schema_extra={"format": "date-time"})
    completed_at: str | None = Field(json_schema_extra={"format": "date-time"})
    flow_result: Any = Field(None, description="What the flow ended with; only there if it ended with something.")


def render_call(call: Call) -> CallResource:
    """The call as the contract shows it: failures only once it is terminal, analysis only where it was asked for."""
    request, failed = call.request, call.status is Status.FAILED
    analysis = call.analysis if request.call_analysis is not None else None
    return CallResource(
        session_id=call.session_id,
        flow_id=call.flow_id,
        flow_version=call.flow_version or None,
        inbound=call.inbound,
        status=call.status,
        destination_number=request.destination.value,
        caller_id=request.caller_id,
        mode=request.mode,
        call_analysis_result=analysis.result if analysis else None,
        call_analysis_details=CallAnalysisDetails(
            result=analysis.result,
            confidence=round(analysis.confidence, 4),
            reason=analysis.reason,
            decided_after_ms=analysis.decided_after_ms,
            greeting_end_ms=analysis.greeting_end_ms,
            beep_ms=analysis.beep_ms,
            model_version=analysis.model_version,
            kind=analysis.answerer,
            language=analysis.language,
            transcript=analysis.transcript,
        )
        if analysis
        else None,
        failure_reason=call.failure if failed else None,
        failure_detail=call.failure_detail if failed else None,
        hangup=_hangup(call.hangup),
        duration_seconds=call.duration_s,
        metadata=request.metadata,
        created_at=rfc3339(call.created_at),
        answered_at=_time(call.answered_at),
        completed_at=_time(call.completed_at),
        **({} if call.flow_result is None else {"flow_result": call.flow_result}),
    )


def _hangup(info: HangupInfo | None) -> Hangup | None:
    if info is None:
        return None
    return Hangup(cause=info.cause, q850=info.q850, sip_status=info.sip_status, sip_reason=info.sip_reason)


def _time(wall: float | None) -> str | None:
    return None if wall is None else rfc3339(wall)
