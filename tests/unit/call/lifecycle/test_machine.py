"""The lifecycle, by examples: what each story comes to."""

from __future__ import annotations

import pytest

from amd_model.verdict import AmdEvent, EventKind, Mode, Reason, Verdict
from fsbridge.call.lifecycle import inputs as i
from fsbridge.call.lifecycle.effects import (
    AnswerChannel,
    CheckChannel,
    Kill,
    Originate,
    RetryTap,
    StartFlow,
    StopFlow,
    StopTap,
)
from fsbridge.call.lifecycle.machine import MAX_KILLS, MAX_LOOKS, earliest, step
from fsbridge.model.moment import Moment
from fsbridge.model.notice import Notice
from fsbridge.model.outcome import FailureReason, HangupInfo
from fsbridge.model.status import Deadline, Phase, Status
from tests.unit.call.build import CHANNEL, LIMITS, a_call, an_end, hung_up, notices, play, verdict

pytestmark = pytest.mark.unit

ANSWERED = (i.Begin(), i.ChannelSeen(), i.Progress(), i.Answered(), i.JobDone(True, CHANNEL))
LIVE = {Verdict.LIVE_PERSON}


def test_without_analysis_the_flow_runs_at_the_answer_and_the_call_completes() -> None:
    call, effects = play(a_call(), *ANSWERED)
    assert (call.phase, call.status) == (Phase.IN_FLOW, Status.ANSWERED)
    assert effects.count(StartFlow()) == 1
    call, effects = play(call, i.FlowEnded(i.FlowResult.FINISHED), hung_up(), at=5.0)
    assert Kill("NORMAL_CLEARING") in effects
    assert (call.status, call.failure, call.duration_s) == (Status.COMPLETED, None, 5)
    assert notices(effects) == [Notice.COMPLETED]


def test_the_answer_is_told_once_and_before_the_end() -> None:
    _, effects = play(a_call(), *ANSWERED, i.Answered(), hung_up(), hung_up())
    assert notices(effects) == [Notice.ANSWERED, Notice.COMPLETED]


def test_with_analysis_the_flow_waits_for_the_verdict() -> None:
    call, effects = play(a_call(LIVE), *ANSWERED, i.TapConnected())
    assert call.phase is Phase.ANALYZING
    assert StartFlow() not in effects
    assert notices(effects) == []
    call, effects = play(call, verdict(Verdict.LIVE_PERSON), at=1.0)
    assert call.phase is Phase.IN_FLOW
    assert effects[0].notice is Notice.ANSWERED  # type: ignore[union-attr]
    assert effects[1:] == [StopTap(), StartFlow()]


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (Verdict.ANSWERING_MACHINE, FailureReason.ANSWERING_MACHINE),
        (Verdict.FAX, FailureReason.FAX),
        (Verdict.UNKNOWN, FailureReason.UNKNOWN),
    ],
)
def test_an_excluded_verdict_hangs_up_without_the_flow(result: Verdict, reason: FailureReason) -> None:
    call, effects = play(a_call(LIVE), *ANSWERED, verdict(result), hung_up())
    assert StartFlow() not in effects
    assert (call.status, call.failure) == (Status.FAILED, reason)
    assert notices(effects) == [Notice.ANSWERED, Notice.FAILED]


def test_a_person_is_refused_when_only_machines_were_wanted() -> None:
    call, _ = play(a_call({Verdict.ANSWERING_MACHINE}), *ANSWERED, verdict(Verdict.LIVE_PERSON), hung_up())
    assert call.failure is FailureReason.UNKNOWN
    assert "live_person" in (call.failure_detail or "")


def test_a_machine_in_message_end_mode_is_heard_out_before_the_flow() -> None:
    call = a_call({Verdict.ANSWERING_MACHINE}, Mode.MESSAGE_END)
    call, effects = play(call, *ANSWERED, i.TapConnected(), verdict(Verdict.ANSWERING_MACHINE))
    assert call.phase is Phase.ANALYZING
    assert StartFlow() not in effects
    beep = i.AmdHeard(AmdEvent(EventKind.BEEP, at_ms=9_100, beep_ms=9_000))
    call, effects = play(call, beep, at=9.0)
    assert effects == [StopTap(), StartFlow()]
    assert call.analysis is not None
    assert (call.analysis.result, call.analysis.beep_ms) == (Verdict.ANSWERING_MACHINE, 9_000)


