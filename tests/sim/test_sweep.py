"""Channels without a call and calls without a channel, on a simulated node: none is left, whatever was lost."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fsbridge.call.lifecycle import inputs as i
from fsbridge.call.lifecycle.belonging import LEFT, ORG, SESSION
from fsbridge.call.running import sweep as sweep_module
from fsbridge.model.ids import ChannelUuid, OrgId, SessionId, new_uuid
from fsbridge.nodes.node import Node
from fsbridge.settings.whole import Settings
from fsbridge.simulator import Simulator
from fsbridge.supervise import Supervisor
from tests.sim.simulator_helpers import Client
from tests.sim.stack import FLOW, Stack, running, settings, simulated_node, until
from tests.sim.stack import ORG as OUR_ORG

pytestmark = pytest.mark.sim

NO_WORKER = {"amd": {"workers": 0, "urls": ["ws://127.0.0.1:9/amd"], "start_timeout_s": 0.1, "connect_timeout_s": 1}}
ANSWERS = "+15550100006"
"""Answers, and stays."""
WAITS = "steps: [{id: wait, pause: 300}]"
LEAVES = "steps: [{id: leave, transfer: {extension: park}}]"


def configured(folder: Path, simulator: Simulator, flow: str = WAITS, **tables: Any) -> Settings:
    made = settings(folder, simulator.port, **NO_WORKER, **tables)
    (folder / "flows" / OUR_ORG / f"{FLOW}.yaml").write_text(flow)
    return made


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute is long for a test; what is done in it is the same."""
    monkeypatch.setattr(sweep_module, "SWEEP_S", 0.3)
    monkeypatch.setattr(sweep_module, "LATER_S", 0.1)
    monkeypatch.setattr(sweep_module, "ASK_S", 0.1)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with simulated_node() as made:
        yield made


@pytest.fixture
def operator(simulator: Simulator) -> Iterator[Client]:
    """Somebody else's connection: what the node really has."""
    supervisor = Supervisor()
    client = Client(simulator.port, supervisor).login("json CHANNEL_HANGUP_COMPLETE")
    yield client
    with contextlib.suppress(OSError):
        client.close()
    supervisor.stop()


def node_of(stack: Stack) -> Node:
    return next(iter(stack.service.pool))


def answered(stack: Stack) -> tuple[str, ChannelUuid]:
    session_id = str(stack.place(ANSWERS).json()["sessionId"])
    until(lambda: stack.get(session_id)["status"] == "Answered")
    runner = stack.service.registry.find(SessionId(session_id))
    assert runner is not None
    channel = runner.call.channel
    # Its flow has begun: what happens now happens in the middle of it.
    until(lambda: (node_of(stack).channel_dump(channel) or {}).get("variable_current_application") == "playback")
    return session_id, channel


def exists(operator: Client, channel: str) -> bool:
    return operator.api(f"uuid_exists {channel}") == "true"


def crash(stack: Stack) -> None:
    """End every greenlet of the service without a word, as kill -9 does; then let `stop` find nothing to drain."""
    stack.service.supervisor.stop()
    for runner in stack.service.registry.all():
        stack.service.registry.remove(runner)


def test_channels_of_calls_that_were_given_up_are_hung_up_when_the_node_is_back(tmp_path: Path) -> None:
    """The socket is cut for longer than a call is kept open: the records end, and nobody would ask again."""
    with simulated_node(speed=1.0) as simulator, running(configured(tmp_path, simulator), simulator) as stack:
        calls = [answered(stack) for _ in range(3)]
        simulator.faults.cut(4.0)
        for session_id, _ in calls:
            assert "has not come back" in stack.ended(session_id)["failureDetail"]
        until(lambda: node_of(stack).connected)
        until(lambda: all(node_of(stack).api(f"uuid_exists {channel}") == "false" for _, channel in calls))
        until(lambda: stack.service.sweep.pursued("sim") == 0)


