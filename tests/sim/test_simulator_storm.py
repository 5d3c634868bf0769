"""Any commands in any order on legs that are bridged, conferenced, transferred and come back: the node stands.

Whatever happens, no callback fails, every leg is told its end exactly once, and nothing is left behind.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from fsbridge.simulator import FarEndBook, parse_script
from fsbridge.simulator.farends.dialplan import DEFAULT, STOCK, Extension, parked
from tests.sim.simulator_helpers import bench

pytestmark = pytest.mark.sim

LEGS = [f"{digit * 8}-0000-4000-8000-00000000000{digit}" for digit in "abc"]
BOOK = FarEndBook(
    (
        parse_script("short", "1", [{"ring": 0.2}, "answer", {"tone": {"seconds": 2}}, "hangup"]),
        parse_script("keys", "2", ["early_media", "answer", {"loop": {"steps": [{"dtmf": "1#"}, {"silence": 0.3}]}}]),
        parse_script("busy", "3", ["busy"]),
        parse_script("echo", "4", ["answer", {"echo": 30}]),
    )
)
PLAN = STOCK.with_first(
    parked("5", variables={"fsbridge_inbound": "x"}),
    Extension(("6",), (("answer", ""), ("echo", ""))),
    Extension(("7",), (("answer", ""), ("bridge", "sofia/gateway/carrier/6"), ("park", ""))),
    Extension(("8",), (("answer", ""), ("conference", "room"))),
    Extension(("ext",), (("playback", "tone_stream://%(300,0,440)"), ("conference", "room")), DEFAULT),
)

numbers = st.sampled_from("12345678")
legs = st.integers(0, 20)
applications = st.sampled_from(
    [
        ("answer", ""),
        ("bridge", "sofia/gateway/carrier/1"),
        ("bridge", "sofia/gateway/carrier/3"),
        ("bridge", "sofia/gateway/carrier/6"),
        ("conference", "room"),
        ("echo", ""),
        ("hangup", "USER_BUSY"),
        ("park", ""),
        ("play_and_detect_speech", "silence_stream://100 detect:unimrcp builtin:speech"),
        ("play_and_get_digits", "1 2 2 500 # silence_stream://100 silence_stream://100 d \\d+ 300"),
        ("playback", "tone_stream://%(500,0,440)"),
        ("record", "/r.wav 1 200 1"),
        ("record_session", "/s.wav"),
        ("say", "en NUMBER pronounced 12"),
        ("send_dtmf", "12"),
        ("sleep", "300"),
        ("transfer", "ext XML default"),
        ("transfer", "nowhere"),
    ]
)
commands = st.sampled_from(
    [
        "uuid_kill {0}",
        "uuid_break {0} all",
        "uuid_bridge {0} {1}",
        "uuid_transfer {0} ext XML default",
        "uuid_transfer {0} park inline",
        "uuid_transfer {0} -both park XML default",
        "uuid_transfer {0} -bleg park XML default",
        "uuid_broadcast {0} tone_stream://%(200,0,900) both",
        "uuid_record {0} start /u.wav",
        "uuid_record {0} mask /u.wav",
        "uuid_record {0} stop all",
        "uuid_setvar {0} hangup_after_bridge true",
        "uuid_setvar {0} continue_on_fail true",
        "uuid_send_dtmf {0} 5",
        "uuid_recv_dtmf {0} 6",
        "sched_hangup +1 {0}",
    ]
)
steps = st.one_of(
    st.tuples(st.just("originate"), legs, numbers),
    st.tuples(st.just("execute"), legs, applications),
    st.tuples(st.just("api"), st.tuples(legs, legs), commands),
    st.tuples(st.just("time"), st.just(0), st.sampled_from([0.02, 0.1, 0.5, 1.5])),
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(steps, min_size=3, max_size=25))
def test_the_node_stands_whatever_is_asked_of_its_legs(plan: list[tuple[str, object, object]]) -> None:
    with capture_logs() as logs, bench(far_ends=BOOK, dialplan=PLAN) as b:
        node = b.simulator.node
        b.originate("4", LEGS[0])
        b.advance(0.1, step=0.05)

        def leg(index: object) -> str:
            alive = list(node.channels) or LEGS
            return alive[int(str(index)) % len(alive)]

        for number, (kind, which, what) in enumerate(plan):
            if kind == "originate":
                b.originate(str(what), LEGS[int(str(which)) % len(LEGS)] if number % 2 else "", f"n={number}")
            elif kind == "execute":
                application, argument = what  # type: ignore[misc]
                b.execute(leg(which), application, argument, f"e{number}")
            elif kind == "api":
                first, second = which  # type: ignore[misc]
                b.client.api(str(what).format(leg(first), leg(second)))
            else:
                b.advance(float(str(what)), step=0.1)
            for channel in list(node.channels.values()):
                # Whoever listens hears something, of the right length, whatever is fed from whatever.
                assert len(channel.heard.read(channel.sample() - 160, 160)) == 320
                assert len(channel.said.read(channel.sample() - 160, 160)) == 320
        # Jobs begin a moment after their command.
        b.advance(0.1)
        b.client.api("hupall")
        b.advance(2, step=0.2)
        assert node.channels == {}
        assert b.simulator.conferences.rooms == {}
        ends = Counter(f.event["Unique-ID"] for f in b.client.events if f.name == "CHANNEL_HANGUP_COMPLETE")
        # A uuid may be asked for again once its first leg is gone.
        born = Counter(f.event["Unique-ID"] for f in b.client.events if f.name == "CHANNEL_CREATE")
        assert ends == born
        pairs = Counter(f.event["Bridge-A-Unique-ID"] + f.name for f in b.client.events if "BRIDGE" in f.name)
        for key, count in pairs.items():
            if key.endswith("CHANNEL_BRIDGE"):
                assert pairs[key.replace("CHANNEL_BRIDGE", "CHANNEL_UNBRIDGE")] == count
    assert [entry for entry in logs if entry["log_level"] in ("error", "critical")] == []
