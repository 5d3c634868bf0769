"""Posteriors and tones to events: a table of stories, without torch."""

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amd_model.detector.decision import DecisionState, decide, finish
from amd_model.detector.policy import Policy
from amd_model.detector.spec import OUTPUTS
from amd_model.verdict import AmdOptions, EventKind, Mode, Reason, Verdict
from tests.unit.amd_model.helpers import row, sure, tone

pytestmark = pytest.mark.unit

MESSAGE_END = AmdOptions(mode=Mode.MESSAGE_END)
POLICY = Policy(live=0.9, live_late=0.5, live_silence_ms=200, machine=0.95, machine_silence=0.9, fax=0.9, unknown=0.9)


def story(rows, options=None, end=True, policy=POLICY):
    options = options or AmdOptions()
    state, events = DecisionState(policy, "v"), []
    for index, outputs in enumerate(rows):
        state, told = decide(state, outputs, options, index)
        events += told
    if end:
        state, told = finish(state, options, len(rows) * 100)
        events += told
    return events, state


def test_short_greeting_then_silence_is_a_person():
    rows = [row(speech=0.0)] * 5 + [row(0.6, 0.4, 0, 0, speech=0.9)] * 6 + [sure("live")] * 10
    (event,), state = story(rows)
    assert (event.kind, event.result, event.reason) == (EventKind.VERDICT, Verdict.LIVE_PERSON, Reason.SHORT_GREETING)
    assert event.greeting_end_ms == 1_100
    assert event.at_ms == 1_300
    assert event.model_version == "v"
    assert state.done


def test_a_person_is_not_told_while_speaking():
    events, _ = story([sure("live", speech=0.9)] * 20, end=False)
    assert events == []


def test_the_demand_falls_as_the_silence_grows():
    rows = [row(speech=0.9)] * 5 + [row(0.7, 0.3, 0, 0)] * 20
    (event,), _ = story(rows)
    assert event.result is Verdict.LIVE_PERSON
    assert 400 < event.at_ms - 500 <= 800


def test_a_noise_too_short_for_a_word_is_not_believed_sooner():
    policy = replace(POLICY, live_late=0.85, live_short=0.7)
    word = [row(speech=0.9)] * 3 + [row(0.7, 0.3, 0, 0)] * 4
    assert [event.result for event in story(word, end=False, policy=policy)[0]] == [Verdict.LIVE_PERSON]
    noise = [row(speech=0.9), *[row(0.7, 0.3, 0, 0)] * 6]
    assert story(noise, end=False, policy=policy)[0] == []


def test_long_greeting_and_phrase():
    (event,), _ = story([row(speech=0.9)] * 30 + [sure("machine", speech=0.9)] * 5)
    assert (event.result, event.reason) == (Verdict.ANSWERING_MACHINE, Reason.LONG_GREETING)
    (event,), _ = story([row(speech=0.9)] * 8 + [sure("machine", speech=0.9)] * 5)
    assert (event.result, event.reason) == (Verdict.ANSWERING_MACHINE, Reason.PHRASE)


@pytest.mark.parametrize("spoken", [5, 30])
def test_sensitivity_moves_the_balance(spoken):
    rows = [row(0.45, 0.55, 0, 0, speech=0.9)] * spoken + [row(0.45, 0.55, 0, 0)] * 100
    for sensitivity, expected in ((0.2, Verdict.LIVE_PERSON), (9.0, Verdict.ANSWERING_MACHINE)):
        (event,), _ = story(rows, AmdOptions(sensitivity=sensitivity))
        assert event.result is expected


def test_silence_is_unknown_after_the_initial_silence():
    (event,), _ = story([row(0.1, 0.1, 0.1, 0.7)] * 60)
    assert (event.result, event.reason, event.at_ms) == (Verdict.UNKNOWN, Reason.NO_SPEECH, 4_500)
    (event,), _ = story([row(0.1, 0.1, 0.1, 0.7)] * 60, AmdOptions(initial_silence_ms=2_000))
    assert event.at_ms == 2_000


def test_ringback_is_named():
    ring = [sure("unknown", measures=tone(480, 620))] * 10 + [sure("unknown")] * 50
    (event,), _ = story(ring)
    assert (event.result, event.reason) == (Verdict.UNKNOWN, Reason.RINGBACK)


