"""A node against the simulated FreeSWITCH, with the service's own subscription: calls placed, driven, lost, found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from fsbridge.amd import fork
from fsbridge.call.lifecycle import translate
from fsbridge.clock import SystemClock
from fsbridge.esl.causes import hangup_info
from fsbridge.esl.commands import kill
from fsbridge.esl.dialstring import Endpoint, GatewayEndpoint, OriginatePlan, SipUriEndpoint, originate
from fsbridge.esl.errors import CommandFailed, CommandTimeout, EslConnectionLost
from fsbridge.esl.events import Event
from fsbridge.esl.session import JobResult
from fsbridge.model.ids import ActionId, ChannelUuid, FlowId, JobUuid, OrgId, SessionId, new_uuid
from fsbridge.model.outcome import HangupInfo
from fsbridge.nodes.node import Node, NodeEvents
from fsbridge.settings.nodes import NodeSettings
from fsbridge.simulator import Simulator
from fsbridge.supervise import Supervisor
from tests.unit.esl.peers import eventually

pytestmark = pytest.mark.sim

SUBSCRIPTION = (translate.SUBSCRIBED, fork.SUBSCRIBED)
PERSON = GatewayEndpoint("carrier", "+15550100001")
BUSY = GatewayEndpoint("carrier", "+15550100004")
JOB_S = 5.0


class House:
    """A node of ours, connected to a simulator, and all that it told."""

    def __init__(self, simulator: Simulator, backoff_s: tuple[float, float] = (0.01, 0.05), **settings: Any) -> None:
        self.simulator = simulator
        self.supervisor = Supervisor()
        self.events: list[Event] = []
        self.told: list[str] = []
        listeners = NodeEvents(
            on_event=lambda _, event: self.events.append(event),
            on_unreadable=lambda node, channel: self.told.append(f"unreadable {channel}"),
            on_up=lambda node: self.told.append(f"up {node.epoch}"),
            on_down=lambda node: self.told.append(f"down {node.epoch}"),
        )
        known: dict[str, Any] = {"name": "fs1", "port": simulator.port, "command_timeout_s": 2.0}
        chosen = NodeSettings(**(known | settings))
        self.node = Node(chosen, self.supervisor, SystemClock(), listeners, SUBSCRIPTION, backoff_s)
        self.node.start()
        eventually(lambda: self.told, "the first connection")

    def place(self, endpoint: Endpoint = PERSON, node: str = "fs1", job_s: float = JOB_S) -> tuple[str, JobResult]:
        """Place a call; its channel, and what its job said."""
        plan = a_plan(endpoint, node)
        return plan.channel, self.node.bgapi(originate(plan), JobUuid(new_uuid()), job_s)

    def names(self, channel: str) -> list[str]:
        return [event.name for event in self.events if event.unique_id == channel]

    def wait_for(self, channel: str, name: str) -> Event:
        eventually(lambda: name in self.names(channel), name)
        return next(event for event in self.events if (event.unique_id, event.name) == (channel, name))

    def close(self) -> None:
        self.node.stop()
        self.supervisor.stop()


def a_plan(endpoint: Endpoint, node: str = "fs1") -> OriginatePlan:
    return OriginatePlan(
        channel=ChannelUuid(new_uuid()),
        endpoint=endpoint,
        session=SessionId("11111111-1111-4111-8111-111111111111"),
        org=OrgId("22222222-2222-4222-8222-222222222222"),
        flow=FlowId("33333333-3333-4333-8333-333333333333"),
        node=node,
        caller_id="+15550100100",
    )


@pytest.fixture
def house(simulator: Simulator) -> Iterator[House]:
    made = House(simulator)
    yield made
    made.close()


def test_a_busy_number(house: House) -> None:
    channel, result = house.place(BUSY)
    assert result == JobResult(False, "USER_BUSY")
    end = house.wait_for(channel, "CHANNEL_HANGUP_COMPLETE")
    assert hangup_info(end.headers) == HangupInfo("USER_BUSY", 17, 486, by_far_end=True)


def test_a_call_answered_driven_and_ended(house: House) -> None:
    channel, result = house.place(SipUriEndpoint("external", "sip:live@far.example:5060;transport=udp"))
    assert result == JobResult(True, channel)
    heard = house.names(channel)
    assert [name for name in heard if name in ("CHANNEL_CREATE", "CHANNEL_PROGRESS", "CHANNEL_ANSWER")] == [
        "CHANNEL_CREATE",
        "CHANNEL_PROGRESS",
        "CHANNEL_ANSWER",
    ]
    action = ActionId(new_uuid())
    house.node.execute(ChannelUuid(channel), action, "playback", "tone_stream://%(200,0,880)")
    done = house.wait_for(channel, "CHANNEL_EXECUTE_COMPLETE")
    assert (done.application_uuid, done.headers["Application-Response"]) == (action, "FILE PLAYED")
    dump = house.node.channel_dump(ChannelUuid(channel))
    assert dump is not None
    assert dump["variable_fsbridge_session"] == "11111111-1111-4111-8111-111111111111"
    assert dump["variable_ignore_early_media"] == "true"
    house.node.command(kill(channel, "USER_BUSY"))
    end = house.wait_for(channel, "CHANNEL_HANGUP_COMPLETE")
    # A cause of ours on an answered call: the far end said nothing with a SIP status.
    assert hangup_info(end.headers) == HangupInfo("USER_BUSY", 17, None)
    assert house.node.channel_dump(ChannelUuid(channel)) is None
    with pytest.raises(CommandFailed, match="invalid session id"):
        house.node.execute(ChannelUuid(channel), action, "playback", "silence_stream://10")


def test_other_peoples_calls_are_not_heard(house: House) -> None:
    """The filter keeps their events away; our own call's tell that enough time has passed."""
    theirs, result = house.place(BUSY, node="fs2")
    assert result == JobResult(False, "USER_BUSY")
    ours, _ = house.place(BUSY)
    house.wait_for(ours, "CHANNEL_HANGUP_COMPLETE")
    assert house.names(theirs) == []


