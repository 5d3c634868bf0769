"""Several legs on the simulator: calls that come in, bridges, conferences, transfers, and who hears what.

The recordings hold the course of an inbound call, a bridge and a lonely conference (test_simulator_trace_legs); what no
recording shows has that in its name.
"""

from __future__ import annotations

import numpy as np
import pytest
from structlog.testing import capture_logs

from fsbridge.simulator import CallerGone, FarEndBook, parse_script
from fsbridge.simulator.audio.lines import RATE
from fsbridge.simulator.farends.book_file import parse_book
from fsbridge.simulator.farends.dialplan import DEFAULT, STOCK, Extension, parked
from fsbridge.simulator.switch.channel import Channel
from tests.sim.simulator_helpers import Bench, bench

pytestmark = pytest.mark.sim

A = "aaaaaaaa-0000-4000-8000-000000000001"
B = "bbbbbbbb-0000-4000-8000-000000000002"
C = "cccccccc-0000-4000-8000-000000000003"
TONE = "tone_stream://%(600,0,440)"
DIALPLAN = STOCK.with_first(
    parked("1999", variables={"fsbridge_inbound": "support", "greeting": "you called ${destination_number}"}),
    Extension(("1800",), (("ring_ready", ""), ("pre_answer", ""), ("sleep", "1000"), ("respond", "486 busy"))),
    Extension(("1801",), (("sleep", "60000"),)),
    Extension(("music",), (("playback", TONE), ("hangup", "USER_BUSY")), DEFAULT),
)


def book(*far_ends: tuple[str, list[object]]) -> FarEndBook:
    return FarEndBook(tuple(parse_script(number, number, steps) for number, steps in far_ends))


def channel(b: Bench, uuid: str) -> Channel:
    return b.simulator.node.channels[uuid]


def loudness(pcm: bytes, hz: float) -> float:
    """How much of this frequency is in the sound, 0 to 1 of its energy."""
    samples = np.frombuffer(pcm, "<i2").astype(float)
    if not samples.any():
        return 0.0
    power = np.abs(np.fft.rfft(samples)) ** 2
    near = np.abs(np.fft.rfftfreq(len(samples), 1 / RATE) - hz) < 30
    return float(power[near].sum() / power.sum())


def last(b: Bench, uuid: str, seconds: float) -> bytes:
    """What this leg's far side has been heard to play just now."""
    leg = channel(b, uuid)
    count = int(seconds * RATE)
    return leg.heard.read(leg.sample() - count, count)


def response(b: Bench, identity: str) -> dict[str, str]:
    return b.client.wait_event("CHANNEL_EXECUTE_COMPLETE", Application_UUID=identity).event


def other_leg(b: Bench, direction: str, number: str) -> str:
    """The channel in this direction to this number."""
    return next(
        frame.event["Unique-ID"]
        for frame in b.client.events
        if frame.name == "CHANNEL_CREATE"
        and frame.event["Call-Direction"] == direction
        and frame.event["Caller-Destination-Number"] == number
    )


# Calls that come in


def test_a_scripted_caller_is_parked_with_the_dialplans_variables_and_driven_like_our_calls() -> None:
    caller = parse_script("caller", "*", [{"ring": 20}, {"dtmf": "7"}, {"tone": {"hz": 440, "seconds": 2}}, "hangup"])
    with bench(dialplan=DIALPLAN) as b:
        uuid = b.simulator.call_in("+1999", caller, caller="+15550123")
        b.advance(0.2)
        parked_event = b.client.wait_event("CHANNEL_PARK", Unique_ID=uuid).event
        assert parked_event["Call-Direction"] == "inbound"
        assert parked_event["Answer-State"] == "ringing"
        assert parked_event["variable_fsbridge_inbound"] == "support"
        assert parked_event["variable_greeting"] == "you called +1999"
        assert parked_event["Caller-Caller-ID-Number"] == "+15550123"
        assert parked_event["Caller-Destination-Number"] == "+1999"
        b.execute(uuid, "answer", "", "a")
        b.advance(0.2)
        assert response(b, "a")["Answer-State"] == "answered"
        b.advance(1)
        assert b.client.wait_event("DTMF", Unique_ID=uuid).event["DTMF-Digit"] == "7"
        assert loudness(last(b, uuid, 0.5), 440) > 0.9
        b.advance(2)
        done = b.client.wait_event("CHANNEL_HANGUP_COMPLETE", Unique_ID=uuid).event
        assert done["Hangup-Cause"] == "NORMAL_CLEARING"
        assert done["variable_sip_hangup_disposition"] == "recv_bye"


