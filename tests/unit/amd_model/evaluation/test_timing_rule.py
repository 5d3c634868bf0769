"""The classic rule's documented defaults."""

import numpy as np
import pytest

from amd_model.evaluation.timing_rule import timing_rule
from amd_model.verdict import Verdict

pytestmark = pytest.mark.unit


def answer(*parts):
    """Alternating seconds of silence and of a loud tone."""
    pieces = []
    for index, seconds in enumerate(parts):
        time = np.arange(int(8_000 * seconds)) / 8_000
        pieces.append(0.3 * np.sin(2 * np.pi * 300 * time) if index % 2 else 0 * time)
    return np.concatenate(pieces).astype(np.float32)


@pytest.mark.parametrize(
    ("parts", "verdict", "at"),
    [
        ((4.0,), Verdict.ANSWERING_MACHINE, 2_500),
        ((0.5, 0.5, 2.0), Verdict.LIVE_PERSON, 1_800),
        ((0.5, 2.5), Verdict.ANSWERING_MACHINE, 2_080),
        ((0.2, 0.3, 0.2, 0.3, 0.2, 0.3, 0.2, 0.3), Verdict.ANSWERING_MACHINE, 1_300),
        ((2.0, 0.06, 1.0), Verdict.UNKNOWN, 3_060),
    ],
)
def test_rule(parts, verdict, at):
    said, when = timing_rule(answer(*parts))
    assert said is verdict
    assert abs(when - at) <= 60


def test_it_gives_up_after_five_seconds():
    clicks = np.concatenate([answer(2.0, 0.06)] * 3)
    assert timing_rule(clicks) == (Verdict.UNKNOWN, 5_000)