def test_a_machine_that_never_beeps_is_spoken_to_when_the_wait_is_over() -> None:
    call = a_call({Verdict.ANSWERING_MACHINE}, Mode.MESSAGE_END)
    call, _ = play(call, *ANSWERED, i.TapConnected(), verdict(Verdict.ANSWERING_MACHINE))
    call, effects = play(call, i.DeadlinePassed(Deadline.VERDICT), at=40.0)
    assert effects == [StopTap(), StartFlow()]


def test_a_correction_before_the_flow_is_believed() -> None:
    call = a_call({Verdict.ANSWERING_MACHINE}, Mode.MESSAGE_END)
    call, _ = play(call, *ANSWERED, i.TapConnected(), verdict(Verdict.ANSWERING_MACHINE))
    corrected = i.AmdHeard(AmdEvent(EventKind.CORRECTION, at_ms=4_000, result=Verdict.LIVE_PERSON))
    call, effects = play(call, corrected)
    assert call.failure is FailureReason.UNKNOWN
    assert Kill("NORMAL_CLEARING") in effects


@pytest.mark.parametrize(
    ("silence", "reason"),
    [
        ((i.DeadlinePassed(Deadline.TAP), i.DeadlinePassed(Deadline.TAP)), Reason.UNAVAILABLE),
        ((i.TapFailed("refused", final=True),), Reason.UNAVAILABLE),
        ((i.TapConnected(), i.DeadlinePassed(Deadline.VERDICT)), Reason.TIMEOUT),
    ],
)
def test_no_verdict_is_the_verdict_unknown_and_says_why(silence: tuple[i.Input, ...], reason: Reason) -> None:
    call, effects = play(a_call({Verdict.LIVE_PERSON, Verdict.UNKNOWN}), *ANSWERED, *silence)
    assert call.phase is Phase.IN_FLOW
    assert call.analysis is not None
    assert (call.analysis.result, call.analysis.reason) == (Verdict.UNKNOWN, reason)
    assert StartFlow() in effects


def test_what_kept_the_detector_from_hearing_is_told_with_the_refusal() -> None:
    call, _ = play(a_call(LIVE), *ANSWERED, i.TapFailed("the AMD workers are full", final=True))
    assert call.failure is FailureReason.UNKNOWN
    assert "(the AMD workers are full)" in (call.failure_detail or "")


def test_a_tap_that_says_nothing_is_started_again_while_there_is_time() -> None:
    call, effects = play(a_call(LIVE), *ANSWERED)
    due = call.deadlines[Deadline.TAP]
    assert due == pytest.approx(0.3 + LIMITS.tap_silence_s)
    call, effects = play(call, i.DeadlinePassed(Deadline.TAP), at=due)
    assert effects == [RetryTap(silent=True)]
    assert call.deadlines[Deadline.TAP] == pytest.approx(0.3 + LIMITS.tap_connect_s)
    _, effects = play(call, i.TapConnected(), verdict(Verdict.LIVE_PERSON), at=due + 0.5)
    assert StartFlow() in effects
    silent, effects = play(call, i.DeadlinePassed(Deadline.TAP), at=0.3 + LIMITS.tap_connect_s)
    assert silent.failure is FailureReason.UNKNOWN
    assert "did not connect" in (silent.failure_detail or "")


@pytest.mark.parametrize("answer", [i.Answered(), i.JobDone(True, CHANNEL), i.ChannelAlive(0.0)])
def test_the_taps_words_before_the_answers_are_kept(answer: i.Input) -> None:
    placed = (i.Begin(), i.Progress())
    connected, _ = play(a_call(LIVE), *placed, i.TapConnected(), answer)
    assert Deadline.TAP not in connected.deadlines
    decided, effects = play(a_call(LIVE), *placed, i.TapConnected(), verdict(Verdict.LIVE_PERSON), answer)
    assert StartFlow() in effects
    assert decided.phase is Phase.IN_FLOW
    _, effects = play(a_call(LIVE), *placed, i.TapFailed("refused"), answer)
    assert RetryTap() in effects


def test_hanging_up_before_the_verdict_is_inconclusive() -> None:
    call, effects = play(a_call(LIVE), *ANSWERED, hung_up())
    assert (call.failure, call.analysis and call.analysis.result) == (FailureReason.UNKNOWN, Verdict.UNKNOWN)
    assert notices(effects) == [Notice.ANSWERED, Notice.FAILED]


@pytest.mark.parametrize(
    ("result", "reason"),
    [(i.FlowResult.BROKE, FailureReason.FLOW_ERROR), (i.FlowResult.NOT_STARTED, FailureReason.SESSION_START_FAILED)],
)
def test_a_flow_that_breaks_fails_the_call_with_words(result: i.FlowResult, reason: FailureReason) -> None:
    call, effects = play(a_call(), *ANSWERED, i.FlowEnded(result, "step greet: no such file"), hung_up())
    assert (call.status, call.failure, call.failure_detail) == (Status.FAILED, reason, "step greet: no such file")
    assert StopFlow() in effects