def test_a_caller_who_is_not_answered_gives_up_as_in_no_trace() -> None:
    caller = parse_script("caller", "*", [{"ring": 3}, "hangup"])
    with bench(dialplan=DIALPLAN) as b:
        uuid = b.simulator.call_in("1999", caller)
        b.advance(4)
        done = b.client.wait_event("CHANNEL_HANGUP_COMPLETE", Unique_ID=uuid).event
        assert done["Hangup-Cause"] == "ORIGINATOR_CANCEL"
        assert done["variable_sip_hangup_disposition"] == "recv_cancel"


@pytest.mark.parametrize("first", [["answer"], []])
def test_a_caller_waits_for_the_answer_before_it_speaks(first: list[object]) -> None:
    caller = parse_script("caller", "*", [*first, {"speak": "hello there"}, {"reject": 480}])
    with bench(dialplan=DIALPLAN) as b:
        uuid = b.simulator.call_in("1999", caller)
        b.advance(5)
        assert not any(last(b, uuid, 5))
        b.execute(uuid, "answer", "", "a")
        b.advance(1)
        assert any(last(b, uuid, 1))
        assert b.client.wait_event("CHANNEL_ANSWER", Unique_ID=uuid)
        b.advance(2)
        assert b.client.wait_event("CHANNEL_HANGUP", Unique_ID=uuid).event["Hangup-Cause"] == "NORMAL_CLEARING"


def test_nobody_calls_in_to_a_number_without_an_extension_or_a_paused_node() -> None:
    caller = parse_script("caller", "*", ["answer"])
    with bench(dialplan=DIALPLAN) as b:
        with pytest.raises(CallerGone, match="no such number"):
            b.simulator.call_in("4711", caller)
        b.client.api("fsctl pause")
        with pytest.raises(CallerGone, match="paused"):
            b.simulator.call_in("1999", caller)
        assert b.simulator.node.channels == {}


def test_playing_to_an_unanswered_caller_is_early_media_as_in_no_trace() -> None:
    caller = parse_script("caller", "*", [{"silence": 60}])
    with bench(dialplan=DIALPLAN) as b:
        uuid = b.simulator.call_in("1999", caller)
        b.advance(0.2)
        b.execute(uuid, "playback", TONE, "p")
        b.advance(1)
        assert response(b, "p")["Answer-State"] == "early"
        assert b.client.wait_event("CHANNEL_PROGRESS_MEDIA", Unique_ID=uuid)


def test_the_service_refuses_a_caller_with_a_status_as_in_no_trace() -> None:
    with bench(dialplan=DIALPLAN) as b:
        uuid = b.simulator.call_in("1999", parse_script("caller", "*", ["answer"]))
        b.advance(0.2)
        b.execute(uuid, "respond", "603", "r")
        b.advance(0.2)
        done = b.client.wait_event("CHANNEL_HANGUP_COMPLETE", Unique_ID=uuid).event
        assert done["Hangup-Cause"] == "CALL_REJECTED"
        assert done["variable_sip_hangup_disposition"] == "send_refuse"


def test_callers_of_a_file_call_in_by_themselves_and_again() -> None:
    callers = [
        {"to": "1999", "from": "+15550123", "after": 5, "every": 10, "steps": [{"ring": 2}, "hangup"]},
        {"to": "4711", "steps": ["answer"]},
    ]
    book = parse_book({"far_ends": [{"name": "x", "match": "1", "steps": ["busy"]}], "callers": callers})
    with capture_logs() as logs, bench(dialplan=DIALPLAN, far_ends=FarEndBook(()).with_book(book)) as b:
        b.advance(30)
        came = [f.event["Caller-Caller-ID-Number"] for f in b.client.events if f.name == "CHANNEL_PARK"]
        assert came == ["+15550123"] * 3
    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == ["simulator_caller_gone"]


