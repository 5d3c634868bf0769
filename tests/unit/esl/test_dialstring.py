"""Originate strings: exact form, and no input that FreeSWITCH would read as anything else."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fsbridge.esl.dialstring import (
    ANONYMOUS,
    DialStringError,
    GatewayEndpoint,
    MediaPatience,
    OriginatePlan,
    SipUriEndpoint,
    Tap,
    limit_command,
    originate,
)
from fsbridge.model.ids import ChannelUuid, FlowId, OrgId, SessionId
from tests.traces import loader
from tests.unit.esl.originate_reader import MARKUP, Misread, Reading, read

pytestmark = pytest.mark.unit

CHANNEL = "d85c71b1-eeb7-49ab-b547-0ac40d3bd566"
SESSION = "11111111-1111-4111-8111-111111111111"
ORG = "22222222-2222-4222-8222-222222222222"
FLOW = "33333333-3333-4333-8333-333333333333"
TAP = Tap("ws://127.0.0.1:9200/amd", "fsbridge_amd", "eyJtb2RlIjoiZmFzdCJ9")
PLAN = OriginatePlan(
    channel=ChannelUuid(CHANNEL),
    endpoint=GatewayEndpoint("carrier", "+15551234567"),
    caller_id="+15550100100",
    session=SessionId(SESSION),
    org=OrgId(ORG),
    flow=FlowId(FLOW),
    node="fs1",
)
IDENTITY = [
    ("origination_uuid", CHANNEL),
    ("ignore_early_media", "true"),
    ("originate_timeout", "31"),
    ("outbound_redirect_fatal", "true"),
    ("rtp_timeout_sec", "120"),
    ("rtp_hold_timeout_sec", "1800"),
    ("fsbridge_session", SESSION),
    ("fsbridge_org", ORG),
    ("fsbridge_flow", FLOW),
    ("fsbridge_node", "fs1"),
    ("origination_caller_id_number", "+15550100100"),
    ("origination_caller_id_name", "+15550100100"),
]


def test_the_exact_string() -> None:
    plan = replace(PLAN, tap=TAP, max_s=3_630)
    assert originate(plan) == (
        f"originate {{^^;origination_uuid={CHANNEL};ignore_early_media=true;originate_timeout=31;"
        "outbound_redirect_fatal=true;rtp_timeout_sec=120;rtp_hold_timeout_sec=1800;"
        f"fsbridge_session={SESSION};fsbridge_org={ORG};fsbridge_flow={FLOW};fsbridge_node=fs1;"
        "origination_caller_id_number=+15550100100;origination_caller_id_name=+15550100100;"
        f"api_on_answer='uuid_audio_fork {CHANNEL} start ws://127.0.0.1:9200/amd mono 8k fsbridge_amd "
        f"eyJtb2RlIjoiZmFzdCJ9';api_on_answer_limit='sched_hangup +3630 {CHANNEL} ALLOTTED_TIMEOUT'}}"
        "sofia/gateway/carrier/+15551234567 &park()"
    )


def test_the_reader_understands_what_a_real_freeswitch_was_sent() -> None:
    """The recorded string of the same form, and recorded strings of the comma form."""
    (recorded,) = [raw for raw in loader.sent("fork_started_on_answer") if b"originate" in raw]
    command = recorded.decode().split("\n")[0].removeprefix("bgapi ").replace('{"session":"abc"}', "abc")
    reading = read(command)
    assert [name for name, _ in reading.variables][-1] == "api_on_answer"
    assert reading.variables[-1][1].endswith("start ws://127.0.0.1:9200/onanswer-save mono 8k fsb abc")
    assert reading.legs == [("sofia", "gateway/loop/play-hello")]
    (recorded,) = [raw for raw in loader.sent("answered_sip_uri") if b"originate" in raw]
    reading = read(recorded.decode().split("\n")[0].removeprefix("bgapi "))
    assert [name for name, _ in reading.variables] == ["origination_uuid", "ignore_early_media", "originate_timeout"]
    assert reading.legs == [("sofia", "external/15551234567@127.0.0.1:5080")]


def recorded(trace: str) -> Iterator[tuple[Reading, dict[str, str]]]:
    """Each originate of a recording as it is read, and the headers of its leg's last event."""
    asked = [raw.decode().split("\n")[0] for raw in loader.sent(trace) if raw.startswith(b"bgapi originate")]
    ends = {}
    for raw in loader.received(trace):
        lines = dict(line.split(": ", 1) for line in raw.decode().split("\n") if ": " in line)
        if lines.get("Event-Name") == "CHANNEL_HANGUP_COMPLETE":
            ends[lines["Unique-ID"]] = {name: unquote(value) for name, value in lines.items()}
    for line in asked:
        reading = read(line.removeprefix("bgapi "))
        yield reading, ends[dict(reading.variables)["origination_uuid"]]