def test_the_far_end_hanging_up_in_the_flow_completes_the_call() -> None:
    call, effects = play(a_call(), *ANSWERED, hung_up())
    assert (call.status, call.failure) == (Status.COMPLETED, None)
    assert StopFlow() in effects


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        ("USER_BUSY", FailureReason.BUSY),
        ("NO_ANSWER", FailureReason.NO_ANSWER),
        ("NORMAL_TEMPORARY_FAILURE", FailureReason.TRUNK_UNAVAILABLE),
    ],
)
def test_a_job_that_failed_waits_for_the_hang_up_event_and_its_sip_status(cause: str, reason: FailureReason) -> None:
    call, effects = play(a_call(), i.Begin(), i.ChannelSeen(), i.JobDone(False, cause))
    assert not call.ended
    call, effects = play(call, hung_up(cause, 17, sip_status=486))
    assert (call.status, call.failure, call.hangup) == (Status.FAILED, reason, HangupInfo(cause, 17, 486))
    assert notices(effects) == [Notice.FAILED]


def test_a_job_that_failed_ends_the_call_when_the_hang_up_event_is_lost() -> None:
    call, _ = play(a_call(), i.Begin(), i.ChannelSeen(), i.JobDone(False, "USER_BUSY"))
    call, effects = play(call, i.DeadlinePassed(Deadline.HANGUP), at=2.0)
    assert effects == [CheckChannel()]
    asked, _ = play(call, i.ChannelGone(an_end("USER_BUSY", 17, sip_status=486)))
    assert (asked.failure, asked.hangup) == (FailureReason.BUSY, HangupInfo("USER_BUSY", 17, 486))
    for silence in (i.DeadlinePassed(Deadline.HANGUP), i.ChannelGone()):
        done, effects = play(call, silence, at=7.0)
        assert (done.failure, done.hangup) == (FailureReason.BUSY, HangupInfo("USER_BUSY"))
        assert notices(effects) == [Notice.FAILED]


def test_a_job_that_failed_before_any_channel_ends_at_once() -> None:
    call, effects = play(a_call(), i.Begin(), i.JobDone(False, "INVALID_GATEWAY"))
    assert (call.status, call.failure) == (Status.FAILED, FailureReason.TRUNK_UNAVAILABLE)
    assert notices(effects) == [Notice.FAILED]


def test_another_uuid_than_ours_is_hung_up_and_fails() -> None:
    other = "99999999-9999-4999-8999-999999999999"
    call, effects = play(a_call(), i.Begin(), i.JobDone(True, other))
    assert Kill("NORMAL_CLEARING", other) in effects
    assert call.failure is FailureReason.TRUNK_UNAVAILABLE


def test_a_lost_answer_event_is_made_good_by_the_job() -> None:
    call, effects = play(a_call(), i.Begin(), i.ChannelSeen(), i.JobDone(True, CHANNEL))
    assert call.status is Status.ANSWERED
    assert StartFlow() in effects


def test_a_silent_originate_asks_the_node_and_believes_it() -> None:
    call, effects = play(a_call(), i.Begin(), i.Progress(), i.DeadlinePassed(Deadline.ORIGINATE))
    assert effects == [Originate(), CheckChannel()]
    answered, effects = play(call, i.ChannelAlive(0.0))
    assert answered.status is Status.ANSWERED
    _, effects = play(call, i.ChannelAlive())
    assert effects == [Kill("NO_ANSWER")]
    gone, _ = play(call, i.ChannelGone())
    assert gone.failure is FailureReason.NO_ANSWER
    known, _ = play(call, i.ChannelGone(an_end("USER_BUSY")))
    assert known.failure is FailureReason.BUSY


def test_an_unconfirmed_hang_up_is_asked_for_again_and_then_closed() -> None:
    call, _ = play(a_call(), *ANSWERED, i.FlowEnded(i.FlowResult.FINISHED))
    for _ in range(MAX_KILLS):
        call, effects = play(call, i.DeadlinePassed(Deadline.HANGUP))
        assert effects == [CheckChannel()]
        call, effects = play(call, i.ChannelAlive(0.0))
        assert effects == [Kill("NORMAL_CLEARING")]
    call, effects = play(call, i.DeadlinePassed(Deadline.HANGUP))
    assert call.status is Status.COMPLETED


