"""One node kept alive over real sockets: subscription, health, loss, return, and the pauses between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event as Flag

from fsbridge.clock import SystemClock
from fsbridge.esl.commands import Line
from fsbridge.esl.errors import CommandFailed, CommandTimeout, EslConnectionLost, EslError
from fsbridge.esl.session import JobResult
from fsbridge.model.ids import ActionId, ChannelUuid, JobUuid
from fsbridge.nodes import node as node_module
from fsbridge.nodes.node import Node, NodeEvents
from fsbridge.nodes.standing import Health
from fsbridge.settings.nodes import NodeSettings
from fsbridge.supervise import Supervisor
from tests.traces import loader
from tests.unit.esl.peers import PATIENCE_S, Connection, Peer, event, eventually, printed

pytestmark = pytest.mark.sim

CHANNEL = ChannelUuid("89971076-6b68-459f-aed8-517d1ba6dc75")
ACTION = ActionId("3607f4a7-e66b-4894-97ac-79602c0f8e7f")
JOB = JobUuid("e0e0807d-c41b-4cca-a454-2561d2f476de")
SUBSCRIPTION = (("CHANNEL_ANSWER", "DTMF"), ("mod_audio_fork::connect",))
QUICK = (0.01, 0.05)
CLOCK = SystemClock()

SET_UP = 8
"""Commands that a new connection begins with."""

Script = Callable[[Connection], None]


def accept(command: str) -> bytes:
    """A node that agrees to everything."""
    if command.startswith("api"):
        return printed(command)
    return b"Content-Type: command/reply\nReply-Text: +OK\n\n"


def good(connection: Connection) -> None:
    connection.log_in()
    connection.serve(accept)


def heartbeat(sessions: int = 3, limit: int = 1_000) -> bytes:
    load = {"Session_Count": str(sessions), "Max_Sessions": str(limit)}
    return event("HEARTBEAT", **load, Session_Per_Sec="50", Session_Per_Sec_Max="30", Idle_CPU="97.5")


class House:
    """A node's surroundings: who it tells, and who it talks to."""

    def __init__(self) -> None:
        self.supervisor = Supervisor()
        self.told: list[str] = []
        self.events: list[tuple[str, str]] = []
        self.peers: list[Peer] = []
        self.nodes: list[Node] = []

    def peer(self, script: Script = good) -> Peer:
        self.peers.append(Peer(script, self.supervisor))
        return self.peers[-1].start()

    def node(self, port: int, backoff_s: tuple[float, float] = QUICK, **settings: Any) -> Node:
        listeners = NodeEvents(
            on_event=lambda node, found: self.events.append((node.name, found.name)),
            on_unreadable=lambda node, channel: self.told.append(f"unreadable {channel}"),
            on_up=lambda node: self.told.append(f"up {node.epoch}"),
            on_down=lambda node: self.told.append(f"down {node.epoch}"),
        )
        known: dict[str, Any] = {"name": "fs1", "port": port, "connect_timeout_s": 2.0, "command_timeout_s": 2.0}
        node = Node(NodeSettings(**(known | settings)), self.supervisor, CLOCK, listeners, SUBSCRIPTION, backoff_s)
        self.nodes.append(node)
        return node

    def up(self, script: Script = good, **settings: Any) -> tuple[Node, Peer]:
        peer = self.peer(script)
        node = self.node(peer.port, **settings)
        node.start()
        eventually(lambda: "up 1" in self.told, "the first connection")
        return node, peer

    def close(self) -> None:
        for node in self.nodes:
            node.stop()
        for peer in self.peers:
            peer.close()
        self.supervisor.stop()


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    yield made
    made.close()


def test_it_subscribes_narrowly_and_lets_in_what_the_filter_would_drop(house: House) -> None:
    node, peer = house.up()
    assert peer.connections[0].commands == [
        "auth ClueCon",
        "event json BACKGROUND_JOB HEARTBEAT CHANNEL_ANSWER DTMF CUSTOM mod_audio_fork::connect",
        "filter Event-Name BACKGROUND_JOB",
        "filter Event-Name HEARTBEAT",
        "filter Event-Name DTMF",
        "filter variable_fsbridge_node fs1",
        "api global_getvar core_uuid",
        "api fsctl pause_check outbound",
        "api fsctl ready_check",
    ]
    assert (node.connected, node.ready, node.epoch, node.last_error) == (True, True, 1, None)


def test_every_kind_of_command_passes_through(house: House) -> None:
    def answer(command: str) -> bytes:
        end = event("BACKGROUND_JOB", f"+OK {CHANNEL}\n", Job_UUID=JOB) if command.startswith("bgapi") else b""
        return accept(command) + end

    def script(connection: Connection) -> None:
        connection.log_in()
        connection.serve(answer)

    node, peer = house.up(script)
    assert node.api("status") == "api status"
    assert node.command(Line("noevents")) == "+OK"
    assert node.bgapi("originate x", JOB, 2.0) == JobResult(True, CHANNEL)
    node.execute(CHANNEL, ACTION, "park", "")
    assert [command.split("\n")[0] for command in peer.connections[0].commands[-4:]] == [
        "api status",
        "noevents",
        "bgapi originate x",
        f"sendmsg {CHANNEL}",
    ]


