"""How calls end and who ends them: the node's scheduler, a refusal's reason, a far end that transfers. As measured."""

from __future__ import annotations

import pytest

from fsbridge.simulator import FarEndBook, parse_script
from fsbridge.simulator.farends.dialplan import DEFAULT, STOCK, Extension
from tests.sim.simulator_helpers import Bench, bench

pytestmark = pytest.mark.sim

A = "aaaaaaaa-0000-4000-8000-000000000001"
B = "bbbbbbbb-0000-4000-8000-000000000002"


def book(*scripts: tuple[str, list[object]]) -> FarEndBook:
    return FarEndBook(tuple(parse_script(match, match, steps) for match, steps in scripts))


ANSWERS = book(("*", [{"ring": 0.2}, "answer", {"silence": 600}]))


def at(b: Bench, name: str, **headers: str) -> float:
    """When this event was fired, seconds of the clock."""
    return int(b.client.wait_event(name, **headers).event["Event-Date-Timestamp"]) / 1e6


# The node's scheduler


@pytest.mark.parametrize("how", ["api", "application", "on answer", "on answer, sent", "api on answer"])
def test_a_scheduled_hang_up_counts_seconds_of_the_clock(how: str) -> None:
    variable = {
        "on answer": "execute_on_answer='sched_hangup +2 ALLOTTED_TIMEOUT'",
        "on answer, sent": "execute_on_answer=sched_hangup::+2",
        "api on answer": f"api_on_answer_1='sched_hangup +2 {A} ALLOTTED_TIMEOUT'",
    }.get(how, "")
    with bench(far_ends=ANSWERS) as b:
        b.answered("1", A, variable)
        if how == "api":
            assert b.client.api(f"sched_hangup +2 {A} ALLOTTED_TIMEOUT") == "+OK\n"
        elif how == "application":
            b.execute(A, "sched_hangup", "+2 ALLOTTED_TIMEOUT", "s")
        b.advance(4, step=0.01)
        added = b.client.wait_event("ADD_SCHEDULE").event
        start = int(added["Event-Date-Timestamp"]) / 1e6
        due = int(added["Task-Runtime"])
        assert due == int(start) + 2
        ended = at(b, "CHANNEL_HANGUP", Hangup_Cause="ALLOTTED_TIMEOUT")
        # The clock shows the second, and at most half a second later that is looked at.
        assert due <= ended <= due + 0.52
        complete = b.client.wait_event("CHANNEL_HANGUP_COMPLETE").event
        assert complete["variable_hangup_cause_q850"] == "16"
        assert b.client.wait_event("DEL_SCHEDULE")


def test_what_is_executed_on_the_answer_is_told_before_the_call_is_active() -> None:
    with bench(far_ends=ANSWERS) as b:
        b.answered("1", A, "execute_on_answer='set greeted=yes'")
        told = b.client.names(A)
        assert told.index("CHANNEL_ANSWER") < told.index("CHANNEL_EXECUTE") < told.index("CHANNEL_PARK")
        done = b.client.wait_event("CHANNEL_EXECUTE_COMPLETE", Application="set").event
        assert (done["Channel-State"], done["Channel-Call-State"]) == ("CS_CONSUME_MEDIA", "RINGING")
        assert b.client.api(f"uuid_getvar {A} greeted") == "yes"


def test_a_hang_up_in_no_time_is_not_scheduled() -> None:
    with bench(far_ends=ANSWERS) as b:
        b.answered("1", A)
        assert b.client.api(f"sched_hangup +0 {A}") == "+OK\n"
        b.advance(0.1)
        assert b.client.wait_event("CHANNEL_HANGUP").event["Hangup-Cause"] == "ALLOTTED_TIMEOUT"
        assert "ADD_SCHEDULE" not in [f.name for f in b.client.events]


def test_a_call_that_rings_is_hung_up_by_the_scheduler_too() -> None:
    with bench(far_ends=book(("*", [{"ring": 0}, "never_answer"]))) as b:
        b.originate("1", A)
        b.advance(0.5)
        b.client.api(f"sched_hangup +1 {A} ALLOTTED_TIMEOUT")
        b.advance(2)
        complete = b.client.wait_event("CHANNEL_HANGUP_COMPLETE").event
        assert (complete["Hangup-Cause"], complete["variable_sip_hangup_disposition"]) == (
            "ALLOTTED_TIMEOUT",
            "send_cancel",
        )