def test_an_echo_is_heard_by_the_other_side_and_can_be_broken_off_as_in_no_trace() -> None:
    with bench(far_ends=PAIR) as b:
        up(b)
        b.execute(A, "echo", "", "e")
        b.advance(0.5)
        leg = channel(b, A)
        assert loudness(leg.said.read(leg.sample() - 2000, 2000), 440) > 0.9
        b.client.api(f"uuid_break {A}")
        b.advance(0.3)
        assert response(b, "e")
        assert not leg.said.playing_at(leg.sample())


# Calls that come back


def test_one_leg_hears_what_the_other_plays_and_digits_cross_both_ways() -> None:
    with bench(dialplan=DIALPLAN) as b:
        b.originate("1999", A)
        b.advance(0.5)
        back = other_leg(b, "inbound", "1999")
        assert b.client.api(f"uuid_exists {back}") == "true"
        b.execute(back, "answer", "", "a")
        b.advance(0.2)
        assert b.result(A) == f"+OK {A}\n"
        b.execute(A, "playback", "tone_stream://%(1000,0,440)", "out")
        b.execute(back, "playback", "tone_stream://%(1000,0,700)", "back")
        b.advance(0.8)
        assert loudness(last(b, back, 0.5), 440) > 0.9
        assert loudness(last(b, A, 0.5), 700) > 0.9
        b.advance(0.5)
        b.execute(A, "send_dtmf", "12#", "d")
        b.client.api(f"uuid_send_dtmf {back} 9")
        b.advance(2)
        digits = [(f.event["Unique-ID"], f.event["DTMF-Digit"]) for f in b.client.events if f.name == "DTMF"]
        assert sorted(digits) == sorted([(back, "1"), (back, "2"), (back, "#"), (A, "9")])
        b.client.api(f"uuid_kill {A} USER_BUSY")
        b.advance(0.3)
        assert b.client.wait_event("CHANNEL_HANGUP_COMPLETE", Unique_ID=back).event["Hangup-Cause"] == "USER_BUSY"


def test_one_flow_gathers_what_the_other_presses_and_records_what_it_says() -> None:
    with bench(dialplan=DIALPLAN) as b:
        b.originate("1999", A)
        b.advance(0.5)
        back = other_leg(b, "inbound", "1999")
        b.execute(back, "answer", "", "a")
        b.advance(0.2)
        b.execute(back, "play_and_get_digits", f"1 4 1 3000 # {TONE} silence_stream://100 choice \\d+ 1000", "g")
        b.advance(1)
        b.execute(A, "send_dtmf", "42#", "d")
        b.advance(2)
        assert response(b, "g")["variable_choice"] == "42"
        b.execute(back, "record", "/x.wav 20 200 2", "r")
        b.execute(A, "speak", "flite|slt|some words to be recorded", "s")
        b.advance(8)
        assert int(response(b, "r")["variable_record_ms"]) > 3000


def test_what_the_dialplan_does_before_the_answer_crosses_to_the_calling_leg_as_in_no_trace() -> None:
    with bench(dialplan=DIALPLAN) as b:
        b.originate("1800", A)
        b.advance(2)
        assert b.result(A) == "-ERR USER_BUSY\n"
        names = b.client.names(A)
        assert names.index("CHANNEL_PROGRESS") < names.index("CHANNEL_PROGRESS_MEDIA") < names.index("CHANNEL_HANGUP")
        done = b.client.wait_event("CHANNEL_HANGUP_COMPLETE", Unique_ID=A).event
        assert done["variable_sip_term_status"] == "486"
        back = other_leg(b, "inbound", "1800")
        assert b.client.wait_event("CHANNEL_HANGUP_COMPLETE", Unique_ID=back).event["Hangup-Cause"] == "USER_BUSY"


def test_a_cancelled_call_ends_the_leg_that_came_back_and_a_full_node_takes_none_as_in_no_trace() -> None:
    with bench(dialplan=DIALPLAN) as b:
        b.originate("1801", A)
        b.advance(0.5)
        back = other_leg(b, "inbound", "1801")
        b.client.api(f"uuid_kill {A} ORIGINATOR_CANCEL")
        b.advance(0.5)
        assert b.client.wait_event("CHANNEL_HANGUP", Unique_ID=back).event["Hangup-Cause"] == "ORIGINATOR_CANCEL"
    with bench(dialplan=DIALPLAN, max_sessions=1) as b:
        b.originate("1801", A)
        b.advance(0.5)
        assert b.result(A) == "-ERR NORMAL_TEMPORARY_FAILURE\n"