def test_a_swallowed_command_costs_a_connection_not_the_node(simulator: Simulator) -> None:
    """Its reply never comes, so each later reply would meet the command before its own, for ever."""
    house = House(simulator, command_timeout_s=0.2)
    try:
        simulator.faults.never_reply("api status")
        with pytest.raises(CommandTimeout):
            house.node.api("status")
        eventually(lambda: house.told == ["up 1", "down 1", "up 2"], "the way back")
        assert house.node.api("uuid_exists 11111111-1111-4111-8111-111111111111") == "false"
    finally:
        house.close()


def test_a_node_lost_at_the_answer_is_found_again_with_the_call_alive(house: House) -> None:
    plan = a_plan(PERSON)
    house.simulator.faults.drop_after("CHANNEL_ANSWER")
    with pytest.raises(EslConnectionLost):
        house.node.bgapi(originate(plan), JobUuid(new_uuid()), JOB_S)
    eventually(lambda: house.told == ["up 1", "down 1", "up 2"], "the way back")
    dump = house.node.channel_dump(plan.channel)
    assert dump is not None
    assert dump["Answer-State"] == "answered"
    # The new connection is subscribed as the first one was.
    house.node.command(kill(plan.channel))
    assert hangup_info(house.wait_for(plan.channel, "CHANNEL_HANGUP_COMPLETE").headers).cause == "NORMAL_CLEARING"


def test_one_byte_at_a_time_changes_nothing(house: House) -> None:
    house.simulator.faults.split_bytes = 1
    channel, result = house.place(BUSY)
    assert result == JobResult(False, "USER_BUSY")
    end = house.wait_for(channel, "CHANNEL_HANGUP_COMPLETE")
    assert end.variable("fsbridge_node") == "fs1"


def test_a_taken_uuid_shows_in_the_job(house: House) -> None:
    """To FreeSWITCH that is no error: the reply names the channel that there is."""
    house.simulator.faults.duplicate_uuid()
    channel, result = house.place(PERSON)
    assert result.ok
    assert result.text != channel
    house.node.command(kill(result.text))


@pytest.mark.parametrize(
    ("endpoint", "cause"),
    [
        (GatewayEndpoint("nosuch", "1"), "INVALID_GATEWAY"),
        (GatewayEndpoint("dead", "1"), "NORMAL_TEMPORARY_FAILURE"),
        (GatewayEndpoint("carrier", "+15550100007"), "UNALLOCATED_NUMBER"),
        (GatewayEndpoint("carrier", "+15550100013"), "CALL_REJECTED"),
    ],
)
def test_what_a_job_says_of_a_call_that_was_not_answered(house: House, endpoint: Endpoint, cause: str) -> None:
    assert house.place(endpoint)[1] == JobResult(False, cause)


def test_a_call_that_rings_on_is_ended_by_the_switchs_own_timer(house: House) -> None:
    plan = replace(a_plan(GatewayEndpoint("carrier", "+15550100005")), ring_timeout_s=4)
    result = house.node.bgapi(originate(plan), JobUuid(new_uuid()), JOB_S)
    assert result == JobResult(False, "NO_ANSWER")
    assert hangup_info(house.wait_for(plan.channel, "CHANNEL_HANGUP_COMPLETE").headers) == HangupInfo(
        "NO_ANSWER", 19, 487
    )