def test_a_hang_up_that_was_not_confirmed_is_not_forgotten(
    tmp_path: Path, simulator: Simulator, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An overloaded node: each hang-up goes without a reply, until the record is closed without the node's word."""
    with running(configured(tmp_path, simulator), simulator) as stack:
        session_id, channel = answered(stack)
        simulator.faults.never_reply("api uuid_kill", times=6)
        runner = stack.service.registry.find(SessionId(session_id))
        assert runner is not None
        runner.post(i.StopAsked("enough"))
        resource = stack.ended(session_id, 60)
        assert resource["status"] == "Failed"
        until(lambda: not exists(operator, channel), 60)
        until(lambda: stack.service.sweep.pursued("sim") == 0)


def test_channels_of_an_earlier_run_are_found(tmp_path: Path, simulator: Simulator, operator: Client) -> None:
    """Their records had ended before the crash, so nothing is left to settle."""
    configuration = configured(tmp_path, simulator)
    with running(configuration, simulator) as stack:
        session_id, _ = answered(stack)
        ended = stack.service.store.get(OrgId(OUR_ORG), SessionId(session_id))
        stray = operator.api(f"originate {{{SESSION}={session_id},{ORG}={OUR_ORG}}}sofia/gateway/carrier/1555 &park()")
        assert ended is not None
        stray = stray.removeprefix("+OK ").strip()
        until(lambda: not exists(operator, stray))
        assert stack.get(session_id)["status"] == "Answered", "the live call's own channel is not touched"
        assert 'fsbridge_stray_channels_total{node="sim"} 1.0' in stack.service.metrics.render().decode()


def test_other_peoples_channels_are_left_alone(tmp_path: Path, simulator: Simulator, operator: Client) -> None:
    """Those of another fsbridge on the same node too: its calls are in no store of ours."""
    theirs = [
        operator.api(f"originate {{{variables}}}sofia/gateway/carrier/1555 &park()").removeprefix("+OK ").strip()
        for variables in (
            "x=y",
            f"{SESSION}={new_uuid()},{ORG}={OUR_ORG},fsbridge_node=sim",
            f"{SESSION}=nonsense,{ORG}={OUR_ORG}",
        )
    ]
    with running(configured(tmp_path, simulator), simulator) as stack:
        session_id, channel = answered(stack)
        given_away = operator.api(
            f"originate {{{SESSION}={session_id},{ORG}={OUR_ORG},{LEFT}=true}}sofia/gateway/carrier/1555 &park()"
        )
        theirs.append(given_away.removeprefix("+OK ").strip())
        swept(stack, 3)
        assert all(exists(operator, each) for each in theirs)
        assert exists(operator, channel)
        # Once known as somebody else's they are not asked about again.
        watch = stack.service.sweep._watches["sim"]
        assert watch.foreign == {*theirs}


def swept(stack: Stack, times: int) -> None:
    """Wait until the node has been swept so often."""
    watch = stack.service.sweep._watches["sim"]
    for _ in range(times):
        before = watch.sweep_at
        until(lambda: watch.sweep_at != before)  # noqa: B023


def test_a_call_whose_end_was_never_told_ends_all_the_same(
    tmp_path: Path, simulator: Simulator, operator: Client
) -> None:
    with running(configured(tmp_path, simulator), simulator) as stack:
        session_id, channel = answered(stack)
        for event in ("CHANNEL_EXECUTE_COMPLETE", "CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY"):
            simulator.faults.lose_event(event, times=5)
        operator.api(f"uuid_kill {channel} USER_BUSY")
        resource = stack.ended(session_id)
        assert resource["hangup"]["cause"] == "USER_BUSY"


@pytest.mark.parametrize("noise", [b'"', b"\\"])
def test_an_event_that_cannot_be_read_is_made_good_by_asking(
    tmp_path: Path, simulator: Simulator, operator: Client, noise: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sweeps are far away: it is the event's own channel that is asked after."""
    monkeypatch.setattr(sweep_module, "SWEEP_S", 600.0)
    with running(configured(tmp_path, simulator), simulator) as stack:
        session_id, channel = answered(stack)
        for event in ("CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE", "CHANNEL_EXECUTE_COMPLETE"):
            simulator.faults.spoil_event(event, noise, times=5)
        operator.api(f"uuid_kill {channel} USER_BUSY")
        resource = stack.ended(session_id)
        assert resource["hangup"]["cause"] == "USER_BUSY"
        assert stack.service.metrics.render().decode().count('fsbridge_esl_unreadable_events_total{node="sim"}') == 1


def test_an_event_with_raw_control_characters_is_read(tmp_path: Path, simulator: Simulator, operator: Client) -> None:
    with running(configured(tmp_path, simulator), simulator) as stack:
        session_id, channel = answered(stack)
        simulator.faults.spoil_event("CHANNEL_HANGUP_COMPLETE")
        operator.api(f"uuid_kill {channel} USER_BUSY")
        assert stack.ended(session_id)["hangup"]["cause"] == "USER_BUSY"
        assert "fsbridge_esl_unreadable_events_total{" not in stack.service.metrics.render().decode()


def test_the_switch_itself_ends_a_call_whose_service_is_gone(tmp_path: Path) -> None:
    with simulated_node(speed=50.0) as simulator:
        supervisor = Supervisor()
        client = Client(simulator.port, supervisor).login("json CHANNEL_HANGUP_COMPLETE")
        with running(configured(tmp_path, simulator, dialing={"max_call_s": 20}), simulator) as stack:
            _, channel = answered(stack)
            crash(stack)
        end = client.wait_event("CHANNEL_HANGUP_COMPLETE", Unique_ID=channel)
        assert end.event["Hangup-Cause"] == "ALLOTTED_TIMEOUT"
        client.close()
        supervisor.stop()


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "stopped"])
def test_a_transferred_call_outlives_the_service_and_is_told_to_its_end(
    tmp_path: Path, simulator: Simulator, operator: Client, killed: bool
) -> None:
    """It belongs to the dialplan now: neither a stop, nor a start, nor the switch's own bound ends it."""
    configuration = configured(tmp_path, simulator, LEAVES)
    with running(configuration, simulator) as stack:
        session_id = str(stack.place(ANSWERS).json()["sessionId"])
        runner = stack.service.registry.find(SessionId(session_id))
        assert runner is not None
        until(lambda: runner.call.handed_over)
        channel = runner.call.channel
        if killed:
            crash(stack)
    assert exists(operator, channel)
    assert operator.api(f"sched_del {channel}") == "+OK Deleted: 0\n"
    with running(configuration, simulator) as again:
        assert again.get(session_id)["status"] == "Answered"
        swept(again, 3)
        assert exists(operator, channel)
        operator.api(f"uuid_kill {channel}")
        resource = again.ended(session_id)
        assert (resource["status"], resource["failureReason"]) == ("Completed", None)
