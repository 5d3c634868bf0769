"""What an end means, by examples: who cut it, how far it had come, what the network said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from amd_model.verdict import Verdict
from fsbridge.call.lifecycle import inputs as i
from fsbridge.call.lifecycle.endings import CUT_BY, MOVED_BY
from fsbridge.esl.causes import CAUSES
from fsbridge.model.call import Call
from fsbridge.model.outcome import FailureReason, HangupInfo
from fsbridge.model.status import Deadline, Status
from tests.unit.call.build import CHANNEL, a_call, an_end, hung_up, play, verdict

pytestmark = pytest.mark.unit

DIALLED = (i.Begin(), i.ChannelSeen())
RINGS, MEDIA = i.Progress(), i.Progress(early_media=True)
IN_FLOW = (*DIALLED, i.Answered(), i.JobDone(True, CHANNEL), i.FlowBegan("v1", fails_at_hangup=False))

NO_ANSWER, TRUNK = FailureReason.NO_ANSWER, FailureReason.TRUNK_UNAVAILABLE


def refused(cause: str, q850: int | None, status: int | None, *before: i.Input, **told: Any) -> Call:
    call, _ = play(a_call(), *DIALLED, *before, hung_up(cause, q850, sip_status=status, by_far_end=True, **told))
    return call


@pytest.mark.parametrize(
    ("cause", "q850", "status", "before", "reason"),
    [
        ("RECOVERY_ON_TIMER_EXPIRE", 102, 408, (), TRUNK),
        ("RECOVERY_ON_TIMER_EXPIRE", 102, 408, (RINGS,), NO_ANSWER),
        ("RECOVERY_ON_TIMER_EXPIRE", 102, 408, (MEDIA,), NO_ANSWER),
        ("RECOVERY_ON_TIMER_EXPIRE", 102, None, (RINGS,), NO_ANSWER),
        ("RECOVERY_ON_TIMER_EXPIRE", 102, 504, (RINGS,), NO_ANSWER),
        # A Reason header made another cause of it.
        ("NORMAL_UNSPECIFIED", 31, 408, (RINGS,), NO_ANSWER),
        ("NORMAL_TEMPORARY_FAILURE", 41, 503, (), TRUNK),
        ("NORMAL_TEMPORARY_FAILURE", 41, 503, (RINGS,), NO_ANSWER),
        ("NORMAL_TEMPORARY_FAILURE", 41, 503, (MEDIA,), TRUNK),
        ("NORMAL_TEMPORARY_FAILURE", 41, 503, (MEDIA, RINGS), NO_ANSWER),
        # The far end answered without SDP, or with a codec of its own: it was not for want of an answer.
        ("NORMAL_TEMPORARY_FAILURE", 41, 500, (RINGS,), TRUNK),
        ("INCOMPATIBLE_DESTINATION", 88, 488, (RINGS,), TRUNK),
        ("USER_BUSY", 17, 486, (RINGS,), FailureReason.BUSY),
        ("USER_BUSY", 17, 503, (RINGS,), FailureReason.BUSY),
        ("UNALLOCATED_NUMBER", 1, 404, (RINGS,), FailureReason.UNROUTABLE_NUMBER),
        ("NO_USER_RESPONSE", 18, 480, (), NO_ANSWER),
    ],
)
def test_once_it_rang_a_network_that_gives_up_is_no_answer(
    cause: str, q850: int, status: int | None, before: tuple[i.Input, ...], reason: FailureReason
) -> None:
    assert refused(cause, q850, status, *before).failure is reason


def test_that_it_rang_is_also_told_by_the_end() -> None:
    assert refused("NORMAL_TEMPORARY_FAILURE", 41, 503, alerted=True).failure is NO_ANSWER
    assert refused("RECOVERY_ON_TIMER_EXPIRE", 102, 408, alerted=True).failure is NO_ANSWER


@pytest.mark.parametrize(
    ("cause", "status", "words"),
    [
        ("REQUESTED_CHAN_UNAVAIL", 302, "the far end sent the call elsewhere (SIP 302), where it is not followed"),
        ("NORMAL_CLEARING", 200, "answered and hung up in the same moment"),
        ("USER_BUSY", 503, "the call ended with USER_BUSY (SIP 503)"),
    ],
)
def test_the_failures_words_say_what_the_reason_has_no_room_for(cause: str, status: int, words: str) -> None:
    call = refused(cause, CAUSES[cause][0], status)
    assert words in (call.failure_detail or "")
    assert (call.failure is FailureReason.UNROUTABLE_NUMBER) is (status == 302)


@pytest.mark.parametrize("cause", CUT_BY)
def test_what_neither_side_ends_a_call_for_has_cut_its_flow(cause: str) -> None:
    end = hung_up(cause, None)
    call, _ = play(a_call(), *IN_FLOW, end)
    assert (call.status, call.failure) == (Status.FAILED, FailureReason.FLOW_ERROR)
    assert CUT_BY[cause].format(node="fs1") in (call.failure_detail or "")
    early, _ = play(a_call({Verdict.LIVE_PERSON}), *DIALLED, i.Answered(), end)
    assert early.failure is FailureReason.SESSION_START_FAILED
    assert CUT_BY[cause].format(node="fs1") in (early.failure_detail or "")


@pytest.mark.parametrize("cause", CUT_BY)
def test_the_far_ends_own_switch_may_say_the_same_and_has_only_left(cause: str) -> None:
    """A BYE from a FreeSWITCH that is shut down carries its cause in a Reason header."""
    call, _ = play(a_call(), *IN_FLOW, hung_up(cause, None, sip_status=200, by_far_end=True))
    assert call.status is Status.COMPLETED


@pytest.mark.parametrize("cause", MOVED_BY)
def test_a_call_that_the_far_end_moves_away_has_left_its_flow(cause: str) -> None:
    call, _ = play(a_call(), *IN_FLOW, hung_up(cause, None))
    assert call.failure is FailureReason.FLOW_ERROR
    assert MOVED_BY[cause] in (call.failure_detail or "")


def test_a_flow_may_hang_up_with_any_cause() -> None:
    ended = i.FlowEnded(i.FlowResult.FINISHED, cause="MANAGER_REQUEST")
    call, _ = play(a_call(), *IN_FLOW, ended, hung_up("MANAGER_REQUEST", None))
    assert (call.status, call.hangup) == (Status.COMPLETED, HangupInfo("MANAGER_REQUEST", None))


@pytest.mark.parametrize("last", [i.ChannelGone(), i.NodeLost()])
def test_no_call_completes_without_a_cause(last: i.Input) -> None:
    """The flow was over and we had hung up, and the node is gone: the cause is the one that we sent."""
    call, _ = play(a_call(), *IN_FLOW, i.FlowEnded(i.FlowResult.FINISHED, cause="USER_BUSY"), last)
    assert (call.status, call.hangup) == (Status.COMPLETED, HangupInfo("USER_BUSY"))
    cut, _ = play(a_call(), *IN_FLOW, last)
    assert (cut.failure, cut.hangup) == (FailureReason.FLOW_ERROR, None)


def test_a_call_that_was_handed_on_has_come_to_its_flows_end_whatever_becomes_of_its_node() -> None:
    handed_on, _ = play(a_call(), *IN_FLOW, i.FlowEnded(i.FlowResult.LEFT), i.NodeLost())
    assert (handed_on.status, handed_on.failure, handed_on.hangup) == (Status.COMPLETED, None, None)


def test_a_node_that_forgot_a_ringing_call_is_the_trunks_trouble_until_it_has_rung_for_long_enough() -> None:
    call, _ = play(a_call(), *DIALLED, RINGS, i.ChannelGone())
    assert call.failure is TRUNK
    call, _ = play(a_call(), *DIALLED, RINGS, i.DeadlinePassed(Deadline.ORIGINATE), i.ChannelGone())
    assert call.failure is NO_ANSWER


ORDERS = [
    (i.HangingUp(an_end("NORMAL_TEMPORARY_FAILURE", 41, sip_status=503)), i.JobDone(False, "NORMAL_TEMPORARY_FAILURE")),
    (i.JobDone(False, "NORMAL_TEMPORARY_FAILURE"), i.HangingUp(an_end("NORMAL_TEMPORARY_FAILURE", 41, sip_status=503))),
]


@pytest.mark.parametrize("order", ORDERS)
def test_the_order_in_which_an_end_becomes_known_makes_no_difference(order: tuple[i.Input, ...]) -> None:
    last = hung_up("NORMAL_TEMPORARY_FAILURE", 41, sip_status=503, by_far_end=True)
    call, _ = play(a_call(), *DIALLED, *order, RINGS, last)
    assert (call.failure, call.hangup and call.hangup.sip_status) == (NO_ANSWER, 503)


def test_an_end_that_is_told_twice_is_the_one_that_was_told_first() -> None:
    """CHANNEL_HANGUP has the moment, CHANNEL_HANGUP_COMPLETE, which may be late, the cause in full."""
    call, _ = play(a_call(), *IN_FLOW, at=0.0)
    call, _ = play(call, i.HangingUp(an_end(talk_s=0.0)), at=5.2)
    late = replace(an_end(talk_s=5.0, sip_status=200, by_far_end=True), ago_s=0.5)
    call, _ = play(call, i.HungUp(late), at=15.2)
    assert (call.completed_at, call.talk_s, call.duration_s) == (1_005.2, 5.0, 5)
    assert call.hangup is not None
    assert call.hangup.sip_status == 200


def test_a_record_of_before_a_restart_tells_its_duration_by_the_node_or_by_its_instants() -> None:
    """The monotonic moments of an earlier process mean nothing to this one."""
    kept, _ = play(a_call(), *IN_FLOW)
    restarted = replace(kept, live=a_call().live)
    asked = i.StopAsked("the service was restarted during the call")
    told, _ = play(restarted, asked, hung_up(talk_s=42.0), at=60.0)
    assert told.talk_s == 42.0
    untold, _ = play(restarted, asked, hung_up(), at=60.0)
    assert untold.talk_s == pytest.approx(60.1 - 0.2)


def test_a_call_that_was_hanging_up_when_the_service_was_restarted_is_ended() -> None:
    kept, _ = play(a_call(), *IN_FLOW, i.FlowEnded(i.FlowResult.FINISHED))
    call, _ = play(replace(kept, live=a_call().live), i.StopAsked("restarted"))
    assert Deadline.HANGUP in call.deadlines
    call, _ = play(call, hung_up())
    assert call.status is Status.COMPLETED


def test_a_verdict_stands_though_the_end_was_cut() -> None:
    asked = a_call({Verdict.LIVE_PERSON})
    begun = (*DIALLED, i.Answered(), i.TapConnected(), verdict(Verdict.ANSWERING_MACHINE))
    call, _ = play(asked, *begun, hung_up("SYSTEM_SHUTDOWN", None))
    assert call.failure is FailureReason.ANSWERING_MACHINE