def test_whoever_answers_with_another_address_is_not_followed() -> None:
    """What every leg says, and what a real FreeSWITCH did with it, and without it."""
    ((reading, end),) = recorded("redirect_refused")
    assert ("outbound_redirect_fatal", "true") in reading.variables
    assert (end["Hangup-Cause"], end["variable_proto_specific_hangup_cause"]) == ("REQUESTED_CHAN_UNAVAIL", "sip:302")
    assert "outbound_redirect_fatal=true" in originate(PLAN)
    ((reading, end),) = recorded("redirect_followed")
    assert "outbound_redirect_fatal" not in dict(reading.variables)
    assert int(end["variable_billsec"]) > 0


def test_a_far_end_that_vanished_is_hung_up_and_one_on_hold_is_waited_for() -> None:
    lasted = {}
    for trace in ("media_timeout", "media_timeout_on_hold", "media_timeout_forgets_hold"):
        ((_, end),) = recorded(trace)
        assert end["Hangup-Cause"] == "MEDIA_TIMEOUT"
        lasted[trace] = int(end["variable_billmsec"]) / 1000
    # 3 s of silence and 8 s on hold; audio ended, and hold began, 2 s after the answer.
    assert 4.5 < lasted["media_timeout"] < 6
    assert 9.5 < lasted["media_timeout_on_hold"] < 11
    assert lasted["media_timeout_forgets_hold"] < 6
    patient = originate(replace(PLAN, media=MediaPatience(3, 8)))
    ((reading, _),) = recorded("media_timeout_on_hold")
    for variable in ("rtp_timeout_sec=3", "rtp_hold_timeout_sec=8"):
        assert tuple(variable.split("=")) in reading.variables
        assert f";{variable};" in patient
    assert "rtp_" not in originate(replace(PLAN, media=MediaPatience(0, 0)))


def test_users_that_a_real_freeswitch_sent_as_we_write_them() -> None:
    """The Request-URIs of sip_uri_users, decoded by sofia-sip; what is not ours among them came out wrong."""
    sent = [(reading.legs[0][1], dict(reading.variables), end) for reading, end in recorded("sip_uri_users")]
    seen = {leg: end["variable_sip_req_uri"] for leg, _, end in sent}
    for leg in ("sip:+1555@127.0.0.1:5299", "sip:*72@127.0.0.1:5299", "sip:99%23@127.0.0.1:5299"):
        assert seen[f"external/{leg}"] == unquote(leg.removeprefix("sip:"))
        assert SipUriEndpoint("external", leg).render() == f"sofia/external/{leg}"
    assert seen["gateway/far/*99%23"] == "*99#@127.0.0.1:5299"
    assert GatewayEndpoint("far", "*99#").render() == "sofia/gateway/far/*99%23"
    # The percent signs of small escapes are escaped once more: `variable_…` is decoded once by the event's own coding.
    assert seen["external/sip:jos%c3%a9@127.0.0.1:5299"] == "jos%c3%a9@127.0.0.1:5299"
    assert seen["external/sip:jos%C3%A9%40home@127.0.0.1:5299"] == "josé@home@127.0.0.1:5299"


