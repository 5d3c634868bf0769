"""Held requests: everybody has a share, and some places stay free."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.shares import Shares

pytestmark = pytest.mark.unit


def test_one_alone_has_half_and_the_next_half_of_the_rest() -> None:
    shares = Shares(100)
    assert sum(shares.take("a") for _ in range(100)) == 50
    assert sum(shares.take("b") for _ in range(100)) == 25
    assert sum(shares.take("c") for _ in range(100)) == 12
    for _ in range(50):
        shares.give_back("a")
    assert sum(shares.take("b") for _ in range(100)) == 44 - 25


@given(
    st.integers(1, 60),
    st.lists(st.tuples(st.sampled_from("abcde"), st.booleans()), max_size=200),
)
def test_whatever_comes_and_goes_places_are_left(room: int, steps: list[tuple[str, bool]]) -> None:
    shares, held = Shares(room), Counter[str]()
    for name, takes in steps:
        if takes:
            others = held.total() - held[name]
            taken = shares.take(name)
            assert taken == (held[name] + 1 <= (room - others) // 2)
            held[name] += taken
        elif held[name]:
            shares.give_back(name)
            held[name] -= 1
        assert held.total() <= max(0, room - 1)
