"""A call as plain JSON values and back, exactly. Pure.

Every field survives the round trip except `deadlines`: those are monotonic times, which mean nothing to another
process; a restarted controller sets its own. `webhook_auth` goes through `seal` on the way out and `open_` on
the way in, so this form never holds it in clear. The form carries a version; a reader that meets a newer one
says so instead of guessing. Used by the stores only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from amd_model.verdict import AmdOptions, Answerer, Reason, Verdict
from amd_model.verdict import Mode as AmdMode
from fsbridge.model.call import Analysis, Call
from fsbridge.model.destination import Destination, DestinationKind
from fsbridge.model.ids import ChannelUuid, FlowId, JobUuid, OrgId, SessionId
from fsbridge.model.json import RawJson
from fsbridge.model.outcome import FailureReason, HangupInfo
from fsbridge.model.request import CallRequest, Mode
from fsbridge.model.status import Phase

VERSION = 2
"""Version 1 had `metadata` as the value that a parser had made of it."""

Seal = Callable[[str], str]
"""Encrypts a text into a text; its inverse is also of this type."""


class CodecError(ValueError):
    """The values are not a call in a form that this version understands; the message names what is wrong."""


def to_dict(call: Call, seal: Seal) -> dict[str, Any]:
    """The call as JSON values, without what holds for this process only (deadlines, …); `webhook_auth` sealed."""
    return {
        "v": VERSION,
        "session_id": call.session_id,
        "org_id": call.org_id,
        "flow_id": call.flow_id,
        "request": _request_to_dict(call.request, seal),
        "channel": call.channel,
        "job": call.job,
        "node": call.node,
        "trunk": call.trunk,
        "created_at": call.created_at,
        "phase": call.phase.value,
        "channel_seen": call.channel_seen,
        "ringing": call.ringing,
        "answered_at": call.answered_at,
        "completed_at": call.completed_at,
        "talk_s": call.talk_s,
        "tap_connected": call.tap_connected,
        "tap_retries": call.tap_retries,
        "analysis": None if call.analysis is None else _analysis_to_dict(call.analysis),
        "answer_told": call.answer_told,
        "flow_started": call.flow_started,
        "failure": None if call.failure is None else call.failure.value,
        "failure_detail": call.failure_detail,
        "hangup": None if call.hangup is None else asdict(call.hangup),
        "flow_over": call.flow_over,
        "fails_at_hangup": call.fails_at_hangup,
        "flow_version": call.flow_version,
        "flow_result": call.flow_result,
        "inbound": call.inbound,
        "kills": call.kills,
    }


def from_dict(values: Mapping[str, Any], open_: Seal) -> Call:
    """The inverse of `to_dict`. Raises CodecError on a newer version or a damaged record."""
    if values.get("v") == 1:
        values = _from_version_1(values)
    if values.get("v") != VERSION:
        raise CodecError(f"record version {values.get('v')!r}; this fsbridge reads version {VERSION}")
    try:
        analysis, failure, hangup = values["analysis"], values["failure"], values["hangup"]
        return Call(
            session_id=SessionId(values["session_id"]),
            org_id=OrgId(values["org_id"]),
            flow_id=FlowId(values["flow_id"]),
            request=_request_from_dict(values["request"], open_),
            channel=ChannelUuid(values["channel"]),
            job=JobUuid(values["job"]),
            node=values["node"],
            trunk=values["trunk"],
            created_at=values["created_at"],
            phase=Phase(values["phase"]),
            channel_seen=values["channel_seen"],
            ringing=values["ringing"],
            answered_at=values["answered_at"],
            completed_at=values["completed_at"],
            tap_connected=values["tap_connected"],
            tap_retries=values["tap_retries"],
            analysis=None if analysis is None else _analysis_from_dict(analysis),
            answer_told=values["answer_told"],
            flow_started=values["flow_started"],
            failure=None if failure is None else FailureReason(failure),
            failure_detail=values["failure_detail"],
            hangup=None if hangup is None else HangupInfo(**hangup),
            # Records of before there were these.
            flow_over=values.get("flow_over", False),
            fails_at_hangup=values.get("fails_at_hangup", False),
            flow_version=values.get("flow_version", ""),
            flow_result=values.get("flow_result"),
            inbound=values.get("inbound", False),
            talk_s=values.get("talk_s"),
            kills=values["kills"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CodecError(f"damaged record: {type(error).__name__}: {error}") from error


def _from_version_1(values: Mapping[str, Any]) -> Mapping[str, Any]:
    request = values.get("request")
    if not isinstance(request, dict) or request.get("metadata") is None:
        return {**values, "v": VERSION}
    return {**values, "v": VERSION, "request": {**request, "metadata": json.dumps(request["metadata"])}}


def _request_to_dict(request: CallRequest, seal: Seal) -> dict[str, Any]:
    wanted, amd = request.call_analysis, request.amd
    return {
        "destination": {"kind": request.destination.kind.value, "value": request.destination.value},
        "caller_id": request.caller_id,
        "mode": request.mode.value,
        "call_analysis": None if wanted is None else sorted(verdict.value for verdict in wanted),
        "amd": None if amd is None else {**{name: getattr(amd, name) for name in amd.LIMITS}, "mode": amd.mode.value},
        "variables": dict(request.variables),
        "metadata": None if request.metadata is None else request.metadata.text,
        "webhook_url": request.webhook_url,
        "webhook_auth": None if request.webhook_auth is None else seal(request.webhook_auth),
    }


def _request_from_dict(values: Mapping[str, Any], open_: Seal) -> CallRequest:
    wanted, amd, auth = values["call_analysis"], values["amd"], values["webhook_auth"]
    destination = values["destination"]
    return CallRequest(
        destination=Destination(DestinationKind(destination["kind"]), destination["value"]),
        caller_id=values["caller_id"],
        mode=Mode(values["mode"]),
        call_analysis=None if wanted is None else frozenset(Verdict(word) for word in wanted),
        amd=None if amd is None else AmdOptions(**{**amd, "mode": AmdMode(amd["mode"])}),
        variables=MappingProxyType(dict(values["variables"])),
        metadata=None if values["metadata"] is None else RawJson(values["metadata"]),
        webhook_url=values["webhook_url"],
        webhook_auth=None if auth is None else open_(auth),
    )


def _analysis_to_dict(analysis: Analysis) -> dict[str, Any]:
    return {
        "result": analysis.result.value,
        "confidence": analysis.confidence,
        "reason": None if analysis.reason is None else analysis.reason.value,
        "decided_after_ms": analysis.decided_after_ms,
        "greeting_end_ms": analysis.greeting_end_ms,
        "beep_ms": analysis.beep_ms,
        "model_version": analysis.model_version,
        "answerer": None if analysis.answerer is None else analysis.answerer.value,
        "language": analysis.language,
        "transcript": analysis.transcript,
    }


def _analysis_from_dict(values: Mapping[str, Any]) -> Analysis:
    reason = values["reason"]
    answerer = values.get("answerer")  # what older versions kept has none
    return Analysis(
        result=Verdict(values["result"]),
        confidence=values["confidence"],
        reason=None if reason is None else Reason(reason),
        decided_after_ms=values["decided_after_ms"],
        greeting_end_ms=values["greeting_end_ms"],
        beep_ms=values["beep_ms"],
        model_version=values["model_version"],
        answerer=None if answerer is None else Answerer(answerer),
        language=values.get("language"),
        transcript=values.get("transcript"),
    )
