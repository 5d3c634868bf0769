"""Words weighed with sound: bounded, softened where unsure or stale, and never an answer by themselves."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amd_model.detector.evidence import MOST_ODDS, STALE_MS, WordEvidence, weighed

pytestmark = pytest.mark.unit

shares = st.floats(0, 1)


@st.composite
def posteriors(draw: st.DrawFn) -> tuple[float, float, float, float]:
    parts = [draw(st.floats(0.001, 1)) for _ in range(4)]
    whole = sum(parts)
    return (parts[0] / whole, parts[1] / whole, parts[2] / whole, parts[3] / whole)


@given(posteriors(), shares, shares, st.integers(0, 9_000), st.integers(0, 9_000), st.floats(0, 2))
def test_it_stays_a_distribution_and_leaves_the_rest(
    posterior: tuple[float, float, float, float], live: float, sure: float, until: int, spoken: int, weight: float
) -> None:
    after = weighed(posterior, WordEvidence(live, sure, until), spoken, weight)
    assert sum(after) == pytest.approx(1.0)
    assert after[2:] == posterior[2:]
    assert all(0 <= part <= 1 for part in after)


@given(posteriors(), shares, shares)
def test_words_pull_to_their_own_side(posterior: tuple[float, float, float, float], live: float, sure: float) -> None:
    before, after = posterior, weighed(posterior, WordEvidence(live, sure, 2_000), 2_000)
    if live > 0.5:
        assert after[0] >= before[0] - 1e-12
    else:
        assert after[0] <= before[0] + 1e-12


def test_words_that_tell_nothing_change_nothing() -> None:
    posterior = (0.6, 0.3, 0.05, 0.05)
    assert weighed(posterior, WordEvidence(0.5, 1.0, 2_000), 2_000) == pytest.approx(posterior)
    assert weighed(posterior, WordEvidence(0.99, 0.0, 2_000), 2_000) == pytest.approx(posterior)
    assert weighed((0.0, 0.0, 0.0, 1.0), WordEvidence(0.99, 1.0, 2_000), 2_000) == (0.0, 0.0, 0.0, 1.0)


def test_nobody_is_surer_than_the_bound() -> None:
    assert WordEvidence(1.0, 1.0, 2_000).log_odds(2_000) == MOST_ODDS
    assert WordEvidence(0.0, 1.0, 2_000).log_odds(2_000) == -MOST_ODDS


def test_a_person_s_words_are_doubted_when_more_was_said_a_machine_s_are_not() -> None:
    person, machine = WordEvidence(0.9, 1.0, 2_000), WordEvidence(0.1, 1.0, 2_000)
    assert person.log_odds(2_000 + STALE_MS) == pytest.approx(math.log(9))
    assert 0 < person.log_odds(2_001 + STALE_MS) < math.log(9) / 2
    assert machine.log_odds(9_000) == pytest.approx(-math.log(9))