def test_what_was_scheduled_for_a_call_goes_with_it() -> None:
    with bench(far_ends=ANSWERS) as b:
        b.answered("1", A)
        b.client.api(f"sched_hangup +60 {A}")
        b.client.api(f"uuid_kill {A}")
        b.advance(1)
        assert b.client.wait_event("DEL_SCHEDULE").event["Task-Group"] == A


# Second sources


def test_the_end_tells_when_the_call_was_answered_and_how_long_it_was() -> None:
    with bench(far_ends=ANSWERS) as b:
        b.answered("1", A)
        answered = at(b, "CHANNEL_ANSWER")
        b.advance(7)
        b.client.api(f"uuid_kill {A}")
        b.advance(0.1)
        end = b.client.wait_event("CHANNEL_HANGUP_COMPLETE").event
        assert int(end["Caller-Channel-Answered-Time"]) / 1e6 == pytest.approx(answered, abs=0.001)
        assert int(end["variable_billsec"]) in (9, 10)
        assert end["variable_sip_hangup_disposition"] == "send_bye"


# Refusals


@pytest.mark.parametrize(
    ("steps", "variables", "cause", "q850", "status"),
    [
        ([{"ring": 1}, {"reject": 408}], "", "RECOVERY_ON_TIMER_EXPIRE", "102", "408"),
        ([{"ring": 1}, {"reject": 503}], "", "NORMAL_TEMPORARY_FAILURE", "41", "503"),
        ([{"reject": {"status": 503, "q850": 17}}], "", "USER_BUSY", "17", "503"),
        ([{"reject": {"status": 480, "q850": 16}}], "", "NORMAL_CLEARING", "16", "480"),
        ([{"reject": {"status": 404, "q850": 200}}], "", "UNKNOWN", "16", "404"),
        ([{"reject": {"status": 503, "q850": 17}}], "ignore_q850_reason=true", "NORMAL_TEMPORARY_FAILURE", "41", "503"),
        ([{"reject": 608}], "", "CALL_REJECTED", "21", "608"),
    ],
)
def test_a_reason_is_believed_before_the_status(
    steps: list[object], variables: str, cause: str, q850: str, status: str
) -> None:
    with bench(far_ends=book(("*", steps))) as b:
        b.originate("1", A, variables)
        b.advance(2)
        assert b.result(A) == f"-ERR {cause}\n"
        end = b.client.wait_event("CHANNEL_HANGUP_COMPLETE").event
        assert (end["Hangup-Cause"], end["variable_hangup_cause_q850"]) == (cause, q850)
        assert (end["variable_sip_term_status"], end["variable_sip_hangup_disposition"]) == (status, "recv_refuse")
        reason = end.get("variable_sip_reason")
        assert reason == (f"Q.850;cause={steps[0]['reject']['q850']}" if "q850" in str(steps) else None)  # type: ignore[index]


@pytest.mark.parametrize("status", [401, 407])
def test_a_challenge_to_an_address_without_a_gateway_is_not_answered(status: int) -> None:
    with bench(far_ends=book(("*", [{"reject": status}]))) as b:
        b.client.command(
            f"bgapi originate {{origination_uuid={A}}}sofia/external/sip:bob@127.0.0.1:5080 &park()\nJob-UUID: j"
        )
        b.advance(1)
        assert b.client.wait_event("BACKGROUND_JOB").body == "-ERR MANDATORY_IE_MISSING\n"
        end = b.client.wait_event("CHANNEL_HANGUP_COMPLETE").event
        assert "variable_sip_term_status" not in end
        assert (end["variable_hangup_cause_q850"], end["variable_sip_invite_failure_status"]) == ("96", "487")


def test_a_status_of_freeswitch_s_own_was_said_by_nobody() -> None:
    with bench(far_ends=book(("*", [{"reject": 904}]))) as b:
        b.originate("1", A)
        b.advance(1)
        assert b.result(A) == "-ERR NORMAL_UNSPECIFIED\n"
        end = b.client.wait_event("CHANNEL_HANGUP_COMPLETE").event
        assert (end["variable_sip_term_status"], end["variable_sip_term_cause"]) == ("904", "31")
        assert "variable_sip_hangup_disposition" not in end
        assert "variable_sip_invite_failure_status" not in end


# Far ends that transfer

PLAN = STOCK.with_first(Extension(("elsewhere",), (("answer", ""), ("park", "")), DEFAULT))


def bridged(b: Bench, first: str, second: str) -> str:
    """Two legs in a bridge; the second one's uuid."""
    b.answered(first, A)
    b.execute(A, "bridge", f"{{origination_uuid={B}}}sofia/gateway/carrier/{second}", "b")
    b.advance(1)
    b.client.wait_event("CHANNEL_BRIDGE", Unique_ID=A)
    return B