def test_a_call_too_long_is_ended() -> None:
    call, _ = play(a_call(), *ANSWERED)
    call, effects = play(call, i.DeadlinePassed(Deadline.CALL))
    assert effects == [StopFlow(), Kill("ALLOTTED_TIMEOUT")]
    call, _ = play(call, hung_up("ALLOTTED_TIMEOUT", None))
    assert (call.status, call.failure) == (Status.FAILED, FailureReason.FLOW_ERROR)
    assert "max_call_s" in (call.failure_detail or "")


def test_a_call_that_the_flow_has_handed_on_may_reach_its_longest_time() -> None:
    call, _ = play(a_call(), *ANSWERED, i.FlowEnded(i.FlowResult.LEFT), i.DeadlinePassed(Deadline.CALL))
    call, _ = play(call, hung_up("ALLOTTED_TIMEOUT", None))
    assert call.status is Status.COMPLETED


@pytest.mark.parametrize("event", [i.Unplaceable("no node"), i.StopAsked("stopping")])
def test_a_call_that_was_not_dialled_ends_at_once(event: i.Input) -> None:
    call, effects = play(a_call(), event)
    assert (call.status, call.failure) == (Status.FAILED, FailureReason.TRUNK_UNAVAILABLE)
    assert notices(effects) == [Notice.FAILED]


def test_an_originate_that_could_not_be_sent_fails_and_an_unsure_one_waits() -> None:
    call, _ = play(a_call(), i.Begin(), i.OriginateFailed("-ERR"))
    assert call.failure is FailureReason.TRUNK_UNAVAILABLE
    call, _ = play(a_call(), i.Begin(), i.OriginateUnsure())
    assert earliest(call) is not None


def test_losing_the_node_ends_the_call_by_how_far_it_had_come() -> None:
    ringing, _ = play(a_call(), i.Begin(), i.Progress(), i.NodeLost())
    analyzing, _ = play(a_call(LIVE), *ANSWERED, i.NodeLost())
    flowing, _ = play(a_call(), *ANSWERED, i.NodeLost())
    reasons = [call.failure for call in (ringing, analyzing, flowing)]
    assert reasons == [FailureReason.TRUNK_UNAVAILABLE, FailureReason.SESSION_START_FAILED, FailureReason.FLOW_ERROR]


def test_status_words_follow_the_phase() -> None:
    call = a_call()
    seen = [call.status]
    for event in (*ANSWERED, hung_up()):
        call, _ = step(call, event, Moment(0.0, 1_000.0), LIMITS)
        seen.append(call.status)
    assert list(dict.fromkeys(seen)) == [Status.QUEUED, Status.RINGING, Status.ANSWERED, Status.COMPLETED]


def test_a_flow_that_expects_has_failed_when_the_far_end_leaves_before_its_end() -> None:
    call, _ = play(a_call(), *ANSWERED, i.FlowBegan("v1", fails_at_hangup=True), hung_up())
    assert (call.status, call.failure, call.flow_version) == (Status.FAILED, FailureReason.FLOW_ERROR, "v1")
    assert "before the flow had reached its end" in (call.failure_detail or "")
    call, _ = play(a_call(), *ANSWERED, i.FlowBegan("v1", True), i.FlowEnded(i.FlowResult.FINISHED), hung_up())
    assert call.status is Status.COMPLETED


def test_what_a_flow_found_out_stays_with_the_call() -> None:
    ended = i.FlowEnded(i.FlowResult.FINISHED, data={"answer": 1})
    call, _ = play(a_call(), *ANSWERED, i.FlowBegan("v1", False), ended, hung_up())
    assert (call.status, call.flow_result) == (Status.COMPLETED, {"answer": 1})


@pytest.mark.parametrize("witness", [i.JobDone(True, CHANNEL), i.Parked(True), i.ChannelAlive(0.0, parked=True)])
@pytest.mark.parametrize("answer_first", [True, False])
def test_a_channel_can_be_driven_when_any_witness_has_seen_it_in_park(witness: i.Input, answer_first: bool) -> None:
    call, _ = play(a_call(), i.Begin(), i.Progress(), *([i.Answered()] if answer_first else []))
    assert not call.live.driven
    assert (Deadline.PARK in call.deadlines) is answer_first
    call, effects = play(call, witness, i.Answered(), at=1.0)
    assert call.live.driven
    assert Deadline.PARK not in call.deadlines
    assert (StartFlow() in effects) is not answer_first