def test_sips_is_dialled_over_tls_only_if_mod_sofia_leaves_the_uri_alone() -> None:
    ends = [(dict(r.variables), r.legs[0][1], end) for r, end in recorded("sip_uri_users") if "sips:" in r.legs[0][1]]
    (clear, leg, end), (secure, other, good) = ends
    assert "sofia_suppress_url_encoding" not in clear
    # A far end that speaks no TLS was reached all the same: in clear.
    assert (leg, end["variable_sip_term_status"]) == ("external/sips:alice@127.0.0.1:5299", "486")
    assert secure["sofia_suppress_url_encoding"] == "true"
    assert (other, good["variable_sip_term_status"]) == ("external/sips:alice@127.0.0.1:5181", "404")
    for uri in ("sips:alice@127.0.0.1:5181", "sips:alice@127.0.0.1:5181;transport=tls"):
        assert ";sofia_suppress_url_encoding=true;" in originate(
            replace(PLAN, endpoint=SipUriEndpoint("external", uri))
        )
    plain = originate(replace(PLAN, endpoint=SipUriEndpoint("external", "sip:alice@127.0.0.1:5181;transport=tls")))
    assert "sofia_suppress_url_encoding" not in plain


@pytest.mark.parametrize("seconds", [1, 30, 600])
def test_a_phone_rings_for_as_long_as_was_asked(seconds: int) -> None:
    """FreeSWITCH counts seconds of the clock that have begun: asked for 3 it gave up after 2.1 to 3.0."""
    assert f";originate_timeout={seconds + 1};" in originate(replace(PLAN, ring_timeout_s=seconds))


def test_a_caller_who_withholds_the_number() -> None:
    command = originate(replace(PLAN, caller_id=ANONYMOUS))
    assert command.count("nonymous") == 2
    assert (
        "origination_caller_id_number=anonymous;origination_caller_id_name=Anonymous;"
        "origination_privacy=hide_name:hide_number}"
    ) in command


@pytest.mark.parametrize(
    "command",
    [
        "originate {a=b}sofia/gateway/g/1,sofia/gateway/g/2 &park()",
        "originate {a=b}sofia/gateway/g/1|error/user_busy &park()",
        "originate {a=b}sofia/gateway/g/1:_:sofia/gateway/g/2 &park()",
        "originate {a=b}{c=d}sofia/gateway/g/1 &park()",
        "originate <a=b>sofia/gateway/g/1 &park()",
        "originate {a=b}[c=d]sofia/gateway/g/1 &park()",
        "originate {a=b,api_on_answer=system}sofia/gateway/g/1 &park()",
        "originate {a=b}sofia/gateway/g/1 &system(x)",
        "originate {a=b}sofia/gateway/g/1 &park() XML default",
        "originate {a=b}sofia/gateway/g/1 1000",
        "originate {a=b}sofia/gateway/g/1 &park()\n\napi system",
        "originate {^^:a=b:c=d}sofia/gateway/g/1 &park()",
    ],
)
def test_the_reader_would_see_an_injection(command: str) -> None:
    """A reader that finds nothing proves nothing: each known way in changes what it reads."""
    plain = read("originate {a=b}sofia/gateway/g/1 &park()")
    with contextlib.suppress(Misread):
        assert read(command) != plain


def check(plan: OriginatePlan) -> Reading | None:
    """The law: a plan is refused by name, or FreeSWITCH reads exactly our variables, one leg and park."""
    try:
        command = originate(plan)
    except DialStringError:
        return None
    reading = read(command)
    names = [name for name, _ in reading.variables]
    expected = [name for name, _ in IDENTITY]
    unset = {"rtp_timeout_sec": plan.media.silent_s, "rtp_hold_timeout_sec": plan.media.hold_s}
    expected = [name for name in expected if unset.get(name, 1) != 0]
    if isinstance(plan.endpoint, SipUriEndpoint) and plan.endpoint.secure:
        expected.insert(expected.index("fsbridge_session"), "sofia_suppress_url_encoding")
    if plan.caller_id == ANONYMOUS:
        expected.append("origination_privacy")
    if plan.tap is not None:
        expected.append("api_on_answer")
        words = dict(reading.variables)["api_on_answer"].split(" ")
        asked = ["uuid_audio_fork", plan.channel, "start", plan.tap.ws_url, "mono", "8k", plan.tap.bugname]
        assert words == asked + ([plan.tap.metadata] if plan.tap.metadata else [])
    if plan.max_s is not None:
        expected.append("api_on_answer_limit")
        asked = ["sched_hangup", f"+{plan.max_s}", plan.channel, "ALLOTTED_TIMEOUT"]
        assert dict(reading.variables)["api_on_answer_limit"].split(" ") == asked
    assert names == expected
    assert len(reading.legs) == 1
    assert reading.legs[0][0] == "sofia"
    match plan.endpoint:
        case GatewayEndpoint(gateway, number):
            assert reading.legs[0][1] == f"gateway/{gateway}/{number.replace('#', '%23')}"
            assert gateway.count("/") + number.count("/") == 0
        case SipUriEndpoint(profile, uri):
            assert reading.legs[0][1] == f"{profile}/{uri}"
            assert profile != "gateway"
            assert "/" not in profile + uri
            assert uri.count("=") == uri.count(";transport=") <= 1
    assert not reading.local_variables
    assert (reading.application, reading.application_argument, reading.further_arguments) == ("park", "", [])
    left = "".join(value for _, value in reading.variables) + without_escapes(reading.legs[0][1])
    brackets = {"[", "]"} if isinstance(plan.endpoint, SipUriEndpoint) or plan.tap else set()
    assert not (MARKUP - brackets) & set(left)
    # Quotes would hide the separator of the variables, and nothing is to hang on quoting.
    assert not any(";" in value or "'" in value for _, value in reading.variables)
    assert command.isascii()
    return reading


