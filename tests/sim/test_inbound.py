"""Calls that come in to a simulated node: taken once, answered, run through their flow, or refused with a cause."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.main import Service
from fsbridge.esl.events import Event
from fsbridge.model.call import Call
from fsbridge.model.destination import Destination, DestinationKind
from fsbridge.model.ids import FlowId, OrgId
from fsbridge.model.request import CallRequest
from fsbridge.model.status import Status
from fsbridge.nodes.node import Node
from fsbridge.settings.inbound import InboundSettings
from fsbridge.settings.whole import Settings
from fsbridge.simulator import Simulator, parked, parse_script
from fsbridge.simulator.farends.dialplan import STOCK
from fsbridge.store.base import StoreError
from fsbridge.supervise import Supervisor
from tests.sim.simulator_helpers import Client
from tests.sim.stack import BROKEN_FLOW, FLOW, ORG, settings, simulated_node, until

pytestmark = pytest.mark.sim

SUPPORT, SALES, BROKEN, UNKNOWN = "+15550100200", "+15550100201", "+15550100202", "+15550100299"
CODE = "+15550100203"
LISTENS = parse_script("listens", "*", ["answer", {"silence": 60}])
NO_WORKERS = {"workers": 0, "urls": ["ws://127.0.0.1:1/amd"], "start_timeout_s": 0.01}

ASKS = """
steps:
  - id: hello
    play: tone_stream://%(200,0,600)
  - id: wait
    pause: 30
"""
ASKING_FLOW = "33333333-3333-4333-8333-333333333335"

TELLS = """
steps:
  - {id: breathe, pause: 0.5}
  - {id: code, send_dtmf: "4711"}
  - {id: wait, pause: 30}
"""
TELLING_FLOW = "33333333-3333-4333-8333-333333333336"

HEARS = """
steps:
  - {id: hear, gather: {variable: code, min: 4, max: 4, timeout: 10}}
  - {id: done, end: {result: {code: "{{ code }}"}}}