REFERRING: list[object] = [{"ring": 0.2}, "answer", {"silence": 3}, {"refer": "elsewhere"}, {"silence": 600}]
FAR_ENDS = book(("refers", REFERRING), ("*", [{"ring": 0.2}, "answer", {"silence": 600}]))


def test_the_second_leg_s_far_end_sends_the_first_into_the_dialplan() -> None:
    with bench(far_ends=FAR_ENDS, dialplan=PLAN, transferable=True) as b:
        bridged(b, "1", "refers")
        b.advance(3)
        assert b.client.wait_event("CHANNEL_HANGUP_COMPLETE", Unique_ID=B).event["Hangup-Cause"] == "NORMAL_CLEARING"
        moved = b.client.wait_event("CHANNEL_PARK", 2, Unique_ID=A).event
        assert (moved["Caller-Destination-Number"], moved["Caller-Context"]) == ("elsewhere", "default")
        assert moved["variable_sip_refer_to"] == "<sip:elsewhere@127.0.0.1>"
        told = b.client.names(A)
        assert told.index("CHANNEL_UNBRIDGE") < len(told) - 1 - told[::-1].index("CHANNEL_PARK")


def test_the_first_leg_s_far_end_sends_the_second_and_stays_itself() -> None:
    with bench(far_ends=FAR_ENDS, dialplan=PLAN, transferable=True) as b:
        b.originate("refers", A)
        b.advance(1)
        b.execute(A, "bridge", f"{{origination_uuid={B}}}sofia/gateway/carrier/1", "b")
        b.advance(4)
        assert b.client.wait_event("CHANNEL_PARK", Unique_ID=B)
        assert b.client.wait_event("CHANNEL_EXECUTE_COMPLETE", Application_UUID="b")
        assert set(b.simulator.node.channels) == {A, B}


def test_to_an_extension_that_is_not_there_the_call_is_lost() -> None:
    with bench(far_ends=FAR_ENDS, transferable=True) as b:
        bridged(b, "1", "refers")
        b.advance(3)
        end = b.client.wait_event("CHANNEL_HANGUP", Unique_ID=A).event
        assert end["Hangup-Cause"] == "NO_ROUTE_DESTINATION"


def test_alone_it_is_an_error_that_the_call_survives() -> None:
    with bench(far_ends=FAR_ENDS, dialplan=PLAN, transferable=True) as b:
        b.answered("refers", A)
        b.advance(3)
        assert b.client.wait_event("sofia::error", Unique_ID=A)
        assert b.client.api(f"uuid_exists {A}") == "true"


def test_a_profile_that_forbids_it_moves_nobody() -> None:
    with bench(far_ends=FAR_ENDS, dialplan=PLAN) as b:
        bridged(b, "1", "refers")
        b.advance(5)
        assert set(b.simulator.node.channels) == {A, B}
        assert "CHANNEL_UNBRIDGE" not in b.client.names(A)


# Words that cannot be spoken


@pytest.mark.parametrize("argument", ["flite|slt|", "hello", "|slt|hello"])
def test_a_sentence_that_is_not_one_ends_the_call(argument: str) -> None:
    with bench(far_ends=ANSWERS) as b:
        b.answered("1", A)
        b.execute(A, "speak", argument, "s")
        b.advance(0.2)
        done = b.client.wait_event("CHANNEL_EXECUTE_COMPLETE", Application_UUID="s").event
        assert done["Hangup-Cause"] == "DESTINATION_OUT_OF_ORDER"


@pytest.mark.parametrize(
    ("application", "argument"),
    [
        ("speak", ""),
        ("speak", "flite|nosuch|hello"),
        ("speak", "nosuch|slt|hello"),
        ("say", "de NUMBER pronounced 12"),
        ("say", "en NOSUCH pronounced 12"),
    ],
)
def test_what_cannot_be_said_is_over_at_once_and_the_call_goes_on(application: str, argument: str) -> None:
    with bench(far_ends=ANSWERS) as b:
        b.answered("1", A)
        b.execute(A, application, argument, "s")
        b.advance(0.05, step=0.01)
        done = b.client.wait_event("CHANNEL_EXECUTE_COMPLETE", Application_UUID="s").event
        assert done["Application-Response"] == "_none_"
        assert "Hangup-Cause" not in done
        b.execute(A, "say", "en NUMBER pronounced 12", "t")
        b.advance(0.05, step=0.01)
        assert "t" not in [f.event.get("Application-UUID") for f in b.client.events if "COMPLETE" in f.name]
