"""torchaudio as it is installed, with its native library or without: resampling, and our filter bank beside its own."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from amd_model.detector import features
from amd_model.detector.spec import MELS
from training.telephone import transforms
from training.telephone.transforms import at_8k

pytestmark = pytest.mark.unit


def sine(rate: int, hertz: float, seconds: float = 1.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize("rate", [6_000, 8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 47_999])
def test_what_is_in_the_band_stays(rate: int) -> None:
    out = at_8k(sine(rate, 1_234.0), rate)
    assert abs(len(out) - 8_000) <= 1
    wanted = sine(8_000, 1_234.0)[: len(out)]
    assert float(np.abs(out - wanted)[400:-400].max()) < 0.005


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("hertz", [4_100.0, 5_000.0, 7_000.0])
def test_what_is_above_it_goes_and_does_not_come_back_as_something_else(rate: int, hertz: float) -> None:
    out = at_8k(sine(rate, hertz), rate)
    assert float(np.sqrt(np.mean(out[400:-400] ** 2))) < 0.001


def test_nothing_is_nothing() -> None:
    assert len(at_8k(np.zeros(0, np.float32), 44_100)) == 0


def test_it_is_torchaudio_that_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = transforms.functional().resample

    def seen(*given: object, **options: object) -> object:
        asked.append(given[1:])
        return real(*given, **options)

    monkeypatch.setattr(transforms.functional(), "resample", seen)
    at_8k(sine(16_000, 500.0), 16_000)
    at_8k(sine(47_999, 500.0, 0.1), 47_999)
    assert asked == [(16_000, 8_000)], "between rates without a common divisor its filter would take gigabytes"


def test_our_mel_bands_are_those_of_torchaudio() -> None:
    ours = features._mel_matrix()
    theirs = transforms.functional().melscale_fbanks(
        n_freqs=ours.shape[0], f_min=100.0, f_max=3_800.0, n_mels=MELS, sample_rate=8_000, norm=None, mel_scale="htk"
    )
    assert ours.shape == theirs.shape
    scale = ours.sum(dim=0) / theirs.sum(dim=0)
    assert torch.allclose(ours, theirs * scale, atol=2e-3 * float(ours.max()))


def test_it_is_had_in_a_fresh_process_too() -> None:
    code = "from training.telephone import transforms; print(transforms.functional().__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.returncode) == ("torchaudio.functional\n", 0), done.stderr
