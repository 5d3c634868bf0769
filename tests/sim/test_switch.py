"""A call's switch over a real event socket: what is told to a node that is away, and what it must not be told twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fsbridge.call.running.switch import Switch
from fsbridge.esl.errors import CommandTimeout, EslNotSent
from fsbridge.model.ids import ActionId, ChannelUuid, new_uuid
from fsbridge.simulator import Simulator
from tests.sim.test_node_simulated import House
from tests.unit.esl.peers import eventually

pytestmark = pytest.mark.sim

NOBODY = ChannelUuid("11111111-1111-4111-8111-111111111111")


@pytest.fixture
def house(simulator: Simulator) -> Iterator[House]:
    made = House(simulator, (0.2, 0.2), command_timeout_s=0.3)
    yield made
    made.close()


def test_a_step_waits_for_a_node_that_is_away_for_a_moment(house: House) -> None:
    channel, _ = house.place()
    house.simulator.faults.drop_connection()
    eventually(lambda: not house.node.connected, "the end of the connection")
    action = ActionId(new_uuid())
    Switch(house.node).execute(ChannelUuid(channel), action, "playback", "tone_stream://%(200,0,880)")
    assert house.node.epoch == 2
    assert house.wait_for(channel, "CHANNEL_EXECUTE_COMPLETE").application_uuid == action


def test_a_step_does_not_wait_for_ever(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsbridge.call.running.switch.RETURN_S", 0.1)
    house.simulator.stop()
    eventually(lambda: not house.node.connected, "the end of the connection")
    with pytest.raises(EslNotSent):
        Switch(house.node).execute(NOBODY, ActionId(new_uuid()), "playback", "a.wav")


def test_whether_a_channel_exists(house: House) -> None:
    channel, _ = house.place()
    switch = Switch(house.node)
    assert switch.exists(ChannelUuid(channel))
    assert not switch.exists(NOBODY)


def test_a_hang_up_without_a_reply_says_nothing(house: House) -> None:
    channel, _ = house.place()
    house.simulator.faults.never_reply("api uuid_kill")
    with pytest.raises(CommandTimeout):
        Switch(house.node).kill(channel, "NORMAL_CLEARING")
    eventually(lambda: house.node.epoch == 2, "the way back")
    assert Switch(house.node).exists(ChannelUuid(channel))