def test_the_built_in_book_leads_numbers_back_to_the_node() -> None:
    with bench() as b:
        b.originate("+15550190001", A)
        b.advance(0.5)
        back = other_leg(b, "inbound", "+15550190001")
        event = b.client.wait_event("CHANNEL_PARK", Unique_ID=back).event
        assert event["variable_fsbridge_inbound"] == "+15550190001"


# Bridges


PAIR = book(
    ("1555", ["answer", {"tone": {"hz": 440, "seconds": 60}}]),
    (
        "1777",
        [
            {"ring": 1},
            "answer",
            {"wait_dtmf": {"digits": 1, "seconds": 20}},
            {"tone": {"hz": 700, "seconds": 2}},
            "hangup",
        ],
    ),
    ("1486", ["busy"]),
    ("1183", ["early_media", {"tone": {"hz": 900, "seconds": 2}}, "answer", {"silence": 9}]),
    ("1999", [{"ring": 0}, "never_answer"]),
)


def up(b: Bench, number: str = "1555", uuid: str = A, variables: str = "") -> None:
    b.originate(number, uuid, variables)
    b.advance(0.5)
    assert b.client.wait_event("CHANNEL_PARK", Unique_ID=uuid)


def test_bridged_legs_hear_each_other_in_sound_and_digits_as_in_no_trace() -> None:
    with bench(far_ends=PAIR) as b:
        up(b)
        b.execute(A, "bridge", "{origination_caller_id_number=4711}sofia/gateway/carrier/1777", "br")
        b.advance(1.6)
        second = other_leg(b, "outbound", "1777")
        created = b.client.wait_event("CHANNEL_CREATE", Unique_ID=second).event
        assert created["Caller-Caller-ID-Number"] == "4711"
        assert b.client.wait_event("CHANNEL_BRIDGE", Bridge_B_Unique_ID=second)
        leg = channel(b, second)
        assert loudness(leg.said.read(leg.sample() - 2000, 2000), 440) > 0.9
        b.client.api(f"uuid_recv_dtmf {A} 5")
        b.advance(1)
        first = channel(b, A)
        assert loudness(first.said.read(first.sample() - 2000, 2000), 700) > 0.9
        b.advance(2)
        assert response(b, "br")["variable_bridge_hangup_cause"] == "NORMAL_CLEARING"
        assert b.client.api(f"uuid_exists {A}") == "true"
        assert not first.said.playing_at(first.sample())


def test_a_bridge_may_end_the_call_with_the_second_leg_as_in_no_trace() -> None:
    with bench(far_ends=PAIR) as b:
        up(b, variables="hangup_after_bridge=true")
        b.execute(A, "bridge", "sofia/gateway/carrier/1777", "br")
        b.advance(1.6)
        b.client.api(f"uuid_kill {other_leg(b, 'outbound', '1777')} CALL_REJECTED")
        b.advance(0.3)
        assert b.client.wait_event("CHANNEL_HANGUP_COMPLETE", Unique_ID=A).event["Hangup-Cause"] == "CALL_REJECTED"


def test_a_caller_who_hangs_up_takes_the_second_leg_along_ringing_or_bridged_as_in_no_trace() -> None:
    with bench(far_ends=PAIR) as b:
        for wait, uuid, cause in ((0.4, A, "ORIGINATOR_CANCEL"), (1.6, B, "USER_BUSY")):
            b.client.events.clear()
            up(b, uuid=uuid)
            b.execute(uuid, "bridge", "sofia/gateway/carrier/1777", f"br{wait}")
            b.advance(wait)
            b.client.api(f"uuid_kill {uuid} USER_BUSY")
            b.advance(0.3)
            second = other_leg(b, "outbound", "1777")
            assert b.client.wait_event("CHANNEL_HANGUP_COMPLETE", Unique_ID=second).event["Hangup-Cause"] == cause
            assert b.client.wait_event("CHANNEL_HANGUP_COMPLETE", Unique_ID=uuid)