"""
HEARING_FLOW = "33333333-3333-4333-8333-333333333337"
FLOWS = {
    FLOW: "steps: [{id: bye, hangup: NORMAL_CLEARING}]",
    ASKING_FLOW: ASKS,
    TELLING_FLOW: TELLS,
    HEARING_FLOW: HEARS,
}


class House:
    """A running service, its node, and a listener that sees everything the node does."""

    def __init__(self, service: Service, simulator: Simulator, listener: Client) -> None:
        self.service = service
        self.simulator = simulator
        self.listener = listener

    @property
    def node(self) -> Node:
        return next(iter(self.service.pool))

    def call_in(self, number: str, script: Any = LISTENS, caller: str = "+15550199999") -> str:
        return self.simulator.call_in(number, script, caller=caller)

    def ended(self, channel: str) -> str:
        """The cause with which the channel ended."""
        return self.listener.wait_event("CHANNEL_HANGUP_COMPLETE", Unique_ID=channel).event["Hangup-Cause"]

    def call_of(self, channel: str) -> Call | None:
        """The live call on a channel."""
        found = [runner.call for runner in self.service.registry.all() if runner.call.channel == channel]
        return found[0] if found else None


MAPPED = tuple(
    InboundSettings.model_validate({"org": ORG, "flow": FLOW} | entry)
    for entry in (
        {"number": SUPPORT, "flow": ASKING_FLOW},
        {"key": "sales"},
        {"number": BROKEN, "flow": BROKEN_FLOW},
        {"number": CODE, "flow": TELLING_FLOW},
    )
)


def configured(folder: Path, port: int, mapped: tuple[InboundSettings, ...], **dialing: int) -> Settings:
    made = settings(folder, port, amd=NO_WORKERS, dialing=dialing)
    flows = folder / "flows" / ORG
    for flow, text in FLOWS.items():
        (flows / f"{flow}.yaml").write_text(text)
    return made.model_copy(update={"inbound": mapped})


@contextlib.contextmanager
def house(
    folder: Path,
    before: Callable[[Simulator], None] = lambda _: None,
    entries: tuple[InboundSettings, ...] = MAPPED,
    **dialing: int,
) -> Iterator[House]:
    extensions = (
        parked(SUPPORT, BROKEN, UNKNOWN, CODE, variables={"fsbridge_inbound": "main"}),
        parked(SALES, variables={"fsbridge_inbound": "sales"}),
    )
    supervisor = Supervisor()
    with simulated_node(dialplan=STOCK.with_first(*extensions)) as simulator:
        listener = Client(simulator.port, supervisor).login("plain ALL")
        before(simulator)
        service = Service(configured(folder, simulator.port, entries, **dialing))
        service.start()
        try:
            until(lambda: not service.calls.ready())
            yield House(service, simulator, listener)
        finally:
            service.stop()
            listener.close()
            supervisor.stop()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("inbound"), max_inbound_calls=2) as running:
        yield running


def test_a_call_is_answered_and_runs_its_flow(home: House) -> None:
    channel = home.call_in(SUPPORT)
    home.listener.wait_event("CHANNEL_ANSWER", Unique_ID=channel)
    call = until(lambda: home.call_of(channel))
    assert (call.org_id, call.flow_id, call.inbound, call.trunk) == (ORG, ASKING_FLOW, True, "inbound")
    assert (call.request.destination.value, call.request.caller_id) == (SUPPORT, "+15550199999")
    # The flow plays, and its events reach us through the node's filter.
    home.listener.wait_event("CHANNEL_EXECUTE", Unique_ID=channel, Application_Data="silence_stream://30000")
    dump = home.node.channel_dump(call.channel) or {}
    assert dump["variable_fsbridge_session"] == call.session_id
    assert dump["variable_fsbridge_node"] == "sim"
    home.listener.api(f"uuid_kill {channel}")
    until(lambda: home.call_of(channel) is None)
    ended = home.service.store.get(OrgId(ORG), call.session_id)
    assert ended is not None
    assert (ended.status, ended.failure, ended.inbound) == (Status.COMPLETED, None, True)
    assert len(home.service.inbound) == 0


def test_a_flow_that_hangs_up(home: House) -> None:
    channel = home.call_in(SALES)  # by its key
    assert home.ended(channel) == "NORMAL_CLEARING"
    home.listener.wait_event("CHANNEL_ANSWER", Unique_ID=channel)
    until(lambda: len(home.service.inbound) == 0)


def test_a_caller_who_hangs_up(home: House) -> None:
    channel = home.call_in(SUPPORT, parse_script("leaves", "*", ["answer", {"silence": 1}, "hangup"]))
    call = until(lambda: home.call_of(channel))
    assert home.ended(channel) == "NORMAL_CLEARING"
    until(lambda: home.call_of(channel) is None)
    ended = home.service.store.get(OrgId(ORG), call.session_id)
    assert ended is not None
    assert ended.status is Status.COMPLETED


@pytest.mark.parametrize(("number", "cause"), [(UNKNOWN, "UNALLOCATED_NUMBER"), (BROKEN, "NORMAL_TEMPORARY_FAILURE")])
def test_what_cannot_be_taken_is_refused_and_never_answered(home: House, number: str, cause: str) -> None:
    channel = home.call_in(number)
    assert home.ended(channel) == cause
    assert "CHANNEL_ANSWER" not in home.listener.names(channel)
    until(lambda: home.call_of(channel) is None)
    assert len(home.service.inbound) == 0


def test_a_call_is_taken_once(home: House) -> None:
    channel = home.call_in(SUPPORT)
    park = home.listener.wait_event("CHANNEL_PARK", Unique_ID=channel).event
    for _ in range(3):
        home.service.inbound.on_event(home.node, Event("CHANNEL_PARK", "", park))
    assert len(home.service.inbound) == 1
    home.listener.wait_event("CHANNEL_EXECUTE", Unique_ID=channel, Application="playback")
    assert home.service.inbound.after_reconnect(home.node) == 0  # its channel says that it is taken
    assert [runner.call.channel for runner in home.service.registry.all()] == [channel]
    home.listener.api(f"uuid_kill {channel}")
    until(lambda: len(home.service.inbound) == 0)


def test_more_than_the_limit_are_refused(home: House) -> None:
    taken = [home.call_in(SUPPORT) for _ in range(2)]
    for channel in taken:
        home.listener.wait_event("CHANNEL_ANSWER", Unique_ID=channel)
    assert home.ended(home.call_in(SUPPORT)) == "NORMAL_CIRCUIT_CONGESTION"
    for channel in taken:
        home.listener.api(f"uuid_kill {channel}")
    until(lambda: len(home.service.inbound) == 0)
    assert home.ended(home.call_in(SALES)) == "NORMAL_CLEARING"
    until(lambda: len(home.service.inbound) == 0)


def test_a_caller_who_was_gone_before_the_call_was_taken(home: House) -> None:
    gone = "d85c71b1-eeb7-49ab-b547-0ac40d3bd566"
    park = {"Unique-ID": gone, "Call-Direction": "inbound", "variable_fsbridge_inbound": "sales"}
    home.service.inbound.on_event(home.node, Event("CHANNEL_PARK", "", park))
    assert len(home.service.inbound) == 1
    until(lambda: len(home.service.inbound) == 0)
    assert home.call_of(gone) is None


def test_a_store_that_keeps_nothing(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(home.service.calls, "store", type("Full", (), {"save": full})())
    assert home.ended(home.call_in(SUPPORT)) == "NORMAL_TEMPORARY_FAILURE"
    until(lambda: len(home.service.inbound) == 0)


def test_a_service_that_is_shutting_down_takes_none(home: House) -> None:
    home.service.calls.draining = True
    try:
        assert home.ended(home.call_in(SUPPORT)) == "NORMAL_TEMPORARY_FAILURE"
    finally:
        home.service.calls.draining = False


def test_one_flow_calls_another(home: House) -> None:
    request = CallRequest(Destination(DestinationKind.NUMBER, CODE), caller_id=None)
    service = home.service.calls
    placed = service.place(service.settings.orgs[0], FlowId(HEARING_FLOW), request)
    ended = service.wait(placed.session_id, 15.0)
    assert ended is not None
    assert (ended.status, ended.flow_result) == (Status.COMPLETED, {"code": "4711"}), ended
    until(lambda: len(home.service.inbound) == 0)


def test_without_entries_such_calls_are_somebody_else_s(tmp_path: Path) -> None:
    with house(tmp_path, entries=()) as home:
        channel = home.call_in(SUPPORT)
        park = home.listener.wait_event("CHANNEL_PARK", Unique_ID=channel).event
        home.service.inbound.on_event(home.node, Event("CHANNEL_PARK", "", park))
        assert (len(home.service.inbound), home.service.inbound.refusing) == (0, 0)


def test_a_call_that_came_while_we_were_away(tmp_path: Path) -> None:
    waiting = []
    with house(tmp_path, lambda simulator: waiting.append(simulator.call_in(SALES, LISTENS))) as home:
        assert home.ended(waiting[0]) == "NORMAL_CLEARING"
        assert "CHANNEL_ANSWER" in home.listener.names(waiting[0])