def test_a_channel_whose_park_nobody_told_of_is_looked_for_ever_more_rarely() -> None:
    call, _ = play(a_call(), i.Begin(), i.Answered())
    waits = []
    for _ in range(MAX_LOOKS + 2):
        before = call.deadlines[Deadline.PARK]
        call, effects = play(call, i.DeadlinePassed(Deadline.PARK), at=before)
        assert effects == [CheckChannel()]
        waits.append(call.deadlines[Deadline.PARK] - before)
    assert waits == sorted(set(waits))
    found, effects = play(call, i.ChannelAlive(0.0, parked=True))
    assert found.live.driven
    assert effects == []


def test_a_channel_that_the_node_does_not_park_is_given_up_with_words() -> None:
    call, _ = play(a_call(), i.Begin(), i.Answered(), i.ChannelAlive(0.0))
    for _ in range(MAX_LOOKS):
        call, effects = play(call, i.DeadlinePassed(Deadline.PARK), i.ChannelAlive(0.0))
    assert effects == [CheckChannel(), StopFlow(), Kill("NORMAL_TEMPORARY_FAILURE")]
    assert (call.failure, call.phase) == (FailureReason.FLOW_ERROR, Phase.HANGING_UP)
    assert "has not parked the channel" in (call.failure_detail or "")


def test_a_verdict_may_come_before_the_channel_is_in_park() -> None:
    call, effects = play(a_call(LIVE), i.Begin(), i.Answered(), i.TapConnected(), verdict(Verdict.LIVE_PERSON))
    assert StartFlow() in effects
    assert not call.live.driven
    call, _ = play(call, i.Parked(True), at=1.0)
    assert (call.live.driven, call.phase) == (True, Phase.IN_FLOW)


def test_a_channel_that_is_called_back_cannot_be_driven_until_it_is_in_park_again() -> None:
    call, _ = play(a_call(), *ANSWERED, i.CalledBack())
    assert (call.live.driven, Deadline.PARK in call.deadlines) == (False, True)
    call, _ = play(call, i.Parked(True), at=1.0)
    assert (call.live.driven, Deadline.PARK in call.deadlines) == (True, False)


def test_a_transferred_call_lives_on_until_its_hang_up() -> None:
    call, effects = play(a_call(), *ANSWERED, i.FlowBegan("v1", True), i.FlowEnded(i.FlowResult.LEFT))
    assert not [effect for effect in effects if isinstance(effect, Kill)]
    assert call.status is Status.ANSWERED
    call, effects = play(call, hung_up(), at=60.0)
    assert (call.status, notices(effects)) == (Status.COMPLETED, [Notice.COMPLETED])


def test_a_transferred_call_whose_node_is_lost_had_come_to_its_flows_end() -> None:
    call, _ = play(a_call(), *ANSWERED, i.FlowBegan("v1", True), i.FlowEnded(i.FlowResult.LEFT))
    call, _ = play(call, i.NodeLost(), at=60.0)
    assert (call.status, call.failure) == (Status.COMPLETED, None)


def test_a_node_that_is_another_one_says_so() -> None:
    call, _ = play(a_call(), *ANSWERED, i.FlowBegan("v1", False), i.NodeLost("node a was started anew"))
    assert (call.failure, call.failure_detail) == (FailureReason.FLOW_ERROR, "node a was started anew")


def test_a_transferred_call_may_last_and_is_only_looked_after() -> None:
    """The longest that a call of ours may last is nothing to the dialplan."""
    call, _ = play(a_call(), *ANSWERED, i.FlowBegan("v1", True), i.FlowEnded(i.FlowResult.LEFT))
    assert call.handed_over
    for _ in range(3):
        call, effects = play(call, i.DeadlinePassed(Deadline.CALL), at=LIMITS.max_call_s)
        assert (effects, call.handed_over) == ([CheckChannel()], True)
        assert Deadline.CALL in call.deadlines


def test_a_call_that_came_in_is_answered_and_talked_to() -> None:
    call, effects = play(a_call(inbound=True), i.Begin())
    assert effects == [AnswerChannel()]
    assert call.status is Status.RINGING
    call, effects = play(call, i.Answered(), i.FlowEnded(i.FlowResult.FINISHED), hung_up(), at=1.0)
    assert StartFlow() in effects
    assert call.status is Status.COMPLETED


def test_a_call_that_came_in_and_cannot_be_answered_is_looked_for_and_ended() -> None:
    call, _ = play(a_call(inbound=True), i.Begin())
    call, effects = play(call, i.DeadlinePassed(Deadline.ORIGINATE), i.ChannelGone(), at=6.0)
    assert CheckChannel() in effects
    assert (call.status, call.failure) == (Status.FAILED, FailureReason.NO_ANSWER)
