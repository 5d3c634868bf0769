"""The simulated telephone does what each part says, and the same for the same seed."""

import numpy as np
import pytest
from scipy import signal

from tests.unit.training.sounds import voice
from training.telephone import channel, signals
from training.telephone.channel import (
    CODECS,
    Channel,
    active_rms,
    band,
    coded,
    lossy,
    noise,
    rms,
    room,
    scaled,
    through,
)

pytestmark = pytest.mark.unit


def spectrum(audio, low, high):
    frequencies, power = signal.welch(audio, 8_000, nperseg=512)
    return power[(frequencies >= low) & (frequencies < high)].sum()


def random(seed=1):
    return np.random.default_rng(seed)


def test_scaled_to_the_active_level():
    audio = np.concatenate((voice(1.0, 1, 120), np.zeros(16_000, np.float32)))
    assert 20 * np.log10(active_rms(scaled(audio, -20.0))) == pytest.approx(-20.0, abs=0.2)
    assert rms(np.zeros(0, np.float32)) == 0.0
    assert not scaled(np.zeros(800, np.float32), -20.0).any()


def test_band_takes_what_a_telephone_takes():
    white = random().standard_normal(40_000).astype(np.float32)
    out = band(white, 300.0, 3_000.0)
    assert spectrum(out, 0, 120) < 0.1 * spectrum(white, 0, 120)
    assert spectrum(out, 3_600, 4_000) < 0.2 * spectrum(white, 3_600, 4_000)
    assert spectrum(out, 800, 2_000) == pytest.approx(spectrum(white, 800, 2_000), rel=0.1)


@pytest.mark.parametrize(("codec", "worst"), [("mulaw", 30), ("alaw", 30), ("adpcm", 12), ("gsm", 3), ("linear", 90)])
def test_codecs_lose_what_they_lose(codec, worst):
    audio = scaled(voice(1.0, 3, 140), -18.0)
    out = coded(audio, codec)
    assert len(out) == len(audio)
    best = max(20 * np.log10(rms(audio) / max(1e-9, rms(np.roll(out, -shift) - audio))) for shift in (0, 1, 2))
    assert best > worst
    assert codec in CODECS


@pytest.mark.parametrize("kind", ["white", "pink", "brown", "street", "car", "hum", "clatter", "babble", "tv"])
def test_noise_has_its_level(kind):
    out = noise(kind, 16_000, random(), [voice(1.0, 5, 130)])
    assert (len(out), rms(out)) == (16_000, pytest.approx(0.1, rel=0.01))


def test_unknown_noise_is_refused():
    with pytest.raises(ValueError, match="unknown noise"):
        noise("rain", 100, random())
    with pytest.raises(ValueError, match="no voices"):
        noise("babble", 100, random(), [])


def test_loss_changes_only_lost_packets():
    audio = voice(2.0, 7, 120)
    out = lossy(audio, 0.1, 2.0, random(3))
    changed = [not np.array_equal(audio[i : i + 160], out[i : i + 160]) for i in range(0, 16_000, 160)]
    assert 2 <= sum(changed) <= 30
    assert np.array_equal(lossy(audio, 0.0, 1.0, random()), audio)


def test_room_adds_a_tail():
    click = np.zeros(8_000, np.float32)
    click[100] = 1.0
    out = room(click, 0.4, random())
    assert out[100] == pytest.approx(1.0, abs=1e-5)
    assert rms(out[200:1_500]) > 10 * rms(out[5_000:])


@pytest.mark.parametrize(
    "line",
    [
        Channel(noise="white", snr_db=15.0, low_hz=0.0),
        Channel(noise="street", snr_db=20.0, comfort_noise=True, low_hz=0.0, codecs=("gsm", "alaw")),
        Channel(loss=0.05, echo_db=-20.0, room_s=0.3, clip=0.3),
    ],
)
def test_through_is_reproducible_and_at_its_level(line):
    audio = np.concatenate((signals.silence(0.5), voice(1.0, 9, 120), signals.silence(0.5)))
    out = through(audio, line, random(4))
    assert np.array_equal(out, through(audio, line, random(4)))
    assert len(out) == len(audio)
    assert 20 * np.log10(active_rms(out)) == pytest.approx(line.level_dbfs, abs=7.0)
    assert np.abs(out).max() <= 1.0


def test_signal_to_noise_is_what_was_asked():
    audio = np.concatenate((signals.silence(1.0), voice(1.0, 9, 120)))
    out = through(audio, Channel(noise="white", snr_db=20.0, low_hz=0, high_hz=4_000, codecs=("linear",)), random())
    assert 20 * np.log10(active_rms(out[8_000:]) / rms(out[:8_000])) == pytest.approx(20.0, abs=1.0)


def test_local_tones_join_after_the_level():
    line = Channel(level_dbfs=-35.0, low_hz=0, high_hz=4_000, codecs=("linear",))
    tone = signals.tone((1_000.0,), 1.0)
    out = through(np.zeros(8_000, np.float32), line, random(), local=tone)
    assert rms(out) == pytest.approx(rms(tone), rel=0.05)
    assert channel.SAMPLE_RATE == 8_000
