"""The lifecycle, by properties: whatever comes, in whatever order, a call ends exactly once and then rests."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amd_model.verdict import AmdEvent, EventKind, Mode, Verdict
from fsbridge.call.lifecycle import inputs as i
from fsbridge.call.lifecycle.effects import Effect, Kill, Originate, StartFlow, Tell
from fsbridge.call.lifecycle.machine import earliest, step
from fsbridge.model.call import Call
from fsbridge.model.moment import Moment
from fsbridge.model.notice import Notice
from fsbridge.model.status import Deadline, Phase
from tests.unit.call.build import CHANNEL, LIMITS, a_call, an_end, hung_up, verdict

pytestmark = pytest.mark.unit

INPUTS: list[i.Input] = [
    i.Begin(),
    i.Unplaceable("no node"),
    i.OriginateFailed("refused"),
    i.OriginateUnsure(),
    i.JobDone(True, CHANNEL),
    i.JobDone(True, "99999999-9999-4999-8999-999999999999"),
    i.JobDone(False, "USER_BUSY"),
    i.JobDone(False, "A_CAUSE_NOBODY_KNOWS"),
    i.JobDone(True, ""),
    i.JobDone(False, "no reply"),
    i.JobUnclear(),
    i.ChannelSeen(),
    i.Progress(),
    i.Progress(early_media=True),
    i.Answered(),
    i.Answered(3.0),
    i.Parked(True),
    i.Parked(False),
    i.CalledBack(),
    i.TapConnected(),
    i.TapFailed("gone"),
    i.TapFailed("gone", final=True),
    *(verdict(result) for result in Verdict),
    i.AmdHeard(AmdEvent(EventKind.BEEP, at_ms=5_000)),
    i.AmdHeard(AmdEvent(EventKind.GREETING_END, at_ms=4_000)),
    i.AmdHeard(AmdEvent(EventKind.CORRECTION, at_ms=4_000, result=Verdict.LIVE_PERSON)),
    i.FlowBegan("v1", fails_at_hangup=True),
    *(i.FlowEnded(result, "words") for result in i.FlowResult),
    hung_up(),
    hung_up("NO_ANSWER", 19),
    hung_up(talk_s=2.0),
    hung_up("MEDIA_TIMEOUT", None, talk_s=2.0),
    i.HangingUp(),
    i.HangingUp(an_end("SYSTEM_SHUTDOWN", None)),
    i.HangingUp(an_end(talk_s=0.0)),
    i.ChannelGone(),
    i.ChannelGone(an_end("USER_BUSY", 17)),
    i.ChannelAlive(5.0),
    i.ChannelAlive(0.0, parked=True),
    i.ChannelAlive(),
    i.NodeAway(),
    i.NodeBack(),
    i.NodeLost(),
    i.StopAsked("stopping"),
    *(i.DeadlinePassed(which) for which in Deadline),
]

REAL = [
    [i.Begin(), i.ChannelSeen(), i.Progress(), i.Answered(), i.TapConnected(), i.JobDone(True, CHANNEL),
     i.Parked(True), verdict(Verdict.LIVE_PERSON), i.FlowEnded(i.FlowResult.FINISHED), hung_up()],
    [i.Begin(), i.ChannelSeen(), hung_up("USER_BUSY", 17), i.JobDone(False, "USER_BUSY")],
    [i.Begin(), i.ChannelSeen(), i.Progress(), i.JobDone(False, "NO_ANSWER"), hung_up("NO_ANSWER", 19)],
    [i.Begin(), i.ChannelSeen(), i.Answered(), i.TapConnected(), verdict(Verdict.ANSWERING_MACHINE), hung_up()],
]  # fmt: skip

calls = st.builds(
    a_call,
    st.none() | st.sets(st.sampled_from([Verdict.LIVE_PERSON, Verdict.ANSWERING_MACHINE, Verdict.UNKNOWN]), min_size=1),
    st.sampled_from(list(Mode)),
    inbound=st.booleans(),
)
noise = st.lists(st.sampled_from(INPUTS), max_size=40)


@st.composite
def disturbed(draw: Any) -> list[i.Input]:
    """A real story with events lost, doubled and out of order."""
    story = list(draw(st.sampled_from(REAL)))
    kept = [event for event in story for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2])))]
    return list(draw(st.permutations(kept)))


def run_to_the_end(call: Call, events: list[i.Input]) -> tuple[Call, list[Effect]]:
    """Feed the events, then only let time pass, as the runner does when nothing comes any more.

    A channel that was given away may last as long as it likes; looked after, it turns out to be gone.
    """
    now, effects = 0.0, []
    for event in [*events, *(() if call.phase is not Phase.QUEUED else (i.Begin(),))]:
        now += 0.05
        call, made = step(call, event, Moment(now, 1_000.0 + now), LIMITS)
        effects += made
    for _ in range(30):
        waits = earliest(call)
        if waits is None:
            break
        now = max(now, waits[1])
        call, made = step(call, i.DeadlinePassed(waits[0]), Moment(now, 1_000.0 + now), LIMITS)
        effects += made
        if call.handed_over:
            call, made = step(call, i.ChannelGone(), Moment(now, 1_000.0 + now), LIMITS)
            effects += made
    return call, effects


def check(call: Call, effects: list[Effect]) -> None:
    ends = [e for e in effects if isinstance(e, Tell) and e.notice is not Notice.ANSWERED]
    assert call.ended, f"left in {call.phase} with deadlines {dict(call.deadlines)}"
    assert len(ends) == 1
    assert effects.count(Originate()) <= 1
    assert effects.count(StartFlow()) <= 1
    assert effects[-1] == ends[0]
    answered = [e for e in effects if e == Tell(Notice.ANSWERED)]
    assert len(answered) == (1 if call.answered_at is not None else 0)
    assert (ends[0] == Tell(Notice.FAILED)) == (call.failure is not None)
    if StartFlow() in effects and call.request.call_analysis is not None:
        assert call.analysis is not None


@settings(max_examples=400, deadline=None)
@given(calls, st.one_of(noise, disturbed()))
def test_every_order_of_events_ends_exactly_once(call: Call, events: list[i.Input]) -> None:
    check(*run_to_the_end(call, [i.Begin(), *events]))


@settings(max_examples=200, deadline=None)
@given(calls, noise, noise)
def test_nothing_happens_after_the_end(call: Call, events: list[i.Input], later: list[i.Input]) -> None:
    ended, _ = run_to_the_end(call, [i.Begin(), *events])
    for event in later:
        after, effects = step(ended, event, Moment(1e6, 1e6), LIMITS)
        assert after is ended
        assert effects == ()


@settings(max_examples=200, deadline=None)
@given(calls, st.one_of(noise, disturbed()))
def test_an_open_call_always_waits_for_something(call: Call, events: list[i.Input]) -> None:
    call, _ = step(call, i.Begin(), Moment(0.0, 1_000.0), LIMITS)
    for number, event in enumerate(events):
        call, effects = step(call, event, Moment(number / 10, 1_000.0), LIMITS)
        if not call.ended:
            assert call.deadlines, f"{call.phase} waits for nothing after {event}"
            held = call.live.driven or call.phase is not Phase.IN_FLOW or Deadline.PARK in call.deadlines
            assert held or call.handed_over
        for effect in effects:
            assert not (isinstance(effect, StartFlow) and call.phase is not Phase.IN_FLOW)
            assert not (isinstance(effect, Kill) and effect.channel is None and call.phase is not Phase.HANGING_UP)
