"""Places shared by organizations: one cannot have them all."""

from __future__ import annotations

from contextlib import ExitStack

import gevent
import pytest
from gevent.pool import Group
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.clock import SystemClock
from fsbridge.egress.places import TIMES, Places

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(("most", "mine", "theirs"), [(1, 1, 0), (5, 4, 1), (10, 8, 2), (200, 160, 32)])
def test_whoever_holds_many_leaves_some(most: int, mine: int, theirs: int) -> None:
    places = Places(most, SystemClock())
    with ExitStack() as held:
        assert sum(held.enter_context(places.place("a", 0)) for _ in range(most + 1)) == mine
        assert sum(held.enter_context(places.place("b", 0)) for _ in range(most + 1)) == theirs
    with places.place("b", 0) as found:
        assert found


def test_a_place_that_is_given_back_is_taken_by_who_waits() -> None:
    places = Places(1, SystemClock())
    order: list[str] = []

    def hold(who: str) -> None:
        with places.place(who, 10) as found:
            order.append(f"{who} {found}")
            gevent.sleep(0)

    waiting = Group()
    for who in "aba":
        waiting.spawn(hold, who)
    with gevent.Timeout(10):
        waiting.join()
    assert sorted(order) == ["a True", "a True", "b True"]


@given(st.lists(st.sampled_from("abcd"), max_size=60), st.integers(1, 30))
def test_nobody_has_more_than_the_rule_and_all_come_back(asked: list[str], most: int) -> None:
    places = Places(most, SystemClock())
    with ExitStack() as held:
        got = [who for who in asked if held.enter_context(places.place(who, 0))]
        assert len(got) <= most
        free = most - len(got)
        for who in set(got):
            assert got.count(who) <= TIMES * (free + 1 + len(got))
    with ExitStack() as held:
        assert sum(held.enter_context(places.place("z", 0)) for _ in range(most)) >= max(1, most * TIMES // (TIMES + 1))