def without_escapes(dialled: str) -> str:
    """What is left for a reader that undoes escapes as well: undone, none of them may mean anything either."""
    undone = unquote_to_bytes("".join(re.findall("%[0-9A-F]{2}", dialled))).decode("latin-1")
    assert all(character in "#()@" or character >= "\x80" for character in undone)
    return re.sub("%[0-9A-F]{2}", "", dialled)


LIVE = " ,='\\^{}[]|&$<>\r\n\"%()*!`;:/?#@~+\0\t\x85\u2028é١"
"""What FreeSWITCH reads as more than itself, and what Python's own classes might let through."""

HOSTILE = st.one_of(
    st.text(max_size=40),
    st.text(alphabet=LIVE + "ab1", max_size=40),
    st.sampled_from(
        [
            "1,api_on_answer=system",
            "1}{api_on_answer='system x'",
            "x;api_on_answer=system",
            "1 &system(reboot)",
            "1|sofia/gateway/x/2",
            "a:_:b",
            "${system(id)}",
            "1\n\napi system id",
            "gateway",
            "15551234567\n",
        ]
    ),
)


def near(*good: str) -> st.SearchStrategy[str]:
    """A good value, as it is or with something hostile put into it."""
    value = st.sampled_from(good)
    spoiled = st.tuples(value, st.integers(0, 40), st.text(alphabet=LIVE, min_size=1, max_size=3)).map(
        lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] :]
    )
    return st.one_of(value, value, value, spoiled, HOSTILE)


NAMES = near("carrier", "fs1", "external", "a.b-c_d")
UUIDS = near(CHANNEL, SESSION)
URIS = near(
    "sip:alice@example.com",
    "sips:+1555@[2001:db8::1]:5061;transport=tls",
    "sip:10.0.0.1:5060;transport=udp",
    "sip:a~b_c.d-e@host.example:5080",
    "sip:*72%23@host.example;transport=tcp",
    "sip:jos%C3%A9%40home@host.example",
)
ENDPOINTS = st.one_of(
    st.builds(GatewayEndpoint, NAMES, near("+15551234567", "*99#", "0")),
    st.builds(SipUriEndpoint, NAMES, URIS),
)
TAPS = st.none() | st.builds(
    Tap, near("ws://127.0.0.1:9200/amd", "wss://[::1]:9200", "ws://amd.example/a_b"), NAMES, near("eyJh-_", "")
)
PLANS = st.builds(
    OriginatePlan,
    channel=UUIDS.map(ChannelUuid),
    endpoint=ENDPOINTS,
    session=UUIDS.map(SessionId),
    org=UUIDS.map(OrgId),
    flow=UUIDS.map(FlowId),
    node=NAMES,
    ring_timeout_s=st.sampled_from([30, 1, 600]) | st.integers(-5, 700),
    caller_id=near("+15550100100", "100", ANONYMOUS),
    media=st.builds(MediaPatience, st.sampled_from([0, 60]) | st.integers(-1, 90_000), st.sampled_from([0, 900])),
    tap=TAPS,
    max_s=st.sampled_from([None, 1, 3_630]) | st.integers(-1, 200_000),
)


