"""Every fact of a call has several witnesses: whatever is lost, doubled or late, the call comes to the same end.

The recorded calls are replayed with less than was recorded, more often, or in another order, against a node that knows
the truth when it is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsbridge.call.lifecycle.effects import StartFlow, Tell
from fsbridge.call.lifecycle.endings import CUT_BY
from fsbridge.call.lifecycle.translate import read_end
from fsbridge.esl.causes import classify
from fsbridge.esl.events import Event
from fsbridge.model.call import Call
from fsbridge.model.notice import Notice
from fsbridge.model.outcome import FailureReason
from tests.unit.call.build import a_call
from tests.unit.call.lifecycle.test_traces import ENDS
from tests.unit.call.recordings import Recorded, Replayed, inputs, recorded, replay

pytestmark = pytest.mark.unit

CALLS = [
    (name, number)
    for name in ENDS
    for number, recording in enumerate(recorded(name))
    # Without `ignore_early_media` the job's +OK is no witness of an answer; we always send it.
    if name != "early_media_taken" and recording.find("CHANNEL_CREATE") is not None
]
ENDED_BY = ("CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY")

LATE_S = 0.2
"""The originate's +OK tells of an answer without its time, up to 130 ms after it."""

SLOW = "flows/node_shut_down_with_flow"
"""Its CHANNEL_HANGUP_COMPLETE comes ten seconds late: the span is right, the instants are not."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call came to, as a caller and an operator see it."""

    answered: bool
    failure: FailureReason | None
    cause: str
    sip_status: int | None


def outcome(call: Call) -> Outcome:
    assert call.ended
    assert call.hangup is not None
    return Outcome(call.answered_at is not None, call.failure, call.hangup.cause, call.hangup.sip_status)


def heard(recording: Recorded) -> list[int]:
    """The places of what means anything to a call."""
    return [place for place, (_, event) in enumerate(recording.events) if inputs(event)]


def ends_once(done: Replayed) -> None:
    told = [effect.notice for effect in done.effects if isinstance(effect, Tell)]
    assert told.count(Notice.ANSWERED) == (done.call.answered_at is not None)
    assert sum(notice is not Notice.ANSWERED for notice in told) == 1
    assert done.effects.count(StartFlow()) == done.call.flow_started


def same_talk(found: Call, expected: Call) -> None:
    if expected.talk_s is None:
        assert found.talk_s is None
    else:
        assert found.talk_s == pytest.approx(expected.talk_s, abs=LATE_S)


@pytest.mark.parametrize(("name", "number"), CALLS)
def test_no_single_event_is_needed(name: str, number: int) -> None:
    truth = recorded(name)[number]
    whole = replay(truth, a_call(), truth=truth)
    of_the_end = [place for place, (_, event) in enumerate(truth.events) if event.name in ENDED_BY]
    assert of_the_end
    # `filters` hears of the end once only: nobody would ask after it before the call's longest time.
    alone = of_the_end if len(of_the_end) == 1 else []
    for lost in [place for place in heard(truth) if place not in alone]:
        done = replay(truth.without(lambda place, _, lost=lost: place == lost), a_call(), truth=truth)  # type: ignore[misc]
        assert outcome(done.call) == outcome(whole.call), truth.events[lost][1].name
        ends_once(done)
        same_talk(done.call, whole.call)


WITNESSES = [
    (name, number, witness)
    for name, number in CALLS
    for witness in ENDED_BY
    if recorded(name)[number].find(witness) is not None
]


@pytest.mark.parametrize(("name", "number", "witness"), WITNESSES)
def test_any_event_of_the_end_is_enough_for_its_cause_and_its_time(name: str, number: int, witness: str) -> None:
    truth = recorded(name)[number]
    whole = replay(truth, a_call(), truth=truth)
    others = [other for other in (*ENDED_BY, "CHANNEL_EXECUTE_COMPLETE", "CUSTOM") if other != witness]
    done = replay(truth.without(lambda _, event: event.name in others), a_call(), truth=truth)
    assert outcome(done.call) == outcome(whole.call)
    same_talk(done.call, whole.call)


ANSWERED = [(name, number) for name, number in CALLS if recorded(name)[number].find("CHANNEL_ANSWER") is not None]


