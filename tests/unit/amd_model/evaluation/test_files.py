"""Sound files as the detector hears them; which files are read at all is in `tests/unit/amd_model/sound`."""

import numpy as np
import pytest
import soundfile

from amd_model.evaluation.files import read, resample, to_pcm
from amd_model.sound.files import AudioError

pytestmark = pytest.mark.unit


def sine(rate, hertz=700.0, seconds=1.0):
    return (0.4 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize(
    ("rate", "channels", "name", "subtype"),
    [
        (8_000, 1, "a.wav", "PCM_16"),
        (8_000, 1, "a.wav", "ULAW"),
        (8_000, 2, "a.flac", "PCM_16"),
        (44_100, 2, "a.wav", "PCM_24"),
        (16_000, 1, "a.wav", "FLOAT"),
        (6_000, 1, "a.wav", "PCM_16"),
    ],
)
def test_formats(tmp_path, rate, channels, name, subtype):
    audio = sine(rate)
    soundfile.write(tmp_path / name, np.stack([audio] * channels, axis=1), rate, subtype=subtype)
    out = read(tmp_path / name)
    assert abs(len(out) - 8_000) <= 1
    middle = slice(500, -500)
    assert np.abs(out[middle] - sine(8_000)[: len(out)][middle]).max() < 0.02


def test_resampling_keeps_aliases_out():
    assert np.sqrt(np.mean(resample(sine(44_100, 9_000.0), 44_100)[200:-200] ** 2)) < 0.005


def test_truncated_is_read_as_far_as_it_goes(tmp_path):
    path = tmp_path / "t.wav"
    soundfile.write(path, sine(8_000), 8_000, subtype="PCM_16")
    path.write_bytes(path.read_bytes()[:8_044])
    assert 3_900 <= len(read(path)) <= 4_000


def test_no_samples_are_refused_by_name(tmp_path):
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 8_000)
    with pytest.raises(AudioError, match=r"none\.wav: holds no samples"):
        read(tmp_path / "none.wav")


def test_pcm_is_clipped_little_endian():
    assert to_pcm(np.array([0.0, 1.0, -2.0, 0.5], np.float32)) == b"\x00\x00\xff\x7f\x00\x80\x00\x40"
