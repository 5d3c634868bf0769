"""Tones told apart, on measures made by hand and on real features of synthesised sound."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from amd_model.detector.features import features
from amd_model.detector.spec import CONTEXT_SAMPLES, FRAMES_PER_TICK, MELS, TICK_SAMPLES, TONE_MEASURES
from amd_model.detector.tones import ToneKind
from amd_model.detector.tracker import ToneTracker, may_begin
from training.telephone import signals
from training.telephone.channel import band, coded

pytestmark = pytest.mark.unit


def heard(audio, speech=None, tone=0.5):
    """The tones in 8 kHz samples; ``speech`` and ``tone`` are what the network said, if it was asked."""
    padded = np.concatenate((np.zeros(CONTEXT_SAMPLES, np.float32), audio, np.zeros(2 * TICK_SAMPLES, np.float32)))
    ticks = (len(padded) - CONTEXT_SAMPLES) // TICK_SAMPLES
    with torch.inference_mode():
        seen = features(torch.from_numpy(padded[: CONTEXT_SAMPLES + ticks * TICK_SAMPLES].astype(np.float32))[None])[0]
    tracker, found = ToneTracker(), []
    for tick in range(ticks):
        rows = seen[tick * FRAMES_PER_TICK : (tick + 1) * FRAMES_PER_TICK, MELS:]
        measures = rows.flatten().tolist()
        said = () if speech is None else ([speech] * FRAMES_PER_TICK, tone)
        found += tracker.feed(measures, *said)
    return found + tracker.finish()


def after(seconds, sound):
    return np.concatenate((signals.silence(seconds), sound, signals.silence(0.5)))


@pytest.mark.parametrize("hertz", [350, 656, 800, 1_000, 1_400, 1_999])
@pytest.mark.parametrize("seconds", [0.13, 0.3, 1.0])
@pytest.mark.parametrize("codec", ["alaw", "gsm"])
def test_beeps_are_found_where_they_are(hertz, seconds, codec):
    # GSM shakes a tone as much as a vowel shakes itself: there the network's word that nobody speaks is needed.
    found = heard(coded(after(1.0, signals.tone((hertz,), seconds)), codec), 0.05 if codec == "gsm" else None)
    (tone,) = [tone for tone in found if tone.kind is ToneKind.BEEP]
    assert abs(tone.start_ms - 1_000) <= 40
    assert abs(tone.end_ms - (1_000 + seconds * 1_000)) <= 60
    assert abs(tone.frequency_hz - hertz) < 4


@pytest.mark.parametrize("pair", [(500.0, 740.0), (941.0, 1_100.0)])
def test_pairs(pair):
    (tone,) = heard(after(0.5, signals.tone(pair, 0.4)))
    assert tone.kind is ToneKind.BEEP
    assert tone.frequency_hz == pytest.approx(pair[0], abs=5)
    assert tone.second_hz == pytest.approx(pair[1], abs=5)


@pytest.mark.parametrize("level", [0.3, 0.01, 0.002])
def test_any_level_above_the_noise(level):
    noise = np.random.default_rng(1).standard_normal(16_000).astype(np.float32) * 0.0001
    sound = after(0.8, signals.tone((850.0,), 0.3) * level * 10)
    noise[: len(sound)] += sound
    assert [tone.kind for tone in heard(noise)] == [ToneKind.BEEP]


def test_in_noise():
    random = np.random.default_rng(2)
    sound = after(1.0, signals.tone((720.0,), 0.5))
    noisy = sound + random.standard_normal(len(sound)).astype(np.float32) * 0.03
    assert [tone.kind for tone in heard(band(noisy, 300.0, 3_400.0))] == [ToneKind.BEEP]


def test_a_beep_that_other_sounds_follow_as_loud_needs_the_networks_word():
    random = np.random.default_rng(5)
    street = random.standard_normal(12_000).astype(np.float32)
    sound = np.concatenate((signals.silence(0.5), signals.tone((800.0,), 0.4), band(street * 0.15, 300.0, 3_400.0)))
    assert not [tone for tone in heard(sound, speech=0.1, tone=0.5) if tone.kind is ToneKind.BEEP]
    (tone,) = heard(sound, speech=0.1, tone=0.97)
    assert (tone.kind, tone.frequency_hz) == (ToneKind.BEEP, pytest.approx(800.0, abs=3))


def test_lost_packets_in_a_beep_are_forgiven_where_the_network_is_sure():
    sound = after(0.5, signals.tone((1_234.0,), 0.6))
    at = 4_000 + 1_600
    for packet in range(at, at + 3 * 160, 160):  # what a concealment repeats does not fit in phase
        sound[packet : packet + 160] = sound[at - 160 : at]
    (tone,) = [tone for tone in heard(sound, speech=0.05, tone=0.97) if tone.kind is ToneKind.BEEP]
    assert abs(tone.start_ms - 500) <= 40
    assert abs(tone.end_ms - 1_100) <= 60


def test_dtmf_noise_and_silence_are_nothing():
    assert not [tone for tone in heard(after(0.5, signals.dtmf("147*2580369#"))) if tone.kind is ToneKind.BEEP]
    assert heard(np.random.default_rng(3).standard_normal(24_000).astype(np.float32) * 0.1) == []
    assert heard(signals.silence(2.0)) == []


def test_a_glide_and_a_tone_that_does_not_stop_are_no_beeps():
    time = np.arange(8_000) / 8_000
    glide = (0.1 * np.sin(2 * np.pi * (400 * time + 150 * time**2))).astype(np.float32)
    assert heard(after(0.5, glide)) == []
    assert heard(signals.tone((600.0,), 6.0)) == []


@pytest.mark.parametrize("seed", range(6))
def test_called_fax(seed):
    random = np.random.default_rng(seed)
    kinds = {tone.kind for tone in heard(after(0.5, signals.ced(random, 3.0)))}
    assert ToneKind.CED in kinds
    assert ToneKind.V21 in {tone.kind for tone in heard(after(0.2, signals.v21_preamble(random, 1.5)))}


def test_calling_fax():
    found = heard(after(0.5, signals.cadence((1_100.0,), (0.5, 3.0), 4.0)))
    assert found[0].kind is ToneKind.CNG
    assert found[0].kind.is_fax
    assert not ToneKind.BEEP.is_fax


@pytest.mark.parametrize("plan", sorted({"us", "uk", "eu"}))
def test_progress(plan):
    frequencies, rhythm = signals.RINGBACKS[plan]
    found = heard(signals.cadence(frequencies, rhythm, 5.0))
    assert {tone.kind for tone in found} == {ToneKind.PROGRESS}
    busy, rhythm = signals.BUSY["us"]
    assert {tone.kind for tone in heard(signals.cadence(busy, rhythm, 3.0))} == {ToneKind.PROGRESS}


def test_special_information_tones_are_no_beeps():
    found = heard(after(0.5, signals.sit(np.random.default_rng(4))))
    assert ToneKind.SIT in {tone.kind for tone in found}


def test_active_while_it_sounds():
    tracker = ToneTracker()
    frame = [0.8, 0.98, 0.3, 0.01, 1.5, 0.0]
    assert not tracker.active
    tracker.feed(frame * FRAMES_PER_TICK)
    assert tracker.active


@st.composite
def ticks_near_the_thresholds(draw):
    """[ticks, FRAMES_PER_TICK · TONE_MEASURES]: stretches that stand still, jump, fade and pair up."""
    rows = []
    for _ in range(draw(st.integers(1, 8))):
        khz = draw(st.sampled_from([0.41, 0.425, 0.8, 1.1, 1.4, 2.1]))
        share, second = draw(st.sampled_from([(0.1, 0.0), (0.6, 0.2), (0.73, 0.0), (0.95, 0.0), (0.55, 0.4)]))
        level = draw(st.sampled_from([-1.5, 0.5, 1.2]))
        fsk = draw(st.sampled_from([0.0, 0.0, 0.0, 0.85]))
        for _ in range(draw(st.integers(1, 9))):
            wobble = draw(st.sampled_from([0.0, 0.0, 0.001, 0.009, 0.012]))
            rows.append((khz + wobble, share, khz * 1.5, second, level, fsk))
    rows += [(0.0, 0.0, 0.0, 0.0, -2.0, 0.0)] * (-len(rows) % FRAMES_PER_TICK + FRAMES_PER_TICK)
    return np.array(rows, np.float32).reshape(-1, FRAMES_PER_TICK * TONE_MEASURES)


@given(ticks_near_the_thresholds())
@settings(max_examples=400)
def test_ticks_that_cannot_begin_a_tone_need_not_be_looked_at(ticks):
    looks, skips = ToneTracker(), ToneTracker()
    for row, worth in zip(ticks, may_begin(ticks), strict=True):
        told = looks.feed(row.tolist())
        if worth or not skips.idle:
            assert skips.feed(row.tolist()) == told
        else:
            skips.skip()
            assert told == []
        assert (skips.idle, skips.active) == (looks.idle, looks.active)
    assert skips.finish() == looks.finish()


def test_a_batch_is_worth_a_look_where_something_may_begin():
    silent = [0.0, 0.0, 0.0, 0.0, -2.0, 0.0] * FRAMES_PER_TICK
    tonal = [0.8, 0.95, 1.2, 0.0, 1.0, 0.0] * FRAMES_PER_TICK
    assert may_begin(np.array([silent, tonal, silent], np.float32)).tolist() == [False, True, False]