def test_events_go_on_and_heartbeats_are_kept(house: House) -> None:
    def script(connection: Connection) -> None:
        connection.log_in()
        for _ in range(SET_UP):
            connection.send(accept(connection.command()))
        connection.send(event("CHANNEL_ANSWER") + heartbeat() + event("DTMF"))
        connection.serve(accept)

    node, _ = house.up(script)
    eventually(lambda: len(house.events) == 2, "two events")
    assert house.events == [("fs1", "CHANNEL_ANSWER"), ("fs1", "DTMF")]
    assert node.health == Health(3, 1_000, 50, 30, 97.5)


@pytest.mark.parametrize(
    ("sessions", "limit", "draining", "ready"),
    [(0, 0, False, True), (9, 10, False, True), (10, 10, False, False), (1, 10, True, False)],
)
def test_ready_is_connected_not_drained_and_below_the_limit(
    house: House, sessions: int, limit: int, draining: bool, ready: bool
) -> None:
    def script(connection: Connection) -> None:
        connection.log_in()
        for _ in range(SET_UP):
            connection.send(accept(connection.command()))
        connection.send(heartbeat(sessions, limit))
        connection.serve(accept)

    node, _ = house.up(script)
    eventually(lambda: node.health, "the heartbeat")
    node.draining = draining
    assert node.ready is ready


def test_a_lost_node_is_told_comes_back_and_is_subscribed_again(house: House) -> None:
    def script(connection: Connection) -> None:
        if len(peer.connections) > 1:
            good(connection)
            return
        connection.log_in()
        for _ in range(SET_UP):
            connection.send(accept(connection.command()))
        connection.send(heartbeat(10, 10))
        connection.command()

    peer = house.peer(script)
    node = house.node(peer.port)
    node.start()
    eventually(lambda: node.health, "the heartbeat")
    assert not node.ready
    with pytest.raises(EslConnectionLost):
        node.api("the command that it dies of")
    eventually(lambda: "up 2" in house.told, "the second connection")
    assert house.told == ["up 1", "down 1", "up 2"]
    assert peer.connections[0].commands[:6] == peer.connections[1].commands[:6]
    # What the node said before it went is not held against the one that came.
    assert (node.health, node.ready, node.epoch) == (None, True, 2)


def test_while_it_is_away_commands_fail_at_once_and_say_why(house: House) -> None:
    peer = house.peer()
    peer.close()
    node = house.node(peer.port)
    with pytest.raises(EslConnectionLost, match="node fs1 is not connected: not yet"):
        node.api("status")
    node.start()
    eventually(lambda: node.last_error, "the first try")
    with pytest.raises(EslConnectionLost, match="node fs1 is not connected: no event socket at"):
        node.api("status")
    assert not node.ready
    assert house.told == []
    assert house.supervisor.failures == {}


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (lambda c: c.log_in("-ERR invalid"), "password"),
        (lambda c: None, "closed the connection"),
        (lambda c: c.send(b"Content-Type: text/rude-rejection\nContent-Length: 2\n\nno"), "ACL"),
        (lambda c: (c.log_in(), c.command(), c.reply("-ERR no"), c.serve(accept)), "event: -ERR no"),
    ],
)
def test_it_keeps_trying_whatever_was_wrong(house: House, first: Script, reason: str) -> None:
    errors: list[str | None] = []

    def script(connection: Connection) -> None:
        if len(peer.connections) <= 2:
            errors.append(node.last_error)
            first(connection)
        else:
            good(connection)

    peer = house.peer(script)
    node = house.node(peer.port)
    node.start()
    eventually(lambda: "up 1" in house.told, "a connection in the end")
    assert errors[0] is None
    assert reason in (errors[1] or "")
    assert house.told == ["up 1"]
    assert node.last_error is None


def test_a_silent_node_is_given_up(house: House) -> None:
    """Its end may never reach us (a cut cable): no heartbeat for long enough means gone."""
    errors: list[str | None] = []

    def script(connection: Connection) -> None:
        errors.append(house.nodes[0].last_error)
        good(connection)

    node, peer = house.up(script, heartbeat_timeout_s=0.1)
    eventually(lambda: "up 2" in house.told, "the second connection")
    assert house.told[:3] == ["up 1", "down 1", "up 2"]
    assert peer.connections[0].commands[-1] == "exit"
    assert node.epoch >= 2
    assert errors[1] == "no event, not even a HEARTBEAT, for 0.1 s"


def test_a_hub_that_is_late_is_not_the_nodes_silence(house: House) -> None:
    """The heartbeats lie in the socket while we compute; none of that time is the node's."""

    def script(connection: Connection) -> None:
        connection.log_in()
        beats = house.supervisor.spawn("beats", beat, connection)
        try:
            connection.serve(accept)
        finally:
            beats.kill()

    def beat(connection: Connection) -> None:
        while True:
            connection.send(heartbeat())
            gevent.sleep(0.02)

    node, _ = house.up(script, heartbeat_timeout_s=0.5)
    for _ in range(SET_UP):
        until = CLOCK.monotonic() + 0.7
        while CLOCK.monotonic() < until:
            pass
        gevent.sleep(0.001)
    eventually(lambda: node.health, "a heartbeat")
    assert house.told == ["up 1"]