@pytest.mark.parametrize(("name", "number"), ANSWERED)
def test_an_answer_that_fell_into_a_reconnection_is_told_by_the_end(name: str, number: int) -> None:
    """Nothing was heard between the dialling and the hang-up: the flow did not run, and yet it was answered."""
    truth = recorded(name)[number]
    last = truth.without(lambda _, event: event.name != "CHANNEL_HANGUP_COMPLETE")
    done = replay(last, a_call(), truth=truth)
    whole = replay(truth, a_call(), truth=truth)
    assert done.call.answered_at == pytest.approx(whole.call.answered_at, abs=11.0 if name == SLOW else LATE_S)
    same_talk(done.call, whole.call)
    if not done.call.flow_started:  # else the call was so long that the node was asked in the meantime
        assert done.call.failure is FailureReason.SESSION_START_FAILED
        assert "before the flow began" in (done.call.failure_detail or "")


@pytest.mark.parametrize(("name", "number"), CALLS)
def test_what_the_node_kept_is_enough(name: str, number: int) -> None:
    """The socket was away from the answer, or the beginning, to the end: mod_hash knows the cause and the status."""
    truth = recorded(name)[number]
    cut = truth.when("CHANNEL_ANSWER") or truth.when("CHANNEL_CREATE")
    assert cut is not None
    whole = replay(truth, a_call(), truth=truth)
    deaf = replace(truth, events=[(at, event) for at, event in truth.events if at <= cut and event.name != "CUSTOM"])
    done = replay(deaf, a_call(), truth=truth)
    if done.call.live.asked is None:  # else it was still alive when it was asked, and we ended it
        assert outcome(done.call) == outcome(whole.call)


@pytest.mark.parametrize(("name", "number"), ANSWERED)
def test_a_node_that_forgot_the_call_has_cut_its_flow(name: str, number: int) -> None:
    """FreeSWITCH was killed in the middle of the flow, and is back: it knows no channel and keeps no cause."""
    truth = recorded(name)[number]
    answer = truth.when("CHANNEL_ANSWER")
    assert answer is not None
    deaf = replace(truth, events=[(at, event) for at, event in truth.events if at <= answer])
    done = replay(deaf, a_call(), truth=truth, keeps=False)
    assert done.call.failure is FailureReason.FLOW_ERROR
    if done.call.live.asked is None:
        assert "node fs1 knows nothing of the channel any more" in (done.call.failure_detail or "")


@st.composite
def disturbed(draw: Any) -> tuple[Recorded, Recorded]:
    """A recorded call, and what came of it: any of its events any number of times, in an order of its own."""
    name, number = draw(st.sampled_from(CALLS))
    truth = recorded(name)[number]
    kept = [place for place in heard(truth) for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2])))]
    order = draw(st.permutations(kept)) if draw(st.booleans()) else kept
    times = sorted(truth.events[place][0] for place in kept)
    return truth, replace(truth, events=[(at, truth.events[p][1]) for at, p in zip(times, order, strict=True)])


@settings(max_examples=300, deadline=None)
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@given(disturbed())
def test_whatever_comes_of_a_call_it_ends_once_with_its_own_cause(pair: tuple[Recorded, Recorded]) -> None:
    truth, came = pair
    whole, done = replay(truth, a_call(), truth=truth), replay(came, a_call(), truth=truth)
    ends_once(done)
    if done.call.live.asked is not None or not came.events:
        return  # nothing told of the end, so we have ended it
    expected, found = outcome(whole.call), outcome(done.call)
    assert (found.cause, found.answered) == (expected.cause, expected.answered)
    begun = FailureReason.SESSION_START_FAILED if expected.answered and not done.call.flow_started else expected.failure
    # A job's result has the cause alone: where nothing else told of the end, the SIP status is not known.
    by_cause = classify(found.cause or "", None) if found.sip_status is None else begun
    assert found.failure in (begun, by_cause)


def test_the_recorded_ends_tell_who_ended_them() -> None:
    """The table of causes by which neither side ends a call is of use only if the sides are told apart."""
    ends = [
        end
        for name, number in CALLS
        for _, event in recorded(name)[number].events
        if event.name in ENDED_BY and (end := read_end(event.headers)) is not None
    ]
    assert any(end.info.by_far_end for end in ends)
    assert not [end for end in ends if end.info.by_far_end and end.info.cause in CUT_BY]
    told = {end.info.cause for end in ends if not end.info.by_far_end}
    assert told >= {"SYSTEM_SHUTDOWN", "MANAGER_REQUEST", "ALLOTTED_TIMEOUT"}


def test_an_event_without_a_cause_still_tells_that_the_end_is_near() -> None:
    going = Event("CHANNEL_EXECUTE_COMPLETE", "", {"Answer-State": "hangup"})
    assert [given.end for given in inputs(going)] == [None]  # type: ignore[union-attr]
    assert inputs(Event("CHANNEL_DESTROY", "", {})) == []