@pytest.mark.parametrize(
    ("target", "cause", "dialstatus"),
    [
        ("sofia/gateway/carrier/1486", "USER_BUSY", "BUSY"),
        ("{originate_timeout=2}sofia/gateway/carrier/1999", "NO_ANSWER", "NOANSWER"),
        ("sofia/gateway/nosuch/1", "INVALID_GATEWAY", "CHANUNAVAIL"),
        ("sofia/gateway/dead/1", "NORMAL_TEMPORARY_FAILURE", "NORMAL_TEMPORARY_FAILURE"),
        ("nonsense", "CHAN_NOT_IMPLEMENTED", "CHAN_NOT_IMPLEMENTED"),
    ],
)
def test_a_bridge_that_fails_leaves_the_call_up_when_told_to_as_in_no_trace(
    target: str, cause: str, dialstatus: str
) -> None:
    with bench(far_ends=PAIR) as b:
        up(b, variables="continue_on_fail=true")
        b.execute(A, "bridge", target, "br")
        b.advance(3)
        done = response(b, "br")
        assert done["variable_originate_disposition"] == done["variable_last_bridge_hangup_cause"] == cause
        assert done["variable_DIALSTATUS"] == dialstatus
        assert done["Channel-Call-State"] == "ACTIVE"
        assert b.client.api(f"uuid_exists {A}") == "true"


def test_legs_are_tried_in_order_until_one_answers_as_in_no_trace() -> None:
    with bench(far_ends=PAIR) as b:
        up(b)
        legs = "sofia/gateway/dead/1777|sofia/gateway/nosuch/1777|sofia/gateway/carrier/1777"
        b.execute(A, "bridge", f"{{^^;originate_timeout=5;fsbridge_session=x}}{legs}", "br")
        b.advance(2)
        bridged = b.client.wait_event("CHANNEL_BRIDGE").event
        causes = bridged["variable_originate_causes"].removeprefix("ARRAY::").split("|:")
        assert [cause.partition(";")[2] for cause in causes] == ["NORMAL_TEMPORARY_FAILURE", "INVALID_GATEWAY", "NONE"]
        assert bridged["variable_originate_disposition"] == "SUCCESS"


def test_a_cause_that_is_final_ends_the_trying_as_in_no_trace() -> None:
    with bench(far_ends=PAIR) as b:
        up(b, variables="continue_on_fail=true")
        legs = "sofia/gateway/carrier/1486|sofia/gateway/carrier/1777"
        b.execute(A, "bridge", f"{{^^;fail_on_single_reject=USER_BUSY,CALL_REJECTED}}{legs}", "br")
        b.advance(2)
        assert response(b, "br")["variable_originate_disposition"] == "USER_BUSY"
        b.execute(A, "bridge", "sofia/gateway/carrier/1777,sofia/gateway/carrier/1555", "both")
        b.advance(0.2)
        assert response(b, "both")["variable_originate_disposition"] == "CHAN_NOT_IMPLEMENTED"


def test_only_the_causes_that_are_named_let_the_call_go_on_as_in_no_trace() -> None:
    with bench(far_ends=PAIR) as b:
        for uuid, allowed, goes_on in ((A, "user_busy", "true"), (B, "NO_ANSWER", "false")):
            up(b, uuid=uuid)
            b.client.api(f"uuid_setvar {uuid} continue_on_fail {allowed}")
            b.execute(uuid, "bridge", "sofia/gateway/carrier/1486", f"br-{uuid}")
            b.advance(0.5)
            assert b.client.api(f"uuid_exists {uuid}") == goes_on