def test_a_node_that_takes_us_and_drops_us_is_not_hammered(house: House) -> None:
    def script(connection: Connection) -> None:
        connection.log_in()
        for _ in range(SET_UP):
            connection.send(accept(connection.command()))

    peer = house.peer(script)
    node = house.node(peer.port, backoff_s=(0.1, 30.0))
    since = CLOCK.monotonic()
    node.start()
    eventually(lambda: "up 3" in house.told, "the third connection")
    # Two pauses, of at least 0.05 and 0.1 s: they grow although each connection had been up.
    assert CLOCK.monotonic() - since >= 0.15


def test_pauses_double_to_their_bound_with_jitter(house: House) -> None:
    node = house.node(1, backoff_s=(0.5, 15.0))
    for failures in range(1, 60):
        most = min(15.0, 0.5 * 2 ** (failures - 1))
        pauses = {node._pause(failures) for _ in range(20)}
        assert all(most / 2 <= pause <= most for pause in pauses)
        assert len(pauses) > 1


def test_stop_closes_for_good(house: House) -> None:
    node, peer = house.up()
    node.stop()
    eventually(lambda: "down 1" in house.told, "the end")
    assert peer.ended.wait(PATIENCE_S)
    assert peer.connections[0].commands[-1] == "exit"
    with pytest.raises(EslConnectionLost, match="closed by us"):
        node.api("status")
    eventually(lambda: len(house.supervisor) == 1, "the end of all but the listener")
    assert len(peer.connections) == 1


def test_stop_while_it_connects_leaves_nothing_behind(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "WATCH_INTERVAL_S", 0.02)

    def script(connection: Connection) -> None:
        connection.greet()
        connection.command()
        node.stop()
        connection.reply("+OK accepted")
        connection.serve(accept)

    peer = house.peer(script)
    node = house.node(peer.port)
    node.start()
    assert peer.ended.wait(PATIENCE_S), "the connection that was being made outlived the node"
    eventually(lambda: not node.connected and len(house.supervisor) == 1, "the end of the node")
    assert len(peer.connections) == 1


def test_stop_of_a_node_that_never_was(house: House) -> None:
    node = house.node(1)
    node.stop()
    node.start()
    eventually(lambda: len(house.supervisor) == 0, "the end of the node")
    assert house.told == []


def dump() -> str:
    frames = [raw for raw in loader.received("node_queries") if b'"CHANNEL_DATA"' in raw]
    return frames[0].partition(b"\n\n")[2].decode()


@pytest.mark.parametrize("answer", ["-ERR No such channel!\n", "{}", "no JSON at all"])
def test_a_channels_dump(house: House, answer: str) -> None:
    text = dump() if answer == "{}" else answer

    def script(connection: Connection) -> None:
        connection.log_in()
        connection.serve(lambda command: printed(text) if command.startswith("api") else accept(command))

    node, peer = house.up(script)
    if answer == "no JSON at all":
        with pytest.raises(EslError, match="gave no JSON"):
            node.channel_dump(CHANNEL)
        return
    found = node.channel_dump(CHANNEL)
    assert peer.connections[0].commands[-1] == f"api uuid_dump {CHANNEL} json"
    if answer == "{}":
        assert found is not None
        assert (found["Answer-State"], found["variable_fsb_session"]) == ("answered", "abc")
    else:
        assert found is None


def test_errors_of_commands_are_the_clients_own(house: House) -> None:
    def script(connection: Connection) -> None:
        connection.log_in()
        for _ in range(SET_UP):
            connection.send(accept(connection.command()))
        connection.command()
        connection.reply("-ERR command not found")
        connection.command()
        late.wait(PATIENCE_S)
        connection.send(printed("too late"))
        connection.serve(accept)

    late = Flag()
    node, _ = house.up(script)
    with pytest.raises(CommandFailed, match="bogus"):
        node.command(Line("bogus"))
    with pytest.raises(CommandTimeout):
        node.api("status", timeout_s=0.05)
    late.set()
    assert node.api("status") == "api status"


def test_a_node_that_is_slow_to_say_what_it_has_is_taken_to_have_it(house: House) -> None:
    """An application that cannot be run says so itself; a question without an answer is no refusal."""
    said = Flag()

    def script(connection: Connection) -> None:
        connection.log_in()

        def answer(command: str) -> bytes:
            if command.startswith("api module_exists"):
                said.wait(PATIENCE_S)
                return printed("false")
            return printed(command.removeprefix("api echo ")) if command.startswith("api echo") else accept(command)

        connection.serve(answer)

    node, _ = house.up(script, command_timeout_s=0.2)
    assert node.has_module("mod_flite")
    said.set()
    assert not node.has_module("mod_flite")
    assert not node.has_module("mod_flite")
    assert house.told == ["up 1"]
