"""What a frequency means, at the edges of the published figures; heard ones are in `test_tracker`."""

from __future__ import annotations

import pytest

from amd_model.detector import tones

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("khz", [2.085, 2.1, 2.115])
def test_ced_is_2100_hz_within_15(khz: float) -> None:
    assert tones.is_ced(khz, 0.0)
    assert not tones.is_ced(khz, 2.3)
    assert not tones.is_ced(khz - 0.1, 0.0)


def test_cng_is_1100_hz_within_38_for_half_a_second() -> None:
    assert all(tones.is_cng(khz, 0.0, frames) for khz in (1.063, 1.1, 1.137) for frames in (22, 25, 28))
    assert not any(tones.is_cng(1.1, 0.0, frames) for frames in (10, 40))
    assert not tones.is_cng(1.05, 0.0, 25)


@pytest.mark.parametrize("low", [0.697, 0.770, 0.852, 0.941])
@pytest.mark.parametrize("high", [1.209, 1.336, 1.477, 1.633])
def test_every_key_is_one_and_a_row_alone_is_none(low: float, high: float) -> None:
    assert tones.is_dtmf(low * 1.015, high * 0.99)
    assert not tones.is_dtmf(low, 0.0)
    assert not tones.is_dtmf(low, high + 0.05)


@pytest.mark.parametrize(("first", "second"), [(0.425, 0.0), (0.480, 0.620), (0.350, 0.440), (0.412, 0.475)])
def test_the_national_plans_are_progress(first: float, second: float) -> None:
    assert tones.is_progress(first, second, 12)
    assert tones.is_progress(first, second, 5) == bool(second)  # alone, so short a tone may be a beep
    assert not tones.is_progress(first + 0.1, second, 12)


def test_sit_rises_in_three_steps_without_a_pause() -> None:
    assert tones.is_sit(1.3706, 0.0, 0.9138, 0)
    assert tones.is_sit(1.7767, 0.0, 1.4285, 100)
    assert not tones.is_sit(1.7767, 0.0, 0.9138, 0)
    assert not tones.is_sit(1.3706, 0.0, 0.9138, 200)
    assert not tones.is_sit(1.3706, 1.5, 0.9138, 0)


def test_neighbouring_harmonics_are_a_voice() -> None:
    assert tones.are_harmonics(0.600, 0.800)
    assert not tones.are_harmonics(0.500, 0.740)