def test_early_media_and_ringback_are_heard_while_the_second_leg_rings_as_in_no_trace() -> None:
    with bench(far_ends=PAIR) as b:
        b.originate("1555", A, "transfer_ringback=tone_stream://%(60000/0/500)")
        up(b, uuid=B)
        b.client.api(f"uuid_setvar {B} transfer_ringback %(60000,0,500)")
        b.client.api(f"uuid_setvar {B} ignore_early_media false")
        b.execute(B, "bridge", "sofia/gateway/carrier/1777", "br")
        b.advance(0.6)
        leg = channel(b, B)
        assert loudness(leg.said.read(leg.sample() - 2000, 2000), 500) > 0.9
        b.advance(1)
        assert loudness(leg.said.read(leg.sample() - 2000, 2000), 500) < 0.1
        up(b, uuid=C)
        b.client.api(f"uuid_setvar {C} transfer_ringback no-such-file.wav")
        b.client.api(f"uuid_setvar {C} ignore_early_media false")
        b.execute(C, "bridge", "sofia/gateway/carrier/1183", "br2")
        b.advance(1)
        leg = channel(b, C)
        assert loudness(leg.said.read(leg.sample() - 2000, 2000), 900) > 0.9


def test_what_is_played_into_a_bridge_is_heard_and_then_the_other_again_as_in_no_trace() -> None:
    with bench(far_ends=PAIR) as b:
        up(b)
        b.execute(A, "bridge", "sofia/gateway/carrier/1555", "br")
        b.advance(0.5)
        b.execute(A, "playback", "tone_stream://%(1000,0,1200)", "p")
        b.advance(0.5)
        leg = channel(b, A)
        assert loudness(leg.said.read(leg.sample() - 2000, 2000), 1200) > 0.9
        b.advance(1)
        assert loudness(leg.said.read(leg.sample() - 2000, 2000), 440) > 0.9
        assert response(b, "p")["Application-Response"] == "FILE PLAYED"


def test_two_existing_calls_are_bridged_by_command_and_refused_when_one_is_gone() -> None:
    with bench(far_ends=PAIR) as b:
        up(b)
        up(b, "1555", B)
        assert b.client.api(f"uuid_bridge {A} {C}") == "-ERR Invalid uuid\n"
        assert b.client.api(f"uuid_bridge {A} {A}") == "-ERR Invalid uuid\n"
        assert b.client.api(f"uuid_bridge {A}").startswith("-USAGE")
        assert b.client.api(f"uuid_bridge {A} {B}") == f"+OK {B}\n"
        b.advance(0.3)
        leg = channel(b, B)
        assert loudness(leg.said.read(leg.sample() - 1000, 1000), 440) > 0.9
        b.client.api(f"uuid_kill {A}")
        b.advance(0.3)
        assert b.client.wait_event("CHANNEL_HANGUP_COMPLETE", Unique_ID=B)
        assert b.simulator.node.channels == {}


def test_a_leg_that_ends_on_its_way_into_a_bridge_by_command_ends_both_as_in_no_trace() -> None:
    with bench(far_ends=PAIR) as b:
        up(b)
        up(b, uuid=B)
        b.client.api(f"uuid_bridge {A} {B}")
        b.client.api(f"uuid_kill {B}")
        b.advance(0.5)
        assert b.simulator.node.channels == {}


# Conferences


def test_everybody_in_a_conference_hears_everybody_else_as_in_no_trace() -> None:
    tones = book(*((f"1{hz}", ["answer", {"tone": {"hz": hz, "seconds": 60}}]) for hz in (440, 700, 1200)))
    with bench(far_ends=tones) as b:
        for number, uuid in (("1440", A), ("1700", B), ("11200", C)):
            up(b, number, uuid)
            b.execute(uuid, "conference", "room@wide+flags{mute}", f"in-{uuid}")
            b.advance(0.2)
        listing = b.client.api("conference room list").splitlines()
        assert [line.split(";")[2] for line in listing] == [A, B, C]
        assert listing[0].split(";")[5] == "hear|speak|floor"
        leg = channel(b, A)
        heard = leg.said.read(leg.sample() - 1000, 1000)
        assert loudness(heard, 440) < 0.1
        assert loudness(heard, 700) > 0.4
        assert loudness(heard, 1200) > 0.4
        b.client.api(f"uuid_break {A} all")
        b.advance(0.2)
        assert len(b.client.api("conference room list").splitlines()) == 3
        b.client.api(f"uuid_transfer {A} park inline")
        b.advance(0.2)
        assert response(b, f"in-{A}")["Application"] == "conference"
        assert not leg.said.playing_at(leg.sample())
        b.client.api(f"uuid_kill {B}")
        b.client.api(f"uuid_kill {C}")
        b.advance(0.5)
        assert b.client.api("conference room list") == "-ERR Conference room not found\n"
        assert b.client.api("conference room").startswith("-USAGE")


