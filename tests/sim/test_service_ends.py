"""How calls end when what is told of them is lost, late, doubled or spoiled, and when the node goes away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from api.main import Service
from fsbridge.clock import SystemClock
from fsbridge.model.json import Json
from fsbridge.simulator import Simulator
from fsbridge.simulator.farends.book_file import default_book, parse_script
from tests.sim.stack import FLOW, ORG, Stack, running, settings, simulated_node, until

pytestmark = pytest.mark.sim

NO_WORKER = {"amd": {"workers": 0, "urls": ["ws://127.0.0.1:9/amd"], "start_timeout_s": 0.1, "connect_timeout_s": 1}}
LEAVES, STAYS, SLOW, SAYS_HELLO = "+15550200001", "+15550200002", "+15550200003", "+15550200004"
LISTENS = "33333333-3333-4333-8333-333333333335"

WAITS = """
steps:
  - {id: hears, wait_for: {dtmf: true, timeout: 2}}
  - {id: bye, hangup: NORMAL_CLEARING}
"""
TALKS = """
steps:
  - {id: talks, play: "silence_stream://600000"}
"""


def book() -> Any:
    return default_book().with_first(
        parse_script("leaves", LEAVES, [{"ring": 1}, "answer", {"silence": 4}, "hangup"]),
        parse_script("stays", STAYS, [{"ring": 1}, "answer", {"silence": 600}]),
        parse_script("slow", SLOW, [{"ring": 5}, "answer", {"silence": 10}, "hangup"]),
        parse_script("says_hello", SAYS_HELLO, ["answer", {"silence": 2}, {"play": "person-hello.flac"}]),
    )


def node(**fields: Any) -> Any:
    return simulated_node(far_ends=book(), **fields)


def house(folder: Path, simulator: Simulator, **tables: Any) -> Any:
    configuration = settings(folder, simulator.port, **(NO_WORKER | tables))
    flows = folder / "flows" / ORG
    (flows / f"{FLOW}.yaml").write_text(TALKS)
    (flows / f"{LISTENS}.yaml").write_text(WAITS)
    return running(configuration, simulator)


def in_flow(stack: Stack, destination: str = STAYS, flow: str = FLOW) -> str:
    """A call whose flow has begun and waits."""
    session_id = str(stack.place(destination, flow).json()["sessionId"])
    until(lambda: "stepStarted" in words(stack, session_id))
    return session_id


def words(stack: Stack, session_id: str) -> list[Json]:
    url = f"{stack.base}/cgw/outbound/v1/orgs/{ORG}/calls/{session_id}/timeline"
    return [event["event"] for event in stack.session.get(url, timeout=10).json()["events"]]


# --- events ----------------------------------------------------------------------------------------------------------


def lost(*names: str) -> Callable[[Simulator], None]:
    def arm(simulator: Simulator) -> None:
        for name in names:
            simulator.faults.lose_event(name)

    return arm


def late_hangup(simulator: Simulator) -> None:
    simulator.faults.put_after("CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE")


def spoiled(simulator: Simulator) -> None:
    simulator.faults.spoil_event("CHANNEL_HANGUP_COMPLETE")
    simulator.faults.spoil_event("CHANNEL_DESTROY")


def doubled(simulator: Simulator) -> None:
    for name in ("CHANNEL_CREATE", "CHANNEL_ANSWER", "BACKGROUND_JOB", "CHANNEL_PARK", "CHANNEL_HANGUP_COMPLETE"):
        simulator.faults.double_event(name)


@pytest.mark.parametrize(
    "arm",
    [
        pytest.param(lost("CHANNEL_HANGUP_COMPLETE"), id="no HANGUP_COMPLETE"),
        pytest.param(lost("CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY"), id="HANGUP only"),
        pytest.param(lost("CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE"), id="DESTROY only"),
        pytest.param(lost("CHANNEL_ANSWER", "CHANNEL_PARK"), id="no ANSWER and no PARK"),
        pytest.param(lost("BACKGROUND_JOB", "CHANNEL_PARK"), id="ANSWER only"),
        pytest.param(spoiled, id="raw bytes in the end"),
        pytest.param(late_hangup, id="HANGUP after HANGUP_COMPLETE"),
        pytest.param(doubled, id="doubled"),
    ],
)
def test_a_far_end_that_leaves_is_told_so_whatever_is_lost(tmp_path: Path, arm: Callable[[Simulator], None]) -> None:
    with node() as simulator, house(tmp_path, simulator) as stack:
        arm(simulator)
        resource = stack.ended(str(stack.place(LEAVES).json()["sessionId"]), 20)
        assert (resource["status"], resource["failureReason"]) == ("Completed", None), resource
        assert resource["hangup"] == {"cause": "NORMAL_CLEARING", "q850": 16, "sipStatus": 200, "sipReason": None}
        assert resource["durationSeconds"] == 4  # of the node's time, which runs faster


def test_an_originate_whose_job_says_nothing_is_asked_after(tmp_path: Path) -> None:
    with node() as simulator, house(tmp_path, simulator) as stack:
        simulator.faults.empty_body("BACKGROUND_JOB")
        assert stack.place("+15550100004", mode="sync").json()["failureReason"] == "busy"
        simulator.faults.empty_body("BACKGROUND_JOB")
        lost("CHANNEL_ANSWER", "CHANNEL_PARK")(simulator)
        resource = stack.ended(str(stack.place(LEAVES).json()["sessionId"]), 20)
        assert (resource["status"], resource["failureReason"]) == ("Completed", None), resource


def test_an_answer_that_fell_into_a_cut_is_told_by_the_end(tmp_path: Path) -> None:
    with node() as simulator, house(tmp_path, simulator) as stack:
        session_id = str(stack.place(SLOW).json()["sessionId"])
        until(lambda: stack.get(session_id)["status"] == "Ringing")
        runner = stack.service.registry.all()[0]
        at = next(iter(stack.service.pool))
        at.settings = at.settings.model_copy(update={"lost_after_s": 60})
        until(lambda: "hash insert" in (at.channel_dump(runner.call.channel) or {}).get("variable_api_hangup_hook", ""))
        simulator.faults.cut(20.0)  # answered and hung up in the meantime
        resource = stack.ended(session_id, 30)
        assert (resource["failureReason"], resource["hangup"]["cause"]) == ("session_start_failed", "NORMAL_CLEARING")
        assert resource["answeredAt"] is not None
        assert resource["durationSeconds"] == 10
        assert "before the flow began" in resource["failureDetail"]


def test_a_tap_that_connects_before_the_answer_is_told_is_not_waited_for_again(tmp_path: Path) -> None:
    with simulated_node(speed=2.0) as simulator, running(settings(tmp_path, simulator.port), simulator) as stack:
        simulator.faults.put_after("CHANNEL_ANSWER", "mod_audio_fork::connect")
        resource = stack.place("+15550100001", mode="sync", callAnalysis=["live_person"]).json()
        assert (resource["status"], resource["callAnalysisResult"]) == ("Completed", "live_person"), resource


def test_a_tap_that_never_connects_is_started_again(tmp_path: Path) -> None:
    with node(speed=1.0) as simulator, running(settings(tmp_path, simulator.port), simulator) as stack:
        simulator.faults.silent_taps()
        resource = stack.place(SAYS_HELLO, mode="sync", callAnalysis=["live_person"]).json()
        assert (resource["status"], resource["callAnalysisResult"]) == ("Completed", "live_person"), resource


# --- the node --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flow", [FLOW, LISTENS], ids=["plays", "waits"])
def test_a_node_that_was_killed_and_is_back_has_cut_the_flow(tmp_path: Path, flow: str) -> None:
    """The flow that waits would have been over, and Completed, before the node was back."""
    with node() as simulator, house(tmp_path, simulator) as stack:
        for at in stack.service.pool:
            at.settings = at.settings.model_copy(update={"lost_after_s": 60})
        session_id = in_flow(stack, flow=flow)
        simulator.stop()
        until(lambda: not next(iter(stack.service.pool)).connected)
        clock = SystemClock()
        waited = clock.monotonic() + 2.5
        until(lambda: clock.monotonic() > waited)
        assert stack.get(session_id)["status"] == "Answered"
        simulator.start()
        resource = stack.ended(session_id)
        assert (resource["status"], resource["failureReason"]) == ("Failed", "flow_error"), resource
        assert "node sim was started anew" in resource["failureDetail"]


def test_a_node_that_is_gone_for_good_has_cut_the_flow(tmp_path: Path) -> None:
    with node() as simulator, house(tmp_path, simulator) as stack:
        session_id = in_flow(stack, flow=LISTENS)
        simulator.stop()
        resource = stack.ended(session_id)
        assert (resource["status"], resource["failureReason"]) == ("Failed", "flow_error"), resource
        assert "node sim has not come back" in resource["failureDetail"]


@pytest.mark.parametrize(
    ("cause", "command", "said"),
    [
        ("SYSTEM_SHUTDOWN", "fsctl shutdown", "FreeSWITCH on node sim was shut down"),
        (
            "MANAGER_REQUEST",
            "hupall MANAGER_REQUEST",
            "somebody on node sim ended the call, or restarted its SIP profile",
        ),
        ("MEDIA_TIMEOUT", "uuid_kill {channel} MEDIA_TIMEOUT", "no more audio came from the far end"),
        ("ALLOTTED_TIMEOUT", "sched_hangup +1 {channel} ALLOTTED_TIMEOUT", "dialing.max_call_s"),
    ],
)
def test_what_the_node_ends_a_flow_for_is_told(tmp_path: Path, cause: str, command: str, said: str) -> None:
    with node() as simulator, house(tmp_path, simulator) as stack:
        session_id = in_flow(stack)
        channel = stack.service.registry.all()[0].call.channel
        next(iter(stack.service.pool)).api(command.format(channel=channel))
        resource = stack.ended(session_id)
        assert (resource["status"], resource["failureReason"]) == ("Failed", "flow_error"), resource
        assert said in resource["failureDetail"]
        assert (resource["hangup"]["cause"], resource["hangup"]["q850"]) == (cause, None)


def test_a_node_that_ends_a_ringing_call_is_a_trunk_that_is_not_to_be_had(tmp_path: Path) -> None:
    with node() as simulator, house(tmp_path, simulator) as stack:
        session_id = str(stack.place("+15550100005").json()["sessionId"])
        until(lambda: stack.get(session_id)["status"] == "Ringing")
        channel = stack.service.registry.all()[0].call.channel
        next(iter(stack.service.pool)).api(f"uuid_kill {channel} SYSTEM_SHUTDOWN")
        resource = stack.ended(session_id)
        assert resource["failureReason"] == "trunk_unavailable"
        assert "FreeSWITCH on node sim was shut down" in resource["failureDetail"]


# --- the clock -------------------------------------------------------------------------------------------------------


class Stepped(SystemClock):
    """A machine whose wall clock is set while calls are up; its monotonic clock goes on."""

    off = 0.0

    def wall(self) -> float:
        return super().wall() + self.off


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_set_changes_no_duration(tmp_path: Path, hours: int) -> None:
    clock = Stepped()
    with node() as simulator:
        configuration = settings(tmp_path, simulator.port, **NO_WORKER)
        (tmp_path / "flows" / ORG / f"{FLOW}.yaml").write_text(TALKS)
        service = Service(configuration, clock=clock)
        service.start()
        try:
            until(lambda: not service.calls.ready())
            stack = Stack(service, simulator)
            session_id = in_flow(stack, LEAVES)
            clock.off = 3_600.0 * hours
            resource = stack.ended(session_id)
            assert resource["status"] == "Completed"
            assert resource["durationSeconds"] == 4
        finally:
            service.stop()
