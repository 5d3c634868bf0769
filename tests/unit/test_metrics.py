"""What /metrics shows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from amd_model.verdict import Reason, Verdict
from fsbridge.metrics import Metrics
from fsbridge.model.call import Analysis
from fsbridge.model.outcome import FailureReason
from fsbridge.model.status import Phase, Status
from tests.unit.webhook.helpers import answered, completed, failed, webhook_call

pytestmark = pytest.mark.unit


def test_a_call_through_its_life() -> None:
    metrics = Metrics()
    queued = webhook_call()
    metrics.call_began(queued)
    assert metrics.active(Status.QUEUED) == 1
    ringing = replace(queued, ringing=True)
    metrics.call_changed(queued, ringing)
    assert (metrics.active(Status.QUEUED), metrics.active(Status.RINGING)) == (0, 1)
    analysis = Analysis(Verdict.LIVE_PERSON, 0.9, Reason.SHORT_GREETING, decided_after_ms=1_200)
    picked_up = replace(answered(ringing), analysis=None, phase=Phase.ANALYZING)
    metrics.call_changed(ringing, picked_up)
    heard = replace(picked_up, analysis=analysis)
    metrics.call_changed(picked_up, heard)
    done = replace(completed(heard), analysis=analysis)
    metrics.call_changed(heard, done)
    metrics.call_changed(done, done)
    assert all(metrics.active(status) == 0 for status in Status)
    value = metrics.registry.get_sample_value
    assert value("fsbridge_calls_total", {"status": "Completed", "reason": ""}) == 1
    assert value("fsbridge_call_duration_seconds_sum") == pytest.approx(6.5)
    assert value("fsbridge_verdicts_total", {"result": "live_person", "reason": "short_greeting"}) == 1
    assert value("fsbridge_verdict_seconds_sum") == pytest.approx(1.2)


def test_a_call_that_was_never_answered() -> None:
    metrics = Metrics()
    call = webhook_call()
    metrics.call_began(call)
    metrics.call_changed(call, failed(call, FailureReason.NO_ANSWER))
    value = metrics.registry.get_sample_value
    assert value("fsbridge_calls_total", {"status": "Failed", "reason": "no_answer"}) == 1
    assert value("fsbridge_call_duration_seconds_count") == 0


def test_a_verdict_of_which_nothing_is_known() -> None:
    metrics = Metrics()
    call = webhook_call()
    metrics.call_began(call)
    metrics.call_changed(call, replace(call, analysis=Analysis(Verdict.UNKNOWN)))
    value = metrics.registry.get_sample_value
    assert value("fsbridge_verdicts_total", {"result": "unknown", "reason": ""}) == 1
    assert value("fsbridge_verdict_seconds_count") == 0


def test_the_page_is_readable_and_registries_do_not_mix() -> None:
    first, second = Metrics(), Metrics()
    first.esl_connected.labels("fs1").set(1)
    first.webhook_deliveries.labels("delivered").inc()
    families = {family.name for family in text_string_to_metric_families(first.render().decode())}
    assert {
        "fsbridge_calls",
        "fsbridge_esl_connected",
        "fsbridge_webhook_deliveries",
        "process_cpu_seconds",
    } <= families
    assert b'fsbridge_esl_connected{node="fs1"} 1.0' in first.render()
    assert b"fs1" not in second.render()