@settings(max_examples=150, deadline=None)
@given(plan=PLANS)
@example(plan=replace(PLAN, endpoint=SipUriEndpoint("gateway", "sip:carrier")))
def test_no_input_reads_as_anything_but_one_parked_leg(plan: OriginatePlan) -> None:
    check(plan)


PARTS: dict[str, tuple[tuple[str, ...], Callable[[str], OriginatePlan]]] = {
    "channel": ((CHANNEL,), lambda text: replace(PLAN, channel=ChannelUuid(text))),
    "session": ((SESSION,), lambda text: replace(PLAN, session=SessionId(text))),
    "org": ((ORG,), lambda text: replace(PLAN, org=OrgId(text))),
    "flow": ((FLOW,), lambda text: replace(PLAN, flow=FlowId(text))),
    "node": (("fs1",), lambda text: replace(PLAN, node=text)),
    "caller id": (("+155", "100"), lambda text: replace(PLAN, caller_id=text)),
    "gateway": (("main",), lambda text: replace(PLAN, endpoint=GatewayEndpoint(text, "1"))),
    "number": (("+155", "*9#"), lambda text: replace(PLAN, endpoint=GatewayEndpoint("g", text))),
    "profile": (("ext",), lambda text: replace(PLAN, endpoint=SipUriEndpoint(text, "sip:a@b"))),
    "uri": (
        ("sip:ab@cd.ef:5060", "sips:[::1];transport=tls", "sip:ab", "sip:*%23@cd"),
        lambda text: replace(PLAN, endpoint=SipUriEndpoint("external", text)),
    ),
    "tap url": (("ws://ab.cd:9200/ef", "wss://[::1]"), lambda text: replace(PLAN, tap=replace(TAP, ws_url=text))),
    "tap bugname": (("bug",), lambda text: replace(PLAN, tap=replace(TAP, bugname=text))),
    "tap metadata": (("eyJh", ""), lambda text: replace(PLAN, tap=replace(TAP, metadata=text))),
}
"""Each part of a plan that is text: good values, and a plan with a value in its place."""

EXOTIC = "\x85\xa0\xe9\xff\u0130\u0661\u2028\u2029\uff0c\uff11\ud800"
"""Line breaks, digits and letters to Unicode that are none in a dial string; half a character."""
CHARACTERS = sorted({chr(code) for code in range(128)} | set(EXOTIC))
PAYLOADS = (",sofia/gateway/x/1", "|error/x", "}{a=b}", ";a=b", "' a='", " &system(x)", ":_:x/y", "${x}", "\n\napi x")


@pytest.mark.parametrize("part", PARTS)
def test_any_character_at_any_place_of_any_part(part: str) -> None:
    """Exhaustive where a property test would need luck: one part spoiled, all others good."""
    values, plan = PARTS[part]
    for value in values:
        assert check(plan(value)) is not None
        for at in range(len(value) + 1):
            for character in (*CHARACTERS, *PAYLOADS):
                check(plan(value[:at] + character + value[at:]))


@settings(max_examples=300, deadline=None)
@given(hostile=HOSTILE, part=st.sampled_from(sorted(PARTS)))
def test_one_hostile_part_among_good_ones(hostile: str, part: str) -> None:
    check(PARTS[part][1](hostile))


@settings(max_examples=200, deadline=None)
@given(user=st.text(alphabet=LIVE + "ab1", max_size=12), host=st.text(alphabet=LIVE + "ab1.", max_size=12))
def test_a_sip_uri_of_hostile_pieces(user: str, host: str) -> None:
    check(replace(PLAN, endpoint=SipUriEndpoint("external", f"sip:{user}@{host}")))


