"""The event socket's bytes as the simulated node reads and writes them."""

from __future__ import annotations

import json
from itertools import pairwise
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.simulator.protocol import wire
from fsbridge.simulator.protocol.events import Event, Format, Subscription
from tests.traces import loader

pytestmark = pytest.mark.unit

COMMANDS = (
    b"auth ClueCon\n\nevent plain ALL\n\n"
    b"sendmsg 1\ncall-command: execute\nContent-Length: 5\n\nh\xc3\xa9\n\nbgapi status\r\nJob-UUID: j\r\n\r\n"
)


@given(st.lists(st.integers(0, len(COMMANDS)), max_size=8))
def test_commands_are_the_same_however_they_are_cut(cuts: list[int]) -> None:
    reader = wire.CommandReader()
    places = [0, *sorted(cuts), len(COMMANDS)]
    pieces = [COMMANDS[a:b] for a, b in pairwise(places)]
    commands = [command for piece in pieces for command in reader.receive_data(piece)]
    assert [command.line for command in commands] == ["auth ClueCon", "event plain ALL", "sendmsg 1", "bgapi status"]
    assert commands[2].body == "hé\n\n"
    assert commands[3].headers == {"job-uuid": "j"}
    assert commands[1].verb == "event"
    assert commands[1].argument == "plain ALL"


@given(st.binary(max_size=300))
def test_any_bytes_are_commands_or_nothing(data: bytes) -> None:
    for command in wire.CommandReader().receive_data(data):
        assert command.line == command.line.strip()


@pytest.mark.parametrize("data", [b"x" * (wire.MAX_COMMAND_BYTES + 1), b"a\ncontent-length: 99999999\n\n"])
def test_too_long_a_command_is_refused(data: bytes) -> None:
    with pytest.raises(wire.CommandTooLong):
        wire.CommandReader().receive_data(data)


def test_a_length_that_is_no_length_is_none() -> None:
    assert wire.CommandReader().receive_data(b"a\ncontent-length: minus one\n\n")[0].body == ""


@pytest.mark.parametrize(("text", "number"), [("7", 7), ("", None), ("-1", None), ("9" * 11, None), ("٣", None)])
def test_whole_numbers(text: str, number: int | None) -> None:
    assert wire.whole(text) == number


@given(st.text())
def test_an_escaped_value_is_one_safe_line_and_reads_back(value: str) -> None:
    encoded = value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    escaped = wire.escape(encoded)
    assert escaped.isascii()
    assert "\n" not in escaped
    assert ":" not in escaped
    assert unquote(escaped) == encoded


def test_values_are_escaped_as_freeswitch_does() -> None:
    seen = 0
    for name in loader.names()[:6]:
        for raw in loader.received(name):
            if b"text/event-plain" not in raw[:60]:
                continue
            headers = raw.split(b"\n\n")[1].decode().split("\n")
            for line in headers:
                value = line.partition(": ")[2]
                assert wire.escape(unquote(value)) == value
                seen += 1
    assert seen > 1000


def test_a_frame_is_as_long_as_it_says() -> None:
    for body in (None, "", "+OK grüß\n"):
        for encode in (wire.plain_event, wire.json_event):
            raw = encode([("Event-Name", "X"), ("variable_a", "b\nEvent-Name: FORGED")], body)
            head, _, rest = raw.partition(b"\n\n")
            assert int(head.split(b"\n")[0].removeprefix(b"Content-Length: ")) == len(rest)
            assert rest.count(b"Event-Name: FORGED") == (1 if encode is wire.json_event else 0)


def test_text_that_is_not_utf8_goes_out_as_it_came() -> None:
    broken = b"\xff\xfe".decode("utf-8", "surrogateescape")
    assert wire.escape(broken) == "%FF%FE"
    frame = wire.json_event([("a", broken), ("b", "ü\n")], None)
    assert frame.partition(b"\n\n")[2] == b'{"a":"\xff\xfe","b":"\xc3\xbc\\n"}'


# Subscriptions


def event(name: str, subclass: str = "", **headers: str) -> Event:
    pairs = [("Event-Name", name), *((key.replace("_", "-"), value) for key, value in headers.items())]
    return Event(name, subclass, pairs, None)


def test_names_and_subclasses_are_heard_as_asked() -> None:
    subscription = Subscription()
    assert not subscription.subscribe("plain")
    assert subscription.subscribe("json dtmf CUSTOM a::b")
    assert subscription.format is Format.JSON
    assert subscription.wants_name("DTMF")
    assert subscription.wants(event("CUSTOM", "a::b"))
    assert not subscription.wants(event("CUSTOM", "a::c"))
    assert not subscription.wants(event("API"))
    subscription.unsubscribe("DTMF a::b")
    assert not subscription.wants(event("DTMF"))
    assert subscription.subscribe("plain all")
    assert subscription.wants(event("CUSTOM", "a::c"))
    subscription.clear()
    assert not subscription.wants_name("DTMF")


def test_filters_are_ored_and_an_exclusion_stands() -> None:
    subscription = Subscription(everything=True, filters=[("Event-Name", "A"), ("Node", "n1"), ("Secret", "-yes")])
    assert subscription.wants(event("A"))
    assert subscription.wants(event("B", Node="N1"))
    assert not subscription.wants(event("B"))
    assert not subscription.wants(event("B", Node="n2"))
    subscription.filters = [("Secret", "-yes"), ("Event-Name", "A")]
    assert not subscription.wants(event("A", Secret="yes"))
    subscription.remove_filter("Secret", "-no")
    assert len(subscription.filters) == 2
    subscription.remove_filter("secret", "")
    assert subscription.filters == [("Event-Name", "A")]
    subscription.remove_filter("all", "")
    assert subscription.filters == []


def test_an_event_is_encoded_once_in_each_form() -> None:
    one = event("A", Node="n1")
    assert one.encode(Format.PLAIN) is one.encode(Format.PLAIN)
    assert json.loads(one.encode(Format.JSON).partition(b"\n\n")[2])["Node"] == "n1"
