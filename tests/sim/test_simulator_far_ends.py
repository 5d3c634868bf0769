"""Far ends that do what nobody asked for: that ring on, send the call elsewhere, or are gone without a word."""

from __future__ import annotations

import pytest

from fsbridge.esl.dialstring import GatewayEndpoint, MediaPatience, OriginatePlan, bridge_argument, originate
from fsbridge.model.ids import ChannelUuid, FlowId, OrgId, SessionId
from fsbridge.simulator import FarEndBook, parse_script
from tests.sim.simulator_helpers import Bench, bench

pytestmark = pytest.mark.sim

A = "aaaaaaaa-0000-4000-8000-000000000001"
BOOK = FarEndBook(
    tuple(
        parse_script(f"far end {number}", number, steps)
        for number, steps in (
            ("1555", ["answer", {"silence": 600}]),
            ("1999", ["never_answer"]),
            ("1302", [{"ring": 0.2}, {"redirect": "1555"}]),
            ("1000", [{"ring": 0.2}, "answer", {"silence": 1}, "vanish"]),
        )
    )
)

SHORT = MediaPatience(5, 60)


def ours(number: str, ring_s: int = 30, media: MediaPatience = SHORT) -> str:
    """The command that the service sends."""
    return originate(
        OriginatePlan(
            channel=ChannelUuid(A),
            endpoint=GatewayEndpoint("carrier", number),
            caller_id="+15550100100",
            session=SessionId(A),
            org=OrgId(A),
            flow=FlowId(A),
            node="fs1",
            ring_timeout_s=ring_s,
            media=media,
        )
    )


def stamp(b: Bench, name: str) -> float:
    """When our channel's event was fired, in seconds."""
    return int(b.client.wait_event(name, Unique_ID=A).event["Event-Date-Timestamp"]) / 1e6


def rung(b: Bench, command: str) -> float:
    """For how long it rang until the node gave up."""
    b.client.command(f"bgapi {command}\nJob-UUID: job")
    b.advance(6)
    assert b.client.wait_event("BACKGROUND_JOB", Job_UUID="job").body.strip() == "-ERR NO_ANSWER"
    return stamp(b, "CHANNEL_HANGUP") - stamp(b, "CHANNEL_CREATE")


@pytest.mark.parametrize(("begins", "rings"), [(0.0, 2.0), (0.4, 1.6), (0.9, 1.1)])
def test_a_timeout_counts_the_second_that_has_begun_as_a_whole_one(begins: float, rings: float) -> None:
    """Measured: N rings N - 1 to N seconds. So the service asks for one more: a phone rings as long as was asked."""
    plain = f"originate {{origination_uuid={A},originate_timeout=2}}sofia/gateway/carrier/1999 &park()"
    with bench(far_ends=BOOK) as b:
        b.advance(begins)
        assert rung(b, plain) == pytest.approx(rings, abs=0.11)
    with bench(far_ends=BOOK) as b:
        b.advance(begins)
        assert 2.0 <= rung(b, ours("1999", ring_s=2)) <= 3.01


@pytest.mark.parametrize(("name", "least", "most"), [("originate_timeout", 1.0, 2.0), ("leg_timeout", 2.0, 3.0)])
def test_a_leg_timeout_has_to_be_passed(name: str, least: float, most: float) -> None:
    with bench(far_ends=BOOK) as b:
        b.originate("1555", A)
        b.advance(0.5)
        b.execute(A, "bridge", f"{{{name}=2}}sofia/gateway/carrier/1999", "br")
        b.advance(4)
        (created,) = [
            int(frame.event["Event-Date-Timestamp"]) / 1e6
            for frame in b.client.events
            if frame.name == "CHANNEL_CREATE" and frame.event["Unique-ID"] != A
        ]
        done = b.client.wait_event("CHANNEL_EXECUTE_COMPLETE", Application_UUID="br").event
        assert least < int(done["Event-Date-Timestamp"]) / 1e6 - created < most


def test_the_service_is_not_sent_elsewhere_by_a_302() -> None:
    with bench(far_ends=BOOK) as b:
        b.client.command(f"bgapi {ours('1302')}\nJob-UUID: job")
        b.advance(1)
        assert b.client.wait_event("BACKGROUND_JOB", Job_UUID="job").body.strip() == "-ERR REQUESTED_CHAN_UNAVAIL"
        end = b.client.wait_event("CHANNEL_HANGUP_COMPLETE", Unique_ID=A).event
        assert end["variable_proto_specific_hangup_cause"] == "sip:302"
        assert "1555" in end["variable_sip_redirected_to"]
        assert "CHANNEL_ANSWER" not in {frame.name for frame in b.client.events}


def test_nor_is_whom_it_bridges_to() -> None:
    with bench(far_ends=BOOK) as b:
        b.originate("1555", A, "continue_on_fail=true")
        b.advance(0.5)
        b.execute(A, "bridge", bridge_argument((GatewayEndpoint("carrier", "1302"),), "100", 5), "br")
        b.advance(1)
        done = b.client.wait_event("CHANNEL_EXECUTE_COMPLETE", Application_UUID="br").event
        assert done["variable_originate_disposition"] == "REQUESTED_CHAN_UNAVAIL"
        assert done["Channel-Call-State"] == "ACTIVE"


def test_anybody_else_is() -> None:
    with bench(far_ends=BOOK) as b:
        b.originate("1302", A)
        b.advance(1)
        assert b.result(A) == f"+OK {A}\n"
        assert b.simulator.node.channels[A].shown_caller()[1] == "1555"


def test_a_far_end_that_vanished_is_hung_up_after_the_limit() -> None:
    with bench(far_ends=BOOK) as b:
        b.client.command(f"bgapi {ours('1000')}\nJob-UUID: job")
        b.advance(10)
        assert b.client.wait_event("CHANNEL_HANGUP_COMPLETE", Unique_ID=A).event["Hangup-Cause"] == "MEDIA_TIMEOUT"
        assert stamp(b, "CHANNEL_HANGUP") - stamp(b, "CHANNEL_ANSWER") == pytest.approx(6, abs=0.2)


def test_without_a_limit_it_is_waited_for() -> None:
    with bench(far_ends=BOOK) as b:
        b.client.command(f"bgapi {ours('1000', media=MediaPatience(0, 0))}\nJob-UUID: job")
        b.advance(100, step=1)
        assert b.client.api(f"uuid_exists {A}") == "true"
