"""When the words are looked at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amd_model.detector.looks import FRESH_MS, LEAST_MS, LONG_MS, MOST, PAUSE_MS, Looks
from amd_model.detector.spec import TICK_MS

pytestmark = pytest.mark.unit

Turn = list[tuple[int, int]]
"""What is spoken: from, until."""


def asked(turns: Turn, until_ms: int) -> list[int]:
    """When looks are asked for, tick by tick, of speech that goes on at these times."""
    looks, times = Looks(), []
    for now in range(TICK_MS, until_ms + 1, TICK_MS):
        begun = [start for start, _ in turns if start < now]
        spoken = [min(end, now) - start for start, end in turns if start < now]
        last = max((min(end, now) for start, end in turns if start < now), default=-1)
        if looks.due(begun[0] if begun else -1, last, sum(spoken), now):
            times.append(now)
    return times


def test_silence_is_not_looked_at() -> None:
    assert asked([], 10_000) == []


def test_a_word_and_a_pause_are_one_look() -> None:
    assert asked([(500, 1_000)], 8_000) == [1_200]


def test_a_click_is_no_word() -> None:
    assert asked([(500, 500 + LEAST_MS - 20)], 5_000) == []


def test_who_goes_on_is_looked_at_again() -> None:
    assert asked([(500, 1_000), (2_500, 3_300)], 8_000) == [1_200, 2_700, 3_500]


def test_a_little_more_is_not_looked_at_again() -> None:
    assert asked([(500, 1_000), (1_400, 1_400 + FRESH_MS - 450)], 8_000) == [1_200]


def test_a_long_turn_is_looked_at_while_it_goes_on() -> None:
    assert asked([(0, 7_000)], 9_000) == [LONG_MS[0], LONG_MS[1], 7_000 + PAUSE_MS]


@given(st.lists(st.tuples(st.integers(0, 80), st.integers(1, 40)), max_size=12))
def test_never_more_than_are_allowed_nor_before_anybody_spoke(parts: list[tuple[int, int]]) -> None:
    turns: Turn = []
    at = 0
    for gap, length in parts:
        turns.append((at + gap * 50, at + gap * 50 + length * 50))
        at = turns[-1][1]
    times = asked(turns, at + 3_000)
    assert len(times) <= MOST
    assert times == sorted(set(times))
    assert all(time > turns[0][0] for time in times)
