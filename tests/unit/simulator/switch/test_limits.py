"""A node's limits, counted as FreeSWITCH counts them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.simulator.switch.limits import BOTH, INBOUND, OUTBOUND, Limits

pytestmark = pytest.mark.unit


def test_one_less_than_the_limit_is_admitted_in_a_second() -> None:
    limits = Limits(1000, 5)
    assert [limits.admits(0.1 * n, 0, OUTBOUND) for n in range(7)] == [True] * 4 + [False] * 3
    assert limits.sessions_started == 4
    assert limits.admits(1.0, 0, OUTBOUND)
    # The refused count as well.
    assert (limits.last_rate(1.5), limits.peak_rate) == (7, 7)
    assert limits.last_rate(2.5) == 1
    assert limits.last_rate(4.5) == 0


def test_a_limit_of_one_admits_nobody() -> None:
    assert not Limits(1000, 1).admits(0.0, 0, OUTBOUND)


def test_a_new_limit_is_for_the_next_second() -> None:
    limits = Limits(1000, 10)
    assert limits.admits(0.0, 0, OUTBOUND)
    limits.sessions_per_second = 2
    assert limits.admits(0.5, 0, OUTBOUND)
    assert [limits.admits(1.0, 0, OUTBOUND), limits.admits(1.0, 0, OUTBOUND)] == [True, False]


def test_what_is_left_is_what_heartbeat_calls_the_rate() -> None:
    limits = Limits(1000, 30)
    assert limits.left(0.0) == 30
    limits.admits(0.1, 0, OUTBOUND)
    assert limits.left(0.2) == 29
    assert limits.left(1.0) == 30


def test_a_pause_may_be_of_one_way() -> None:
    limits = Limits(1000, 30)
    limits.pause(frozenset({INBOUND}))
    assert (limits.paused, limits.admits(0, 0, INBOUND), limits.admits(0, 0, OUTBOUND)) == (False, False, True)
    limits.pause()
    assert limits.paused
    assert limits.paused_ways == BOTH
    limits.resume(frozenset({OUTBOUND}))
    assert (limits.paused, limits.admits(0, 0, OUTBOUND)) == (False, True)


@given(st.integers(1, 50), st.integers(1, 50), st.lists(st.floats(0, 5), max_size=200))
def test_never_more_than_the_limits(most: int, rate: int, moments: list[float]) -> None:
    limits = Limits(most, rate)
    admitted: dict[int, int] = {}
    live = 0
    for moment in sorted(moments):
        if limits.admits(moment, live, OUTBOUND):
            live += 1
            admitted[int(moment)] = admitted.get(int(moment), 0) + 1
    assert live <= most
    assert all(count <= rate - 1 for count in admitted.values())