def test_fax_tone_needs_no_network():
    (event,), _ = story([row()] * 5 + [row(measures=tone(2_100))] * 10)
    assert (event.result, event.reason) == (Verdict.FAX, Reason.FAX_TONE)
    assert event.confidence >= 0.99
    assert event.at_ms <= 1_100


def test_fax_by_posterior_is_not_hasty():
    (event,), _ = story([sure("fax")] * 20)
    assert (event.result, event.at_ms) == (Verdict.FAX, 800)


def test_a_calling_tone_after_speech_is_no_fax():
    rows = [row(speech=0.9)] * 10 + [row()] * 3 + [row(measures=tone(1_100))] * 5 + [row(0.1, 0.8, 0.05, 0.05)] * 5
    (event, *_), _ = story(rows)
    assert event.result is Verdict.ANSWERING_MACHINE


def test_beep_after_speech_is_a_machine_and_ends_message_end_mode():
    rows = [row(speech=0.9)] * 10 + [row()] * 2 + [row(measures=tone(900))] * 4 + [row()] * 5
    (event,), _ = story(rows)
    assert (event.result, event.reason, event.beep_ms) == (Verdict.ANSWERING_MACHINE, Reason.BEEP, 1_200)
    (verdict, beep), state = story(rows, MESSAGE_END, end=False)
    assert verdict.kind is EventKind.VERDICT
    assert (beep.kind, beep.beep_ms, beep.frequency_hz) == (EventKind.BEEP, 1_200, 900.0)
    assert 1_560 <= beep.at_ms <= 1_640
    assert state.done


def test_a_tone_behind_somebody_who_may_be_a_person_is_no_beep():
    rows = [row(0.6, 0.4, 0, 0, speech=0.9)] * 10 + [row(0.6, 0.4, 0, 0, measures=tone(900.0))] * 4
    events, _ = story([*rows, row(0.6, 0.4, 0, 0, speech=0.9)], end=False)
    assert events == []


def test_message_end_waits_for_the_beep():
    greeting = [sure("machine", speech=0.9)] * 40 + [sure("machine")] * 10
    rows = greeting + [row(measures=tone(800))] * 5 + [sure("machine")] * 5
    (verdict, beep), state = story(rows, MESSAGE_END, end=False)
    assert (verdict.kind, beep.kind) == (EventKind.VERDICT, EventKind.BEEP)
    assert beep.greeting_end_ms == 4_000
    assert state.done


def test_message_end_without_a_beep_is_lasting_silence():
    (verdict, end), state = story([sure("machine", speech=0.9)] * 40 + [sure("machine")] * 60, MESSAGE_END, end=False)
    assert verdict.result is Verdict.ANSWERING_MACHINE
    assert (end.kind, end.greeting_end_ms, end.at_ms) == (EventKind.GREETING_END, 4_000, 7_000)
    assert state.done


def test_message_end_has_a_limit():
    options = AmdOptions(mode=Mode.MESSAGE_END, message_end_timeout_ms=2_000)
    (verdict, end), _ = story([sure("machine", speech=0.9)] * 200, options, end=False)
    assert end.at_ms - verdict.at_ms == 2_000


def test_a_change_of_mind_is_a_correction():
    rows = [sure("machine", speech=0.9)] * 3 + [sure("live", probability=0.99)] * 12
    (verdict, correction), state = story(rows, MESSAGE_END, end=False)
    assert verdict.result is Verdict.ANSWERING_MACHINE
    assert (correction.kind, correction.result) == (EventKind.CORRECTION, Verdict.LIVE_PERSON)
    assert state.done


def test_a_fax_switch_that_spoke_first_is_corrected():
    rows = [sure("machine", speech=0.9)] * 3 + [row(measures=tone(2_100))] * 8
    (verdict, correction), state = story(rows, MESSAGE_END, end=False)
    assert verdict.result is Verdict.ANSWERING_MACHINE
    assert (correction.result, correction.reason) == (Verdict.FAX, Reason.FAX_TONE)
    assert state.done


