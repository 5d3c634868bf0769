"""What training varies in features: a speaker's vocal tract."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from amd_model.detector.features import mel_hz
from amd_model.detector.spec import MELS
from training.learning.batches import WARP, warped

pytestmark = pytest.mark.unit


class _Drawn(np.random.Generator):
    """Draws one given number of standard deviations."""

    def __init__(self, deviations: float) -> None:
        super().__init__(np.random.PCG64(1))
        self.deviations = deviations

    def normal(self, loc, scale, size):  # type: ignore[no-untyped-def]
        return np.full(size, loc + self.deviations * scale)


def test_nothing_drawn_changes_nothing() -> None:
    bands = torch.randn(3, 7, MELS)
    torch.testing.assert_close(warped(bands, _Drawn(0.0)), bands)


@pytest.mark.parametrize("deviations", [-1.0, 0.5, 2.0])
def test_every_frequency_is_scaled_by_one_factor(deviations: float) -> None:
    centres = torch.tensor(mel_hz()[1:-1])
    moved = warped(centres.expand(2, 3, -1), _Drawn(deviations))[1, 2] / centres
    inside = (moved * centres < centres[-1] - 1) & (moved * centres > centres[0] + 1)
    assert int(inside.sum()) > MELS // 2
    torch.testing.assert_close(moved[inside], torch.full((int(inside.sum()),), float(np.exp(deviations * WARP))))


def test_speakers_differ_and_none_is_a_giant() -> None:
    ramp = torch.tensor(mel_hz()[1:-1]).expand(400, 1, -1)
    factors = (warped(ramp, np.random.default_rng(1)) / ramp)[:, 0, MELS // 2]
    assert float(factors.log().std()) == pytest.approx(WARP, rel=0.2)
    assert float(factors.log().abs().max()) <= 2.5 * WARP + 1e-4
