"""Synthesised signalling has its published frequencies and cadences."""

import numpy as np
import pytest

from training.telephone import signals
from training.telephone.channel import rms

pytestmark = pytest.mark.unit


def peaks(audio, count=1):
    power = np.abs(np.fft.rfft(audio * np.hanning(len(audio)), 65_536))
    found = []
    for _ in range(count):
        top = int(power.argmax())
        found.append(top * 8_000 / 65_536)
        power[max(0, top - 120) : top + 120] = 0
    return sorted(found)


def test_tones_and_pairs():
    assert peaks(signals.tone((850.0,), 0.5)) == pytest.approx([850], abs=2)
    assert peaks(signals.tone((480.0, 620.0), 0.5), 2) == pytest.approx([480, 620], abs=2)
    assert rms(signals.tone((850.0,), 0.5)) == pytest.approx(0.1, rel=0.05)


def test_cadence_and_phase():
    rhythm = signals.cadence((425.0,), (1.0, 4.0), 6.0)
    on = [bool(np.abs(rhythm[i : i + 800]).max() > 0.01) for i in range(0, 48_000, 800)]
    assert on == [True] * 10 + [False] * 40 + [True] * 10
    assert not signals.cadence((425.0,), (1.0, 4.0), 2.0, phase=1.5).any()


@pytest.mark.parametrize("seed", range(20))
def test_beeps_stay_in_their_range(seed):
    sound, frequencies = signals.beep(np.random.default_rng(seed))
    assert all(350 <= f <= 2_000 for f in frequencies)
    assert 0.11 <= len(sound) / 8_000 <= 1.21
    assert peaks(sound)[0] == pytest.approx(min(frequencies, key=lambda f: abs(f - peaks(sound)[0])), abs=8)


def test_fax_parts():
    random = np.random.default_rng(1)
    # Phase reversals spread the carrier, so look at where the power lies.
    power = np.abs(np.fft.rfft(signals.ced(random, 3.0))) ** 2
    hertz = np.arange(len(power)) / 3.0
    assert power[(hertz > 2_050) & (hertz < 2_150)].sum() > 0.9 * power.sum()
    power = np.abs(np.fft.rfft(signals.v21_preamble(random, 2.0))) ** 2
    hertz = np.arange(len(power)) / 2.0
    assert power[(hertz > 1_500) & (hertz < 2_000)].sum() > 0.9 * power.sum()
    assert len({len(signals.fax(np.random.default_rng(s), 10.0)) for s in range(12)}) > 3


@pytest.mark.parametrize("seed", range(12))
def test_a_called_fax_sends_no_calling_tone(seed):
    sound = signals.fax(np.random.default_rng(seed), 10.0, called=True)
    start = int(np.flatnonzero(np.abs(sound) > 0.01)[0])
    assert abs(peaks(sound[start : start + 3_200])[0] - 1_100) > 200


def test_sit_rises_and_dtmf_is_pairs():
    sound = signals.sit(np.random.default_rng(2))
    third = len(sound) // 3
    assert peaks(sound[: third // 2])[0] < peaks(sound[-third // 2 :])[0]
    assert peaks(signals.dtmf("5")[:800], 2) == pytest.approx([770, 1_336], abs=8)


@pytest.mark.parametrize("seed", range(4))
def test_music_progress_and_ring_tails(seed):
    random = np.random.default_rng(seed)
    assert rms(signals.melody(random, 4.0)) == pytest.approx(0.1, rel=0.02)
    assert len(signals.progress(random, 5.0)) == 40_000
    assert 0.05 <= len(signals.ring_tail(random)) / 8_000 <= 0.9
