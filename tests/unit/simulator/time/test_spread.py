"""Spreads: what is drawn lies as often where it was measured."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.simulator.time.spread import Spread

pytestmark = pytest.mark.unit

SPREAD = Spread(((0.0, 0.001), (0.5, 0.009), (0.99, 0.055), (1.0, 0.06)))


def test_the_points_are_met_and_between_them_it_is_even() -> None:
    assert [SPREAD.at(share) for share in (0.0, 0.5, 0.99, 1.0)] == pytest.approx([0.001, 0.009, 0.055, 0.06])
    assert SPREAD.at(0.25) == pytest.approx(0.005)


def test_half_of_what_is_drawn_is_below_the_middle() -> None:
    random = Random(7)
    drawn = sorted(SPREAD.draw(random) for _ in range(10_000))
    assert drawn[5000] == pytest.approx(0.009, abs=0.0005)
    assert drawn[0] >= 0.001
    assert drawn[-1] <= 0.06


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_is_no_shorter(one: float, other: float) -> None:
    assert SPREAD.at(min(one, other)) <= SPREAD.at(max(one, other))


def test_the_same_seed_draws_the_same() -> None:
    first, second = Random(3), Random(3)
    assert [SPREAD.draw(first) for _ in range(5)] == [SPREAD.draw(second) for _ in range(5)]


def test_between_is_between() -> None:
    assert (Spread.between(2, 4).at(0), Spread.between(2, 4).at(0.5), Spread.between(2, 4).at(1)) == (2, 3, 4)


@pytest.mark.parametrize(
    "points",
    [
        (),
        ((0.0, 1.0),),
        ((0.1, 1.0), (1.0, 2.0)),
        ((0.0, 1.0), (0.9, 2.0)),
        ((0.0, 1.0), (0.5, 1.0), (0.5, 2.0), (1.0, 2.0)),
        ((0.0, 2.0), (1.0, 1.0)),
    ],
)
def test_what_is_no_spread_is_refused(points: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ValueError, match="spread"):
        Spread(points)