def test_nobody_is_in_a_conference_twice_as_in_no_trace() -> None:
    with bench(far_ends=PAIR) as b:
        up(b)
        b.execute(A, "conference", "room", "first")
        b.advance(0.2)
        for identity, room in (("same", "room"), ("other", "room2"), ("none", "@default")):
            b.execute(A, "conference", room, identity)
            b.advance(0.2)
            assert response(b, identity)["Application"] == "conference"
        assert len(b.client.api("conference room list").splitlines()) == 1
        assert list(b.simulator.conferences.rooms) == ["room"]


# Transfers


def test_a_call_transferred_to_an_extension_runs_its_applications_and_ends_as_in_no_trace() -> None:
    with bench(far_ends=PAIR, dialplan=DIALPLAN) as b:
        up(b)
        b.execute(A, "playback", "silence_stream://-1", "p")
        b.advance(0.2)
        assert b.client.api(f"uuid_transfer {A} music XML default") == "+OK\n"
        b.advance(0.3)
        assert response(b, "p")["Application-Response"] == "PLAYBACK ERROR"
        leg = channel(b, A)
        assert loudness(leg.said.read(leg.sample() - 1000, 1000), 440) > 0.9
        b.advance(1)
        assert b.client.wait_event("CHANNEL_HANGUP_COMPLETE", Unique_ID=A).event["Hangup-Cause"] == "USER_BUSY"


def test_a_call_transfers_itself_and_one_to_nowhere_ends_as_in_no_trace() -> None:
    with bench(far_ends=PAIR, dialplan=DIALPLAN) as b:
        up(b)
        b.execute(A, "transfer", "park XML default", "t")
        b.advance(0.3)
        assert response(b, "t")
        assert b.client.names(A).count("CHANNEL_PARK") == 2
        b.execute(A, "transfer", "nowhere", "t2")
        b.advance(0.3)
        done = b.client.wait_event("CHANNEL_HANGUP_COMPLETE", Unique_ID=A).event
        assert done["Hangup-Cause"] == "NO_ROUTE_DESTINATION"
        assert b.client.api(f"uuid_transfer {A} park") == "-ERR No such channel!\n"


def test_the_second_leg_of_a_bridge_can_be_transferred_as_in_no_trace() -> None:
    with bench(far_ends=PAIR, dialplan=DIALPLAN) as b:
        up(b)
        assert b.client.api(f"uuid_transfer {A} -bleg park") == "-ERR Operation Failed\n"
        up(b, "1555", B)
        b.client.api(f"uuid_bridge {A} {B}")
        b.advance(0.3)
        assert b.client.api(f"uuid_transfer {A} -both park XML default") == "+OK\n"
        b.advance(0.5)
        for uuid in (A, B):
            assert b.client.names(uuid).count("CHANNEL_PARK") == 2
            assert b.client.api(f"uuid_exists {uuid}") == "true"
            leg = channel(b, uuid)
            assert not leg.said.playing_at(leg.sample())


def test_a_sound_is_broadcast_to_one_leg_or_the_other_as_in_no_trace() -> None:
    with bench(far_ends=PAIR) as b:
        up(b)
        assert b.client.api(f"uuid_broadcast {A} tone_stream://%(500,0,900) aleg") == "+OK Message sent\n"
        b.advance(0.2)
        assert b.client.wait_event("PLAYBACK_START", Unique_ID=A)
        b.advance(1)
        b.client.api(f"uuid_broadcast {A} set::mood=good")
        b.advance(0.2)
        assert b.client.api(f"uuid_getvar {A} mood") == "good"
        b.execute(A, "bridge", "sofia/gateway/carrier/1555", "br")
        b.advance(0.5)
        b.client.api(f"uuid_broadcast {A} tone_stream://%(500,0,900) bleg")
        b.advance(0.2)
        other = channel(b, A).other
        assert other is not None
        assert b.client.wait_event("PLAYBACK_START", Unique_ID=other[0].uuid)
