"""Bodies of webhooks: exactly the contract's fields."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from amd_model.verdict import Verdict
from fsbridge.model.call import Analysis
from fsbridge.model.notice import Notice
from fsbridge.model.outcome import FailureReason
from fsbridge.model.request import Mode
from fsbridge.store.base import LAST_SEQ, NEXT_SEQ
from fsbridge.webhook.payload import MAX_EVENT_BYTES, deliveries, event_delivery, render
from tests.unit.webhook.helpers import answered, completed, failed, webhook_call

pytestmark = pytest.mark.unit

CALL = webhook_call()
COMMON = {"sessionId": CALL.session_id, "flowId": CALL.flow_id, "metadata": {"order": 7}}


def body(notice: Notice, call: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(render(notice, call))
    return found


def test_answered() -> None:
    assert body(Notice.ANSWERED, answered(CALL)) == COMMON | {
        "event": "call.answered",
        "status": "Answered",
        "callAnalysisResult": "live_person",
        "answeredAt": "1970-01-01T00:16:43.500Z",
    }


def test_failed_before_the_answer() -> None:
    assert body(Notice.FAILED, failed(CALL)) == COMMON | {
        "event": "call.failed",
        "status": "Failed",
        "failureReason": "busy",
        "completedAt": "1970-01-01T00:16:50.000Z",
    }


def test_failed_after_the_answer_has_the_same_fields() -> None:
    call = failed(answered(CALL), FailureReason.FLOW_ERROR)
    assert body(Notice.FAILED, call).keys() == body(Notice.FAILED, failed(CALL)).keys()
    assert body(Notice.FAILED, call)["failureReason"] == "flow_error"


def test_completed() -> None:
    assert body(Notice.COMPLETED, completed(CALL)) == COMMON | {
        "event": "call.completed",
        "status": "Completed",
        "durationSeconds": 6,
        "callAnalysisResult": "live_person",
        "answeredAt": "1970-01-01T00:16:43.500Z",
        "completedAt": "1970-01-01T00:16:50.000Z",
    }


@pytest.mark.parametrize("result", [{"paid": True}, [], "", 0, False])
def test_a_flow_s_result_is_told_at_the_end_and_nowhere_else(result: Any) -> None:
    call = replace(completed(CALL), flow_result=result)
    assert body(Notice.COMPLETED, call)["flowResult"] == result
    assert "flowResult" not in body(Notice.COMPLETED, completed(CALL))
    assert "flowResult" not in body(Notice.ANSWERED, call)
    assert "flowResult" not in body(Notice.FAILED, replace(call, failure=FailureReason.FLOW_ERROR))


@pytest.mark.parametrize("mode", list(Mode))
def test_a_flow_s_own_event_is_told_in_every_mode(mode: Mode) -> None:
    call = replace(answered(CALL), request=replace(CALL.request, mode=mode))
    made = event_delivery(call, "confirmed", {"by": "digit"}, "x", 1_767_225_600.25)
    assert made is not None
    assert (made.id, made.seq, made.session_id) == ("msg_x", NEXT_SEQ, CALL.session_id)
    assert (made.url, made.secret) == ("https://example.com/hook", "s3cret")
    assert json.loads(made.body) == COMMON | {
        "event": "call.event",
        "status": "Answered",
        "name": "confirmed",
        "data": {"by": "digit"},
        "at": "2026-01-01T00:00:00.250Z",
    }


def test_without_an_address_there_is_no_event_to_deliver() -> None:
    call = replace(CALL, request=replace(CALL.request, webhook_url=None))
    assert event_delivery(call, "x", None, "x", 0.0) is None


def test_an_event_is_bounded() -> None:
    assert event_delivery(CALL, "x", "y" * (MAX_EVENT_BYTES - 1_000), "x", 0.0) is not None
    assert event_delivery(CALL, "x", "y" * MAX_EVENT_BYTES, "x", 0.0) is None


@pytest.mark.parametrize("notice", [Notice.ANSWERED, Notice.COMPLETED])
def test_no_result_where_no_analysis_was_asked_for(notice: Notice) -> None:
    call = replace(completed(CALL), request=replace(CALL.request, call_analysis=None), analysis=Analysis(Verdict.FAX))
    assert "callAnalysisResult" not in body(notice, call)


def test_a_notice_states_its_own_status_even_when_the_call_has_moved_on() -> None:
    assert body(Notice.ANSWERED, completed(CALL))["status"] == "Answered"


def test_variables_and_secret_are_never_told() -> None:
    for notice in Notice:
        raw = render(notice, replace(completed(CALL), failure=FailureReason.BUSY))
        assert b"secret" not in raw
        assert b"s3cret" not in raw


def test_deliveries_are_ordered_and_due_at_once() -> None:
    ids = iter(["a", "b"])
    made = deliveries(completed(CALL), [Notice.ANSWERED, Notice.COMPLETED], lambda: next(ids), 5.0)
    assert [(d.id, d.seq, d.attempts, d.next_at, d.created_at) for d in made] == [
        ("msg_a", 1, 0, 5.0, 5.0),
        ("msg_b", LAST_SEQ, 0, 5.0, 5.0),
    ]
    assert {(d.session_id, d.url, d.secret) for d in made} == {(CALL.session_id, "https://example.com/hook", "s3cret")}
    assert [json.loads(d.body)["event"] for d in made] == ["call.answered", "call.completed"]


@pytest.mark.parametrize("change", [{"mode": Mode.POLL}, {"mode": Mode.SYNC}, {"webhook_url": None}])
def test_nobody_to_tell(change: dict[str, Any]) -> None:
    call = replace(CALL, request=replace(CALL.request, **change))
    assert deliveries(call, list(Notice), lambda: "x", 0.0) == []