@pytest.mark.parametrize(
    "uri",
    [
        "sip:alice@example.com",
        "sips:alice@example.com:5061;transport=tls",
        "sip:+15551234567@10.0.0.1",
        "sip:example.com",
        "sip:a@[2001:db8::1]:5060;transport=udp",
        "sip:a~b_c.d-e@host.example;transport=tcp",
        "sip:*72%23@host.example",
        "sip:jos%C3%A9%40home@host.example",
    ],
)
def test_sip_uris_that_are_dialled(uri: str) -> None:
    reading = check(replace(PLAN, endpoint=SipUriEndpoint("external", uri)))
    assert reading is not None
    assert reading.legs == [("sofia", f"external/{uri}")]


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "alice@example.com",
        "tel:+15551234567",
        "sip:",
        "sip:@example.com",
        "sip:alice:secret@example.com",
        "sip:alice@example.com?Subject=x",
        "sip:alice@example.com;user=phone",
        "sip:alice@example.com;transport=ws",
        "sip:alice@example.com;transport=udp;transport=tcp",
        "sip:alice@example.com\n",
        "sip:al%69ce@example.com",
        "sip:*72#@example.com",
        "sip:a%c3%a9@example.com",
        "sip:a%2Cb@example.com",
        "sip:a%24%7Bsystem%7D@example.com",
        "sip:a%0A@example.com",
        "sip:a%25@example.com",
        "sip:a%2@example.com",
        "sip:alice@example.com;transport=TCP",
        "sips:alice@example.com;transport=tcp",
        "sips:alice@example.com;transport=udp",
        "sip:a@b@c",
        "sip:alice@example.com:0",
        "sip:alice@example.com:65536",
        "sip:alice@-example.com",
        "sip:alice@exämple.com",
        "sip:" + "a" * 65 + "@example.com",
        "sip:a@_:_b",
    ],
)
def test_sip_uris_that_are_refused(uri: str) -> None:
    with pytest.raises(DialStringError, match=r"^uri: "):
        originate(replace(PLAN, endpoint=SipUriEndpoint("external", uri)))


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"channel": CHANNEL.upper()}, "channel"),
        ({"session": "x"}, "session"),
        ({"org": None}, "org"),
        ({"flow": ""}, "flow"),
        ({"node": "a b"}, "node"),
        ({"caller_id": "Mallory"}, "caller id"),
        ({"caller_id": ""}, "caller id"),
        ({"caller_id": None}, "caller id"),
        ({"media": MediaPatience(-1)}, "silent media"),
        ({"media": MediaPatience(True)}, "silent media"),
        ({"media": MediaPatience(60, 86_401)}, "media on hold"),
        ({"ring_timeout_s": 0}, "ring timeout"),
        ({"ring_timeout_s": 601}, "ring timeout"),
        ({"ring_timeout_s": True}, "ring timeout"),
        ({"ring_timeout_s": 1.5}, "ring timeout"),
        ({"max_s": 0}, "limit"),
        ({"max_s": 100_001}, "limit"),
        ({"max_s": True}, "limit"),
        ({"max_s": "+30 x"}, "limit"),
        ({"endpoint": GatewayEndpoint("a/b", "1")}, "gateway"),
        ({"endpoint": GatewayEndpoint("a", "")}, "number"),
        ({"endpoint": SipUriEndpoint("x y", "sip:a@b")}, "profile"),
        ({"endpoint": SipUriEndpoint("gateway", "sip:a@b")}, "profile"),
        ({"tap": Tap("http://a", "b", "")}, "tap url"),
        ({"tap": Tap("ws://a:70000", "b", "")}, "tap url"),
        ({"tap": Tap("ws://a", "b c", "")}, "tap bugname"),
        ({"tap": Tap("ws://a", "b", "{}")}, "tap metadata"),
    ],
)
def test_a_refusal_names_the_part(changes: dict[str, Any], part: str) -> None:
    with pytest.raises(DialStringError, match=f"^{part}: "):
        originate(replace(PLAN, **changes))


def test_the_bound_of_a_channel_that_is_there_already() -> None:
    assert limit_command(CHANNEL, 60) == f"sched_hangup +60 {CHANNEL} ALLOTTED_TIMEOUT"
    with pytest.raises(DialStringError, match=r"^channel: "):
        limit_command(f"{CHANNEL} x", 60)


def test_a_refusal_does_not_repeat_a_long_input() -> None:
    with pytest.raises(DialStringError) as raised:
        originate(replace(PLAN, caller_id="x" * 10_000))
    assert len(str(raised.value)) < 200
