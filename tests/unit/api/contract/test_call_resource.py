"""A call as callers see it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from amd_model.verdict import AmdOptions, Answerer, Reason, Verdict
from api.contract.call_resource import render_call
from api.contract.shapes import to_json
from fsbridge.model.call import Analysis, Call
from fsbridge.model.destination import Destination, DestinationKind
from fsbridge.model.json import RawJson
from fsbridge.model.outcome import FailureReason, HangupInfo
from fsbridge.model.request import CallRequest
from fsbridge.model.status import Phase
from tests.unit.api.support import CREATED, FLOW, completed, make_call

pytestmark = pytest.mark.unit

RESOURCE_KEYS = [
    "sessionId",
    "flowId",
    "flowVersion",
    "inbound",
    "status",
    "destinationNumber",
    "callerId",
    "mode",
    "callAnalysisResult",
    "callAnalysisDetails",
    "failureReason",
    "failureDetail",
    "hangup",
    "durationSeconds",
    "metadata",
    "createdAt",
    "answeredAt",
    "completedAt",
]


def _call(**request: Any) -> Call:
    destination = Destination(DestinationKind.NUMBER, "+15551234567")
    return make_call(CallRequest(destination=destination, caller_id="111", **request))


def _rendered(call: Call) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(to_json(render_call(call)))
    assert list(document) == RESOURCE_KEYS
    return document


def test_a_queued_call_has_every_key() -> None:
    call = _call(
        metadata=RawJson('{"b": [1.5, null], "a": "ü"}'), variables={"secret": 1}, webhook_auth="hush", webhook_url="u"
    )
    shown = _rendered(call)
    assert shown == {
        **dict.fromkeys(RESOURCE_KEYS),
        "sessionId": call.session_id,
        "flowId": FLOW,
        "status": "Queued",
        "inbound": False,
        "destinationNumber": "+15551234567",
        "callerId": "111",
        "mode": "poll",
        "metadata": {"b": [1.5, None], "a": "ü"},
        "createdAt": "2026-01-01T00:00:00.250Z",
    }
    assert list(shown["metadata"]) == ["b", "a"]
    assert b"hush" not in to_json(render_call(call))


def test_a_completed_call() -> None:
    found = (Verdict.ANSWERING_MACHINE, 0.987654, Reason.BEEP, 2100, 4000, 4600, "m1", Answerer.VOICEMAIL, "en")
    analysis = Analysis(*found)
    asked = _call(call_analysis=frozenset({Verdict.ANSWERING_MACHINE}), amd=AmdOptions())
    shown = _rendered(replace(completed(asked), analysis=analysis, hangup=HangupInfo("NORMAL_CLEARING", 16, None)))
    assert shown["status"] == "Completed"
    assert shown["durationSeconds"] == 8
    assert shown["answeredAt"] == "2026-01-01T00:00:02.250Z"
    assert shown["completedAt"] == "2026-01-01T00:00:10.250Z"
    assert shown["failureReason"] is None
    assert shown["callAnalysisResult"] == "answering_machine"
    assert shown["callAnalysisDetails"] == {
        "result": "answering_machine",
        "confidence": 0.9877,
        "reason": "beep",
        "decidedAfterMs": 2100,
        "greetingEndMs": 4000,
        "beepMs": 4600,
        "modelVersion": "m1",
        "kind": "voicemail",
        "language": "en",
        "transcript": None,
    }
    assert shown["hangup"] == {"cause": "NORMAL_CLEARING", "q850": 16, "sipStatus": None, "sipReason": None}
    unasked = _rendered(replace(completed(_call()), analysis=analysis))
    assert unasked["callAnalysisResult"] is unasked["callAnalysisDetails"] is None


def test_a_failure_is_told_only_once_it_is_final() -> None:
    bound = replace(_call(), phase=Phase.HANGING_UP, failure=FailureReason.FLOW_ERROR, failure_detail="step 2")
    assert _rendered(bound)["failureReason"] is None
    assert _rendered(bound)["failureDetail"] is None
    ended = _rendered(replace(bound, phase=Phase.ENDED, completed_at=CREATED))
    assert (ended["status"], ended["failureReason"], ended["failureDetail"]) == ("Failed", "flow_error", "step 2")
    assert ended["durationSeconds"] is None


@pytest.mark.parametrize("result", [{"paid": True}, "", 0, False, [], "\ud800", {"n": 2**80}])
def test_a_flow_s_result_is_shown_whatever_it_is(result: Any) -> None:
    call = completed(make_call(CallRequest(Destination(DestinationKind.NUMBER, "+15551234567"), None)))
    shown = json.loads(to_json(render_call(replace(call, flow_result=result, flow_version="0123", inbound=True))))
    assert (shown["flowResult"], shown["flowVersion"], shown["inbound"]) == (result, "0123", True)
    assert "flowResult" not in json.loads(to_json(render_call(call)))
