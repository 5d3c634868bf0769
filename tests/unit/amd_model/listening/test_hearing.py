"""What is heard, on rows of outputs made by hand: begun, ended, how long, and never two things at once."""

from __future__ import annotations

import base64
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amd_model.detector.spec import CLASSES, FRAMES_PER_TICK, HOP_MS, TICK_MS
from amd_model.listening.hearing import BANDS_TICKS, Hearing
from amd_model.verdict import AmdEvent, EventKind, Heard, Sound
from tests.unit.amd_model.helpers import NO_TONE, tone

pytestmark = pytest.mark.unit

Frame = tuple[float, tuple[float, ...]]
QUIET: Frame = (0.0, (0.5, 0.1, 0.9, 0.05, -1.5, 0.0))
TALK: Frame = (0.9, NO_TONE)
BEEP: Frame = (0.02, tone(1_000))


def listen(*stretches: tuple[Frame, int], end: bool = False) -> list[Heard | AmdEvent]:
    """Frames by what they are and for how many milliseconds → all that is told."""
    frames = [frame for frame, ms in stretches for _ in range(ms // HOP_MS)]
    frames += [QUIET] * (-len(frames) % FRAMES_PER_TICK)
    hearing = Hearing("v")
    told = []
    for at in range(0, len(frames), FRAMES_PER_TICK):
        tick = frames[at : at + FRAMES_PER_TICK]
        measures = [value for _, row in tick for value in row]
        told += hearing.hear([0.25] * len(CLASSES) + [speech for speech, _ in tick] + [0.9] + measures)
    assert hearing.heard_ms == len(frames) * HOP_MS
    return told + (hearing.finish() if end else [])


def of(what: Sound, told: list[Heard | AmdEvent]) -> list[Heard]:
    return [heard for heard in told if isinstance(heard, Heard) and heard.what is what]


def test_speech_begins_and_ends_where_it_does() -> None:
    told = listen((QUIET, 500), (TALK, 1_000), (QUIET, 500))
    assert of(Sound.SPEECH, told) == [Heard(Sound.SPEECH, 500)]
    assert of(Sound.SPEECH_END, told) == [Heard(Sound.SPEECH_END, 1_500, start_ms=500)]


def test_speech_is_told_within_a_third_of_a_second() -> None:
    assert of(Sound.SPEECH, listen((QUIET, 500), (TALK, 200)))
    assert of(Sound.SPEECH_END, listen((TALK, 500), (QUIET, 300)))
    assert not of(Sound.SPEECH_END, listen((TALK, 500), (QUIET, 200)))


def test_a_click_is_no_speech_and_a_breath_no_end() -> None:
    told = listen((QUIET, 500), (TALK, 80), (QUIET, 500), (TALK, 400), (QUIET, 240), (TALK, 400), (QUIET, 400))
    assert of(Sound.SPEECH, told) == [Heard(Sound.SPEECH, 1_080)]
    assert of(Sound.SPEECH_END, told) == [Heard(Sound.SPEECH_END, 2_120, start_ms=1_080)]


def test_what_nobody_could_hear_is_no_speech() -> None:
    assert not of(Sound.SPEECH, listen(((0.95, QUIET[1]), 1_000)))


def test_silence_is_told_as_it_grows() -> None:
    told = of(Sound.SILENCE, listen((QUIET, 3_600)))
    assert [silence.for_ms for silence in told] == [*range(200, 2_001, 200), 2_500, 3_000, 3_500]
    assert all(silence.at_ms == silence.for_ms for silence in told)


def test_silence_after_speech_counts_from_its_end() -> None:
    told = listen((TALK, 600), (QUIET, 500))
    assert told == [
        Heard(Sound.SPEECH, 0),
        Heard(Sound.SPEECH_END, 600, start_ms=0),
        Heard(Sound.SILENCE, 800, for_ms=200),
        Heard(Sound.SILENCE, 1_000, for_ms=400),
    ]


def test_a_tone_is_told_twice_and_a_beep_once_more() -> None:
    told = listen((QUIET, 1_000), (BEEP, 400), (QUIET, 600))
    begun, ended = of(Sound.TONE, told)
    assert (begun.at_ms, begun.frequency_hz, begun.duration_ms, begun.ended) == (1_000, 1_000.0, 100, False)
    assert (ended.at_ms, ended.frequency_hz, ended.duration_ms, ended.ended) == (1_000, 1_000.0, 400, True)
    (beep,) = [event for event in told if isinstance(event, AmdEvent)]
    assert (beep.kind, beep.beep_ms, beep.result, beep.model_version) == (EventKind.BEEP, 1_000, None, "v")
    after = [silence for silence in of(Sound.SILENCE, told) if silence.at_ms > 1_000]
    assert [(silence.at_ms, silence.for_ms) for silence in after] == [(1_600, 200), (1_800, 400), (2_000, 600)]


@pytest.mark.parametrize("hertz", [300, 425, 1_400, 2_500])
def test_tones_from_300_to_2500_hertz(hertz: int) -> None:
    told = of(Sound.TONE, listen((QUIET, 200), ((0.02, tone(hertz)), 600), (QUIET, 200)))
    assert [heard.frequency_hz for heard in told] == [hertz, hertz]


@pytest.mark.parametrize("hertz", [200, 3_000])
def test_other_tones_are_nobodys(hertz: int) -> None:
    assert not of(Sound.TONE, listen((QUIET, 200), ((0.02, tone(hertz)), 600), (QUIET, 200)))


def test_two_tones_at_once_are_one_of_two_frequencies() -> None:
    told = of(Sound.TONE, listen((QUIET, 200), ((0.02, tone(1_209, 697)), 600), (QUIET, 200)))
    assert [(heard.frequency_hz, heard.second_hz) for heard in told] == [(697.0, 1_209.0)] * 2


def test_a_lost_packet_does_not_cut_a_tone() -> None:
    told = of(Sound.TONE, listen((QUIET, 200), (BEEP, 300), (QUIET, 40), (BEEP, 300), (QUIET, 200)))
    assert [heard.duration_ms for heard in told] == [100, 640]


def test_a_tone_that_was_taken_for_speech_ends_it() -> None:
    mistaken: Frame = (0.7, tone(1_000))
    told = listen((TALK, 400), (mistaken, 400), (QUIET, 400))
    assert of(Sound.SPEECH_END, told) == [Heard(Sound.SPEECH_END, 400, start_ms=0)]
    assert [heard.ended for heard in of(Sound.TONE, told)] == [False, True]


def test_a_vowel_is_no_tone() -> None:
    def vowel(at: int) -> Frame:
        return (0.9, tone(500 + 5 * (at % 3)))

    told = listen(*((vowel(at), HOP_MS) for at in range(40)), (QUIET, 500))
    assert not of(Sound.TONE, told)
    assert len(of(Sound.SPEECH, told)) == 1


def test_the_end_of_the_stream_ends_what_goes_on() -> None:
    assert of(Sound.SPEECH_END, listen((TALK, 600), end=True)) == [Heard(Sound.SPEECH_END, 600, start_ms=0)]
    assert [tone_.ended for tone_ in of(Sound.TONE, listen((BEEP, 500), end=True))] == [False, True]


def test_a_low_tone_after_a_greeting_is_a_beep_and_before_it_is_not() -> None:
    low: Frame = (0.02, tone(425))
    assert not [e for e in listen((QUIET, 500), (low, 600), (QUIET, 500)) if isinstance(e, AmdEvent)]
    assert [e for e in listen((TALK, 1_000), (QUIET, 500), (low, 600), (QUIET, 500)) if isinstance(e, AmdEvent)]


def test_bands_come_in_half_seconds() -> None:
    hearing = Hearing()
    row = [0.25] * len(CLASSES) + [0.0] * FRAMES_PER_TICK + [0.0] + list(QUIET[1]) * FRAMES_PER_TICK
    told = []
    for tick in range(2 * BANDS_TICKS + 1):
        hearing.hear(row)
        told.append(hearing.bands(bytes((tick,)) * 80))
    first, second = (heard for heard in told if heard is not None)
    assert told.index(first) == BANDS_TICKS - 1
    assert (first.at_ms, second.at_ms, first.hop_ms) == (0, BANDS_TICKS * TICK_MS, HOP_MS)
    assert base64.urlsafe_b64decode((second.data or "") + "==") == b"".join(bytes((n,)) * 80 for n in range(5, 10))


FRAMES = st.lists(st.tuples(st.sampled_from([QUIET, TALK, BEEP, (0.5, NO_TONE), (0.7, tone(440))]), st.integers(1, 40)))


@settings(max_examples=60, deadline=None)
@given(FRAMES)
def test_whatever_is_heard_it_is_one_thing_at_a_time_and_in_order(stretches: list[tuple[Frame, int]]) -> None:
    told = listen(*((frame, count * HOP_MS) for frame, count in stretches), end=True)
    begun, ended = of(Sound.SPEECH, told), of(Sound.SPEECH_END, told)
    assert [heard.at_ms for heard in begun] == [heard.start_ms for heard in ended]
    for start, end in zip(begun, ended, strict=True):
        assert start.at_ms <= end.at_ms
    for one, other in pairwise(ended):
        assert one.at_ms <= (other.start_ms or 0)
    tones = of(Sound.TONE, told)
    assert [heard.ended for heard in tones] == [False, True] * (len(tones) // 2)
    speaking = sounding = False
    for heard in told:
        if not isinstance(heard, Heard):
            continue
        speaking = heard.what is Sound.SPEECH if heard.what in (Sound.SPEECH, Sound.SPEECH_END) else speaking
        sounding = not heard.ended if heard.what is Sound.TONE else sounding
        assert not (speaking and sounding)
        assert not (heard.what is Sound.SILENCE and (speaking or sounding))
