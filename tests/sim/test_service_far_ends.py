"""Whole calls whose far ends do what nobody asked for; whom the service dials at all, and as whom."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fsbridge.simulator.farends.book_file import parse_book, parse_script
from tests.sim.stack import FLOW, ORG, Stack, running, settings, simulated_node, until

pytestmark = pytest.mark.sim

WAITS, BRIDGES = FLOW[:-1] + "5", FLOW[:-1] + "6"
FLOWS = {
    WAITS: "steps: [{id: wait, pause: 300}, {id: more, pause: 300}]",
    BRIDGES: """
steps:
  - {id: on, bridge: {to: "+15550107302", timeout: 5}, on: {failed: kept}}
  - {id: moved, end: {result: {kept: false}}}
  - {id: kept, end: {result: {kept: true}}}
""",
}
BOOK = parse_book({"far_ends": [{"name": "anybody", "match": "*", "steps": ["answer", {"silence": 900}]}]}).with_first(
    parse_script("moves the call", "+15550107302", [{"ring": 0.2}, {"redirect": "+15550107001"}]),
    parse_script("vanishes", "+15550107000", ["answer", {"silence": 2}, "vanish"]),
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("far-ends")
    with simulated_node(far_ends=BOOK) as simulator:
        dialing = {"ring_timeout_s": 20, "media_timeout_s": 30}
        configuration = settings(folder, simulator.port, dialing=dialing, amd={"workers": 1})
        for flow, text in FLOWS.items():
            (folder / "flows" / ORG / f"{flow}.yaml").write_text(text)
        with running(configuration, simulator) as running_stack:
            yield running_stack


def test_a_call_that_is_redirected_has_failed_and_nobody_else_is_called(stack: Stack) -> None:
    resource = stack.place("+15550107302", mode="sync").json()
    assert (resource["status"], resource["hangup"]["cause"]) == ("Failed", "REQUESTED_CHAN_UNAVAIL"), resource


def test_a_bridge_that_is_redirected_has_failed_and_the_call_goes_on(stack: Stack) -> None:
    resource = stack.place("+15550107001", BRIDGES, mode="sync").json()
    assert (resource["status"], resource["flowResult"]) == ("Completed", {"kept": True}), resource


def test_a_far_end_that_vanished_does_not_hold_its_call_until_the_maximum(stack: Stack) -> None:
    """At ten times the speed: gone after 2 s, hung up 30 s later, where the flow would have waited for 600."""
    resource = stack.place("+15550107000", WAITS, mode="sync").json()
    assert resource["hangup"]["cause"] == "MEDIA_TIMEOUT", resource


@pytest.mark.parametrize(
    ("destination", "words"),
    [
        ("sips:alice@far.example", "asks for TLS, which trunk main has not"),
        ("sip:alice@far.example;transport=TLS", "asks for TLS, which trunk main has not"),
        ("sips:alice@far.example;transport=tcp", "is sips:, which goes over TLS"),
        ("sip:*72#@far.example", "is not a SIP URI that can be dialled"),
    ],
)
def test_what_cannot_be_dialled_as_it_is_asked_for_is_refused_at_the_post(
    stack: Stack, destination: str, words: str
) -> None:
    answer = stack.place(destination)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_DESTINATION")
    assert words in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("destination", "canonical"),
    [
        ("sip:*72@far.example;transport=TCP", "sip:*72@far.example;transport=tcp"),
        ("SIP:jos%c3%a9%2B1@Far.Example", "sip:jos%C3%A9+1@far.example"),
    ],
)
def test_sip_uris_come_to_the_node_in_one_spelling(stack: Stack, destination: str, canonical: str) -> None:
    placed = stack.place(destination, WAITS).json()
    assert placed["destinationNumber"] == canonical
    channels = stack.simulator.node.channels

    def live() -> object:
        return [channel for channel in channels.values() if canonical.removeprefix("sip:") in channel.name]

    until(live)
    assert [channel.caller_number for channel in channels.values()] == ["+15550100100"]
    stack.simulator.node.run_api("hupall")
    stack.ended(placed["sessionId"])
