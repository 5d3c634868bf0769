"""Which ticks a training run learns from: weights that look at what can be heard, and at nothing else."""

from __future__ import annotations

import pytest
import torch

from amd_model.detector.spec import FRAMES_PER_TICK
from training.learning.losses import tick_weights

pytestmark = pytest.mark.unit

TICKS = 80


def _speech(*spans_ms: tuple[int, int]) -> torch.Tensor:
    speech = torch.zeros(1, TICKS * FRAMES_PER_TICK)
    for begin, end in spans_ms:
        speech[:, begin // 20 : end // 20] = 1.0
    return speech


def _weights(first_ms: int, speech: torch.Tensor, known: float = 1.0) -> list[float]:
    row = tick_weights(torch.tensor([first_ms]), speech, torch.tensor([known]))[0]
    return [round(value, 2) for value in row.tolist()]


def test_before_the_first_word_a_tick_counts_little() -> None:
    weights = _weights(1_000, _speech((1_000, 2_000)))
    assert set(weights[:9]) == {0.15}
    assert set(weights[10:30]) == {1.0}


def test_a_silence_counts_until_the_verdict_is_out_and_again_when_they_speak_again() -> None:
    weights = _weights(0, _speech((0, 1_000), (4_000, 5_000)))
    assert set(weights[:23]) == {1.0}
    assert set(weights[23:40]) == {0.25}
    assert set(weights[40:59]) == {1.0}


def test_late_ticks_count_half() -> None:
    assert _weights(0, _speech((0, 8_000)))[59:] == [0.5] * 21


def test_where_nobody_noted_the_speech_no_silence_is_counted() -> None:
    assert set(_weights(0, _speech(), known=0.0)[:59]) == {1.0}
    assert set(_weights(-1, _speech())) == {0.4}
