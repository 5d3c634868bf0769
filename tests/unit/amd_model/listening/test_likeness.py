"""Recordings found again behind a telephone line, and others not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from amd_model.listening.likeness import BANDS, HOP, MIN_FRAMES, NOTHING, THRESHOLD, WINDOW, find, fingerprint
from training.telephone import signals
from training.telephone.channel import coded

pytestmark = pytest.mark.unit

AUDIO = Path(__file__).resolve().parents[4] / "fsbridge" / "simulator" / "audio"
Samples = NDArray[np.float32]
CLIPS: dict[str, Samples] = {
    path.stem: soundfile.read(path, dtype="float32")[0]
    for path in sorted(AUDIO.glob("*.flac"))
    if path.stem != "person-pronto"  # under half a second
}
NAMES = sorted(CLIPS)


def within(sound: Samples, before: int = 4_321, after: int = 3_000) -> Samples:
    return np.concatenate((signals.silence(before / 8_000), sound, signals.silence(after / 8_000))).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("codec", ["mulaw", "alaw", "gsm"])
@pytest.mark.parametrize("gain", [1.0, 0.1])
def test_the_same_recording_is_found_where_it_is(name: str, codec: str, gain: float) -> None:
    match = find(fingerprint(CLIPS[name]), fingerprint(coded(within(CLIPS[name] * gain), codec)))
    assert match.score >= 0.8
    assert abs(match.at_ms - 4_321 / 8) <= 20


@pytest.mark.parametrize("name", NAMES)
def test_a_clock_that_runs_faster_and_noise_change_little(name: str) -> None:
    sound = within(CLIPS[name] * 0.3)
    sound = np.interp(np.arange(0, len(sound) - 1, 1.02), np.arange(len(sound)), sound).astype(np.float32)
    sound += np.random.default_rng(1).standard_normal(len(sound)).astype(np.float32) * 0.1 * float(sound.std())
    assert find(fingerprint(CLIPS[name]), fingerprint(coded(sound, "mulaw"))).score >= 0.8


@pytest.mark.parametrize("name", NAMES)
def test_other_recordings_are_not_it(name: str) -> None:
    length = len(CLIPS[name])
    for other in NAMES:
        if other != name:
            sound = within(CLIPS[other], length, length)
            assert find(fingerprint(CLIPS[name]), fingerprint(coded(sound, "mulaw"))).score <= 0.6 < THRESHOLD


def test_something_louder_before_it_does_not_hide_it() -> None:
    sound = np.concatenate((CLIPS["machine-reader"] * 0.9, CLIPS["prompt-thanks"] * 0.05, CLIPS["person-hello"] * 0.9))
    match = find(fingerprint(CLIPS["prompt-thanks"]), fingerprint(sound))
    assert match.score > THRESHOLD
    assert abs(match.at_ms - len(CLIPS["machine-reader"]) / 8) <= 20


def test_tones_silence_and_noise_are_like_nothing() -> None:
    noise = np.random.default_rng(1).standard_normal(16_000).astype(np.float32) * 0.1
    voice = fingerprint(CLIPS["prompt-thanks"])
    for sound in (signals.silence(3.0), signals.tone((440.0,), 3.0), noise):
        flat = fingerprint(np.asarray(sound, np.float32))
        assert find(flat, flat) == NOTHING or find(flat, voice).score < 0.3
        assert find(voice, flat).score < 0.3


def test_what_is_too_short_matches_nothing() -> None:
    voice = fingerprint(CLIPS["prompt-thanks"])
    assert find(voice, voice[:-1]) == NOTHING
    assert find(voice[: MIN_FRAMES - 1], voice) == NOTHING
    assert find(voice, voice[:0]) == NOTHING
    assert find(voice, voice).score == pytest.approx(1.0)


def test_the_fingerprint_has_a_row_for_each_hop() -> None:
    assert fingerprint(np.zeros(WINDOW - 1, np.float32)).shape == (0, BANDS)
    seen = fingerprint(np.zeros(WINDOW + 3 * HOP + 5, np.float32))
    assert seen.shape == (4, BANDS)
    assert seen.dtype == np.uint8
    assert not seen.any()


def test_it_needs_no_torch() -> None:
    modules = "amd_model.listening.likeness, amd_model.verdict"
    script = f"import sys, {modules}; print({{'torch', 'scipy', 'gevent'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"
