"""Whole calls: REST in, a simulated FreeSWITCH over TCP, real audio into a real AMD worker, outcomes out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sim.stack import BROKEN_FLOW, FLOW, ORG, OTHER_KEY, Stack, running, settings, simulated_node

pytestmark = pytest.mark.sim


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with simulated_node() as simulator:
        configuration = settings(tmp_path_factory.mktemp("service"), simulator.port)
        with running(configuration, simulator) as running_stack:
            yield running_stack


def test_a_person_is_told_apart_and_talked_to(stack: Stack) -> None:
    answer = stack.place("+15550100001", mode="sync", callAnalysis=["live_person"], metadata={"k": [1, None]})
    resource = answer.json()
    assert answer.status_code == 200, resource
    assert (resource["status"], resource["callAnalysisResult"]) == ("Completed", "live_person"), resource
    assert resource["metadata"] == {"k": [1, None]}
    assert resource["callerId"] == "+15550100100"
    assert "variables" not in resource
    assert resource["createdAt"] <= resource["answeredAt"] <= resource["completedAt"]
    assert resource == stack.get(resource["sessionId"])


@pytest.mark.parametrize(
    ("destination", "verdict"),
    [("+15550100002", "answering_machine"), ("+15550100003", "fax"), ("+15550100006", "unknown")],
)
def test_other_answers_are_hung_up_on(stack: Stack, destination: str, verdict: str) -> None:
    answer = stack.place(destination, callAnalysis=["live_person"])
    assert answer.status_code == 201
    assert answer.json()["status"] == "Queued"
    resource = stack.ended(answer.json()["sessionId"])
    assert (resource["callAnalysisResult"], resource["failureReason"]) == (verdict, verdict), resource


def test_a_machine_is_greeted_after_its_beep(stack: Stack) -> None:
    answer = stack.place("+15550100002", callAnalysis=["live_person", "answering_machine"])
    resource = stack.ended(answer.json()["sessionId"])
    details = resource["callAnalysisDetails"]
    assert (resource["status"], resource["callAnalysisResult"]) == ("Completed", "answering_machine"), resource
    assert details["beepMs"] or details["greetingEndMs"], details


@pytest.mark.parametrize(
    ("destination", "reason", "cause", "sip"),
    [
        ("+15550100004", "busy", "USER_BUSY", 486),
        ("+15550100005", "no_answer", "NO_ANSWER", None),
        ("+15550100007", "unroutable_number", "UNALLOCATED_NUMBER", 404),
        ("+15550100008", "trunk_unavailable", "NORMAL_TEMPORARY_FAILURE", 503),
    ],
)
def test_unanswered_calls_say_why(stack: Stack, destination: str, reason: str, cause: str, sip: int | None) -> None:
    resource = stack.place(destination, mode="sync").json()
    assert (resource["status"], resource["failureReason"]) == ("Failed", reason), resource
    assert resource["hangup"]["cause"] == cause
    assert sip is None or resource["hangup"]["sipStatus"] == sip
    assert resource["answeredAt"] is None


def test_a_sip_uri_is_dialled(stack: Stack) -> None:
    resource = stack.place("sip:live@127.0.0.1:5080", mode="sync").json()
    assert resource["status"] == "Completed", resource


def test_without_analysis_the_flow_runs_at_the_answer(stack: Stack) -> None:
    resource = stack.place("+15550100002", mode="sync").json()
    assert (resource["status"], resource["callAnalysisResult"]) == ("Completed", None)


def test_a_flow_that_breaks_is_a_flow_error_with_the_step(stack: Stack) -> None:
    resource = stack.place("+15550100001", mode="sync", variables={}).json()
    assert (resource["status"], resource["failureReason"]) == ("Failed", "flow_error")
    assert "step hello" in resource["failureDetail"]


def test_the_far_end_hanging_up_completes_the_call(stack: Stack) -> None:
    resource = stack.place("+15550100009", mode="sync", variables={"name": "a" * 1_900}).json()
    assert resource["status"] == "Completed", resource


def test_flows_that_cannot_run_are_refused_before_anybody_rings(stack: Stack) -> None:
    missing = stack.place("+15550100001", flow="33333333-3333-4333-8333-33333333333f")
    broken = stack.place("+15550100001", flow=BROKEN_FLOW)
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "NOT_FOUND")
    assert (broken.status_code, broken.json()["error"]["code"]) == (400, "INVALID_REQUEST")


def test_another_org_sees_nothing(stack: Stack) -> None:
    resource = stack.place("+15550100004", mode="sync").json()
    url = f"{stack.base}/cgw/outbound/v1/orgs/{ORG}/calls/{resource['sessionId']}"
    other = {"Authorization": f"Bearer {OTHER_KEY}"}
    assert stack.session.get(url, headers=other, timeout=10).status_code == 403
    mine = url.replace(ORG, "22222222-2222-4222-8222-222222222223")
    assert stack.session.get(mine, headers=other, timeout=10).status_code == 404


def test_metrics_tell_what_happened(stack: Stack) -> None:
    stack.place("+15550100004", mode="sync")
    text = stack.session.get(f"{stack.base}/metrics", timeout=10).text
    assert 'fsbridge_calls_total{reason="busy",status="Failed"}' in text
    assert 'fsbridge_esl_connected{node="sim"} 1.0' in text


def test_a_flow_that_vanishes_before_the_answer_is_a_failed_start(stack: Stack) -> None:
    path = stack.service.settings.flows.dir / ORG / f"{FLOW}.yaml"
    text = path.read_text()
    answer = stack.place("+15550100005", callAnalysis=["live_person"])
    placed = stack.place("+15550100015")
    try:
        path.unlink()
        resource = stack.ended(placed.json()["sessionId"])
    finally:
        path.write_text(text)
    assert resource["failureReason"] == "session_start_failed", resource
    assert stack.ended(answer.json()["sessionId"])["failureReason"] == "no_answer"


def test_another_org_s_flow_is_refused_as_such(stack: Stack) -> None:
    foreign = "33333333-3333-4333-8333-333333333335"
    folder = stack.service.settings.flows.dir / "22222222-2222-4222-8222-222222222223"
    folder.mkdir()
    (folder / f"{foreign}.yaml").write_text("steps: [{id: a, pause: 1}]")
    answer = stack.place("+15550100001", flow=foreign)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "PERMISSION_DENIED")
