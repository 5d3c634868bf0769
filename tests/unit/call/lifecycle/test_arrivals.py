"""Calls that come in: what is one, and which flow takes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.call.lifecycle.arrivals import InboundCall, find_entry, read, recognise
from fsbridge.esl.events import Event, decode
from fsbridge.esl.framing import FrameDecoder
from fsbridge.model.ids import ChannelUuid
from fsbridge.settings.inbound import InboundSettings
from tests.traces import loader

pytestmark = pytest.mark.unit

CHANNEL = ChannelUuid("d85c71b1-eeb7-49ab-b547-0ac40d3bd566")
ORG = "22222222-2222-4222-8222-222222222222"
WAITING = {
    "Unique-ID": CHANNEL,
    "Call-Direction": "inbound",
    "Answer-State": "ringing",
    "Caller-Caller-ID-Number": "+15550199999",
    "Caller-Destination-Number": "+15550100200",
    "variable_fsbridge_inbound": "support",
}
CALL = InboundCall(CHANNEL, "+15550100200", "+15550199999", "support")


def recorded(name: str) -> list[Event]:
    """The park events of a recording."""
    decoder, found = FrameDecoder(), []
    for raw in loader.received(name):
        if b"CHANNEL_PARK" in raw:
            decoder.receive_data(raw)
            found += [message for frame in decoder.frames() if isinstance(message := decode(frame), Event)]
    return found


def test_the_recorded_call_is_recognised_once() -> None:
    found = [call for event in recorded("inbound_call_parked") if (call := recognise(event)) is not None]
    (call,) = found
    assert (call.number, call.key, call.caller) == ("inbound-1000", "1000", "0000000000")


def test_no_other_recorded_channel_is_taken_for_one() -> None:
    others = [event for name in loader.names() if name != "inbound_call_parked" for event in recorded(name)]
    assert len(others) > 10
    assert [event for event in others if recognise(event) is not None] == []


def test_what_a_waiting_channel_says() -> None:
    assert read(WAITING) == CALL
    assert recognise(Event("CHANNEL_PARK", "", WAITING)) == CALL
    assert recognise(Event("CHANNEL_CREATE", "", WAITING)) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"Call-Direction": "outbound"},
        {"variable_fsbridge_inbound": ""},
        {"variable_fsbridge_session": "x"},  # taken before, or dialled by us
        {"Answer-State": "hangup"},
        {"Unique-ID": "no uuid"},
        {"Unique-ID": f"{CHANNEL}\napi"},
    ],
)
def test_what_is_not_ours_to_take(changes: dict[str, str]) -> None:
    assert read(WAITING | changes) is None


@pytest.mark.parametrize("missing", ["Unique-ID", "Call-Direction", "variable_fsbridge_inbound"])
def test_headers_that_have_to_be_there(missing: str) -> None:
    assert read({name: value for name, value in WAITING.items() if name != missing}) is None


@pytest.mark.parametrize(
    ("header", "value", "expected"),
    [
        ("Caller-Caller-ID-Number", "anonymous", InboundCall(CHANNEL, "+15550100200", None, "support")),
        ("Caller-Caller-ID-Number", "", InboundCall(CHANNEL, "+15550100200", None, "support")),
        ("Caller-Destination-Number", "a b;c", InboundCall(CHANNEL, "", "+15550199999", "support")),
        ("variable_fsbridge_inbound", "${x}", InboundCall(CHANNEL, "+15550100200", "+15550199999", "")),
        ("variable_fsbridge_inbound", "+1555", InboundCall(CHANNEL, "+15550100200", "+15550199999", "+1555")),
    ],
)
def test_what_cannot_be_used_counts_as_none(header: str, value: str, expected: InboundCall) -> None:
    assert read(WAITING | {header: value}) == expected


@given(st.dictionaries(st.sampled_from([*WAITING, "variable_fsbridge_session"]), st.text(max_size=80)))
def test_whatever_a_caller_sends_stays_harmless(changes: dict[str, str]) -> None:
    call = read(WAITING | changes)
    if call is not None:
        for text in (call.number, call.caller or "", call.key):
            assert text.isascii()
            assert not set(text) & set(" \r\n\t;,'\"${}[]|&\\=<>%")


# --- which flow ----------------------------------------------------------------------------------------


def entry(flow: int, **fields: str) -> InboundSettings:
    return InboundSettings.model_validate({"org": ORG, "flow": f"33333333-3333-4333-8333-33333333333{flow}", **fields})


EVERYTHING = entry(0, number="*")
COUNTRY = entry(1, number="+1*")
BLOCK = entry(2, number="155501*")
WHOLE = entry(3, number="15550100200")
KEYED = entry(4, key="support")
KEYED_WHOLE = entry(5, key="support", number="+15550100200")
HERE = entry(6, number="15550100200", node="fs1")
ALL = (EVERYTHING, COUNTRY, BLOCK, WHOLE, KEYED, KEYED_WHOLE, HERE)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ((), None),
        ((KEYED,), KEYED),
        ((EVERYTHING, KEYED), KEYED),
        ((EVERYTHING, COUNTRY), COUNTRY),
        ((COUNTRY, KEYED), COUNTRY),
        ((BLOCK, COUNTRY), BLOCK),
        ((BLOCK, WHOLE), WHOLE),
        ((WHOLE, HERE), HERE),
        ((HERE, KEYED_WHOLE), KEYED_WHOLE),
        ((entry(7, number="+1666*"), entry(8, key="sales"), entry(9, number="*", node="fs2")), None),
    ],
)
def test_the_entry_that_says_most(entries: tuple[InboundSettings, ...], expected: InboundSettings | None) -> None:
    assert find_entry(entries, CALL, "fs1") is expected
    assert find_entry(entries[::-1], CALL, "fs1") is expected


def test_a_call_without_a_usable_number_is_for_its_key_or_for_what_takes_everything() -> None:
    call = InboundCall(CHANNEL, "", None, "support")
    assert find_entry(ALL, call, "fs1") is KEYED
    assert find_entry(ALL, InboundCall(CHANNEL, "", None, ""), "fs1") is EVERYTHING
    assert find_entry(ALL[1:], InboundCall(CHANNEL, "", None, ""), "fs1") is None


@given(st.lists(st.sampled_from(ALL), max_size=7, unique_by=id), st.sampled_from(["fs1", "fs2"]))
def test_the_order_of_entries_makes_no_difference(entries: list[InboundSettings], node: str) -> None:
    assert find_entry(entries, CALL, node) is find_entry(reversed(entries), CALL, node)
