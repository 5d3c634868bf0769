"""The service when things break: nodes, sockets, workers, restarts. No call is left without its one end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from api.main import Service
from fsbridge.nodes.node import Node
from fsbridge.simulator import Simulator
from fsbridge.supervise import Supervisor
from tests.sim.simulator_helpers import Client
from tests.sim.stack import ORG, Stack, running, settings, simulated_node, until
from tests.sim.test_workers import Elsewhere, elsewhere

__all__ = ["elsewhere"]

pytestmark = pytest.mark.sim

NO_WORKER = {"amd": {"workers": 0, "urls": ["ws://127.0.0.1:9/amd"], "start_timeout_s": 0.1, "connect_timeout_s": 1}}


def ring(stack: Stack, destination: str = "+15550100005") -> str:
    """A call that rings (for ever, by default)."""
    session_id = str(stack.place(destination).json()["sessionId"])
    until(lambda: stack.get(session_id)["status"] == "Ringing")
    return session_id


def test_a_lost_connection_is_made_good_and_the_call_goes_on(tmp_path: Path) -> None:
    with simulated_node() as simulator, running(settings(tmp_path, simulator.port, **NO_WORKER), simulator) as stack:
        session_id = ring(stack)
        simulator.faults.drop_connection()
        node = next(iter(stack.service.pool))
        until(lambda: node.epoch == 2)
        resource = stack.ended(session_id)
        assert (resource["failureReason"], resource["hangup"]["cause"]) == ("no_answer", "NO_ANSWER")


def test_a_call_that_ended_while_nobody_listened_gets_its_true_cause(tmp_path: Path) -> None:
    with simulated_node() as simulator, running(settings(tmp_path, simulator.port, **NO_WORKER), simulator) as stack:
        session_id = ring(stack)
        runner = stack.service.registry.all()[0]
        node = next(iter(stack.service.pool))
        channel = runner.call.channel
        until(lambda: "hash insert" in (node.channel_dump(channel) or {}).get("variable_api_hangup_hook", ""))
        simulator.faults.lose_event("CHANNEL_HANGUP_COMPLETE")
        simulator.faults.lose_event("BACKGROUND_JOB")
        node.api(f"uuid_kill {channel} USER_BUSY")
        simulator.faults.drop_connection()
        resource = stack.ended(session_id)
        assert (resource["failureReason"], resource["hangup"]["cause"]) == ("busy", "USER_BUSY"), resource


def test_a_node_that_never_comes_back_is_given_up(tmp_path: Path) -> None:
    with simulated_node() as simulator, running(settings(tmp_path, simulator.port, **NO_WORKER), simulator) as stack:
        session_id = ring(stack)
        simulator.stop()
        resource = stack.ended(session_id)
        assert (resource["status"], resource["failureReason"]) == ("Failed", "trunk_unavailable")
        assert "has not come back" in resource["failureDetail"]


@pytest.mark.parametrize("node", [{"port": 9}, {"password": "wrong"}], ids=["unreachable", "wrong password"])
def test_without_a_node_calls_fail_with_words_and_readiness_says_so(tmp_path: Path, node: dict[str, object]) -> None:
    with simulated_node() as simulator:
        configuration = settings(tmp_path, simulator.port, **NO_WORKER)
        changed = configuration.nodes[0].model_copy(update={"port": node.get("port", simulator.port)})
        if "password" in node:
            changed = type(changed).model_validate({**changed.model_dump(), "password": node["password"]})
        configuration = configuration.model_copy(update={"nodes": (changed,)})
        with running(configuration, simulator, ready=False) as stack:
            until(lambda: next(iter(stack.service.pool)).last_error)
            resource = stack.place("+15550100001", mode="sync").json()
            assert (resource["status"], resource["failureReason"]) == ("Failed", "trunk_unavailable")
            assert "doctor" in resource["failureDetail"]
            ready = stack.session.get(f"{stack.base}/readyz", timeout=5)
            assert ready.status_code == 503
            assert "no FreeSWITCH node is ready" in ready.text
            assert stack.session.get(f"{stack.base}/healthz", timeout=5).status_code == 200


def node_of(stack: Stack) -> Node:
    return next(iter(stack.service.pool))


def readiness(stack: Stack) -> tuple[int, str]:
    answer = stack.session.get(f"{stack.base}/readyz", timeout=5)
    return answer.status_code, answer.text


@pytest.mark.parametrize("how", ["", " outbound"])
def test_a_paused_node_takes_no_calls_and_readiness_says_so(tmp_path: Path, how: str) -> None:
    """No heartbeat comes, and one would say "System Ready": the first call that the node refuses makes us ask."""
    with (
        simulated_node(heartbeat_seconds=10_000) as simulator,
        running(settings(tmp_path, simulator.port, **NO_WORKER), simulator) as stack,
    ):
        node_of(stack).api(f"fsctl pause{how}")
        refused = stack.place("+15550100001", mode="sync").json()
        assert (refused["failureReason"], refused["hangup"]["cause"]) == (
            "trunk_unavailable",
            "DESTINATION_OUT_OF_ORDER",
        )
        until(lambda: not node_of(stack).ready)
        status, words = readiness(stack)
        assert status == 503
        assert "sim: paused" in words
        unplaced = stack.place("+15550100001", mode="sync").json()
        assert unplaced["failureReason"] == "trunk_unavailable"
        assert "sim: paused" in unplaced["failureDetail"]
        node_of(stack).api(f"fsctl resume{how}")
        until(lambda: readiness(stack)[0] == 200)
        assert stack.place("+15550100001", mode="sync").json()["status"] == "Completed"


def test_a_node_that_was_paused_before_we_came_is_given_no_call(tmp_path: Path) -> None:
    with simulated_node() as simulator:
        operator = Client(simulator.port, Supervisor()).login()
        operator.api("fsctl pause")
        with running(settings(tmp_path, simulator.port, **NO_WORKER), simulator, ready=False) as stack:
            until(lambda: node_of(stack).connected)
            assert "sim: paused" in readiness(stack)[1]
            operator.api("fsctl resume")
            until(lambda: readiness(stack)[0] == 200)


def test_a_heartbeat_makes_us_ask(tmp_path: Path) -> None:
    with (
        simulated_node(heartbeat_seconds=2.0) as simulator,
        running(settings(tmp_path, simulator.port, **NO_WORKER), simulator) as stack,
    ):
        node_of(stack).api("fsctl pause")
        until(lambda: readiness(stack)[0] == 503)


def test_calls_go_to_another_node_while_one_goes_down(tmp_path: Path) -> None:
    """Its socket stays open for half a minute, in which it refuses every call."""
    with simulated_node() as simulator, simulated_node() as other:
        configuration = settings(tmp_path, simulator.port, **NO_WORKER)
        second = configuration.nodes[0].model_copy(update={"name": "other", "port": other.port})
        configuration = configuration.model_copy(update={"nodes": (*configuration.nodes, second)})
        with running(configuration, simulator) as stack:
            until(lambda: all(node.ready for node in stack.service.pool))
            first = node_of(stack)
            live = ring(stack)
            first.api("fsctl shutdown")
            until(lambda: not first.ready)
            assert first.connected
            assert first.unready_because == "shutting down"
            assert readiness(stack)[0] == 200
            for _ in range(3):
                assert stack.place("+15550100001", mode="sync").json()["status"] == "Completed"
            assert stack.get(live)["status"] in ("Ringing", "Failed")


def test_while_workers_may_still_come_up_the_service_is_not_ready(tmp_path: Path) -> None:
    tables = {"amd": {**NO_WORKER["amd"], "start_timeout_s": 1.0}}
    with simulated_node() as simulator:
        service = Service(settings(tmp_path, simulator.port, **tables))
        supervisor = Supervisor()
        supervisor.spawn("start", service.start)
        try:
            until(lambda: service.calls.ready() == ["the AMD workers are starting"])
            until(lambda: not service.calls.ready())
            assert not service.workers.ready, "it was given up waiting for"
        finally:
            supervisor.stop()
            service.stop()


def test_without_a_worker_the_verdict_is_unknown(tmp_path: Path) -> None:
    with simulated_node() as simulator, running(settings(tmp_path, simulator.port, **NO_WORKER), simulator) as stack:
        refused = stack.place("+15550100001", mode="sync", callAnalysis=["live_person"]).json()
        allowed = stack.place("+15550100001", mode="sync", callAnalysis=["unknown"]).json()
        assert (refused["failureReason"], refused["callAnalysisResult"]) == ("unknown", "unknown")
        assert (allowed["status"], allowed["callAnalysisResult"]) == ("Completed", "unknown")


def test_without_a_worker_calls_are_refused_where_the_carrier_wants_it_so(tmp_path: Path) -> None:
    tables = {"amd": {**NO_WORKER["amd"], "when_unavailable": "refuse"}}
    with (
        simulated_node() as simulator,
        running(settings(tmp_path, simulator.port, **tables), simulator, ready=False) as stack,
    ):
        until(lambda: next(iter(stack.service.pool)).ready)
        resource = stack.place("+15550100001", mode="sync", callAnalysis=["live_person"]).json()
        assert resource["failureReason"] == "trunk_unavailable"
        assert "worker" in resource["failureDetail"]


def test_a_call_that_may_find_every_worker_full_is_refused_where_the_carrier_wants_it_so(tmp_path: Path) -> None:
    """Each call that rings may be answered: with room for one, the second is not dialled."""
    tables = {"amd": {"capacity": 1, "when_unavailable": "refuse"}}
    with simulated_node() as simulator, running(settings(tmp_path, simulator.port, **tables), simulator) as stack:
        first = str(stack.place("+15550100005", callAnalysis=["live_person"]).json()["sessionId"])
        until(lambda: stack.get(first)["status"] == "Ringing")
        second = stack.place("+15550100001", mode="sync", callAnalysis=["live_person"]).json()
        assert second["failureReason"] == "trunk_unavailable"
        assert "full" in second["failureDetail"]
        plain = str(stack.place("+15550100005").json()["sessionId"])
        until(lambda: stack.get(plain)["status"] == "Ringing")  # it needs no detector


@pytest.mark.parametrize("policy", ["refuse", "unknown"])
def test_while_every_worker_is_full_calls_are_refused_or_tried(
    tmp_path: Path, elsewhere: Elsewhere, policy: str
) -> None:
    elsewhere.body = json.dumps({"streams": 9, "capacity": 9, "model": "m9", "lag_ms": 0, "accepting": False})
    amd = {"workers": 0, "urls": [elsewhere.url], "when_unavailable": policy, "connect_timeout_s": 1}
    with simulated_node() as simulator, running(settings(tmp_path, simulator.port, amd=amd), simulator) as stack:
        until(lambda: stack.service.workers.choose().full)
        resource = stack.place("+15550100001", mode="sync", callAnalysis=["live_person"]).json()
        if policy == "refuse":
            assert resource["failureReason"] == "trunk_unavailable"
            assert resource["failureDetail"] == "every AMD worker is full, and amd.when_unavailable is refuse"
        else:
            assert (resource["failureReason"], resource["callAnalysisResult"]) == ("unknown", "unknown")
        assert stack.service.calls.ready() == [], "being full is no reason to be taken out of service"
        elsewhere.body = json.dumps({"streams": 1, "capacity": 9, "model": "m9", "lag_ms": 0, "accepting": True})
        until(lambda: not stack.service.workers.choose().trouble)


def test_a_worker_killed_in_the_middle_is_the_verdict_unknown_and_is_replaced(tmp_path: Path) -> None:
    with simulated_node(speed=2.0) as simulator, running(settings(tmp_path, simulator.port), simulator) as stack:
        session_id = str(stack.place("+15550100006", callAnalysis=["live_person"]).json()["sessionId"])
        until(lambda: stack.service.registry.all()[0].call.tap_connected)
        worker = stack.service.workers.workers[0]
        assert worker.process is not None
        worker.process.kill()
        resource = stack.ended(session_id)
        assert (resource["failureReason"], resource["callAnalysisResult"]) == ("unknown", "unknown")
        until(lambda: worker.restarts and worker.ready, 30)
        resource = stack.place("+15550100001", mode="sync", callAnalysis=["live_person"]).json()
        assert resource["callAnalysisResult"] == "live_person"


def test_a_duplicate_uuid_is_found_out(tmp_path: Path) -> None:
    with simulated_node() as simulator, running(settings(tmp_path, simulator.port, **NO_WORKER), simulator) as stack:
        simulator.faults.duplicate_uuid()
        resource = stack.place("+15550100001", mode="sync").json()
        assert resource["failureReason"] == "trunk_unavailable"
        assert "another uuid" in resource["failureDetail"]


def test_a_lost_answer_event_is_made_good(tmp_path: Path) -> None:
    with simulated_node() as simulator, running(settings(tmp_path, simulator.port, **NO_WORKER), simulator) as stack:
        simulator.faults.lose_event("CHANNEL_ANSWER")
        resource = stack.place("+15550100001", mode="sync").json()
        assert resource["status"] == "Completed"


def test_a_restart_ends_what_was_left(tmp_path: Path) -> None:
    with simulated_node() as simulator:
        configuration = settings(tmp_path, simulator.port, **NO_WORKER)
        with running(configuration, simulator) as stack:
            session_id = ring(stack)
            _crash(stack)
        with running(configuration, simulator) as again:
            resource = again.ended(session_id)
            assert (resource["status"], resource["failureReason"]) == ("Failed", "trunk_unavailable")
            assert "restarted" in resource["failureDetail"]
            until(lambda: _channels(again, simulator) == 0)


def test_stopping_ends_live_calls(tmp_path: Path) -> None:
    with simulated_node() as simulator:
        configuration = settings(tmp_path, simulator.port, **NO_WORKER)
        with running(configuration, simulator) as stack:
            session_id = ring(stack)
        with running(configuration, simulator) as again:
            resource = again.get(session_id)
            assert resource["status"] == "Failed"
            assert "stopped" in resource["failureDetail"]
            assert _channels(again, simulator) == 0


def _channels(stack: Stack, simulator: Simulator) -> int:
    text = next(iter(stack.service.pool)).api("show channels count as json")
    return int(text.split('"row_count":')[1].split(",")[0].rstrip("}"))


def _crash(stack: Stack) -> None:
    """End every greenlet of the service without a word, as kill -9 does; then let `stop` find nothing to drain."""
    stack.service.supervisor.stop()
    for runner in stack.service.registry.all():
        stack.service.registry.remove(runner)
    assert stack.service.store.get(ORG, "0" * 36) is None  # type: ignore[arg-type]