def test_timeout_takes_the_likeliest():
    (event,), _ = story([row(0.3, 0.6, 0.05, 0.05, speech=0.9)] * 120)
    assert (event.result, event.reason, event.at_ms) == (Verdict.ANSWERING_MACHINE, Reason.TIMEOUT, 10_000)


def test_nobody_is_a_person_who_never_spoke():
    (event,), _ = story([row(0.7, 0.1, 0.1, 0.1)] * 10)
    assert (event.result, event.reason) == (Verdict.UNKNOWN, Reason.NO_SPEECH)


def test_the_end_of_the_audio_forces_a_verdict():
    (event,), state = story([row(0.8, 0.2, 0, 0, speech=0.9)] * 10)
    assert event.result is Verdict.LIVE_PERSON
    assert state.done
    assert finish(state, AmdOptions(), 5_000)[1] == []


def test_faint_words_are_believed_when_nothing_better_came_and_the_classes_agree():
    faint = [*[row(speech=0.0)] * 5, *[row(speech=0.4)] * 2]
    (event,), _ = story([*faint, *[sure("live")] * 60])
    assert (event.result, event.at_ms) == (Verdict.LIVE_PERSON, AmdOptions().initial_silence_ms)
    assert event.greeting_end_ms == 700
    (event,), _ = story([*faint, *[row(0.5, 0.2, 0.0, 0.3)] * 120])
    assert event.result is Verdict.UNKNOWN, "the classes are not sure that there was anybody"
    (event,), _ = story([*[row(speech=0.1)] * 7, *[sure("live")] * 120])
    assert event.result is Verdict.UNKNOWN, "there was nothing, however sure they are"


def test_a_click_is_no_speech():
    rows = [row()] * 3
    rows[1] = [*rows[1][:4], 0.9, 0.9, 0.0, 0.0, 0.0, *rows[1][9:]]
    _, state = story(rows, end=False)
    assert state.first_speech_ms == -1


@given(
    st.lists(st.lists(st.floats(0.001, 1.0), min_size=OUTPUTS, max_size=OUTPUTS), max_size=120), st.sampled_from(Mode)
)
def test_exactly_one_verdict_in_time_order(rows, mode):
    events, state = story(rows, AmdOptions(mode=mode))
    assert sum(event.kind is EventKind.VERDICT for event in events) == 1
    assert events[0].kind is EventKind.VERDICT
    assert state.done
    times = [event.at_ms for event in events if event.kind is not EventKind.BEEP]
    assert times == sorted(times)
    assert all(0.0 <= event.confidence <= 1.0 for event in events)


@given(st.lists(st.lists(st.sampled_from([0.1, 0.3, 0.34, 0.4, 0.7]), min_size=5, max_size=5), max_size=40))
def test_speech_is_heard_alike_by_the_tick_and_by_the_frame(ticks):
    """A tick that is all speech or all silence is taken in one step; that must be five small ones."""
    whole, single = DecisionState(POLICY), DecisionState(POLICY)
    for index, speech in enumerate(ticks):
        whole.hear(speech, 100 * index)
        for place, probability in enumerate(speech):
            single.hear([probability], 100 * index + 20 * place)
        names = (
            "first_speech_ms",
            "last_speech_ms",
            "speech_ms",
            "faint_ms",
            "last_faint_ms",
            "_speaking",
            "_speech_run",
        )
        assert [getattr(whole, name) for name in names] == [getattr(single, name) for name in names]


@pytest.mark.parametrize("change", [{"live": "x"}, {"live": -1}, {"other": 1}])
def test_policy_refuses_what_it_does_not_know(change):
    with pytest.raises(ValueError, match="policy"):
        Policy.from_json({**Policy().to_json(), **change})


def test_policy_round_trip():
    assert Policy.from_json(POLICY.to_json()) == POLICY


@pytest.mark.parametrize(
    "module",
    [
        "verdict",
        "detector.spec",
        "detector.decision",
        "detector.policy",
        "detector.tones",
        "detector.tracker",
        "detector.pcm",
        "evaluation.metrics",
    ],
)
def test_pure_modules_bring_no_machinery(module):
    code = (
        f"import sys, amd_model.{module}; "
        "print([m for m in ('torch', 'gevent', 'requests', 'bottle', 'scipy', 'socket') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]" or (module == "detector.pcm" and "torch" not in done.stdout)
