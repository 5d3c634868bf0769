"""Who goes first when it gets crowded."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.crowd import Crowd

pytestmark = pytest.mark.unit


def idle(_: int) -> bool:
    return True


def test_an_address_has_so_many_and_a_proxy_any() -> None:
    crowd = Crowd[int](2, ["10.0.0.0/8", "::1/128"])
    for number in range(3):
        for address in ("192.0.2.1", "10.1.2.3", "::1", "::ffff:10.9.9.9"):
            crowd.enter(address, hash((address, number)))
    assert [crowd.crowded(a) for a in ("192.0.2.1", "192.0.2.2", "10.1.2.3", "::1", "::ffff:10.9.9.9")] == [
        True,
        False,
        False,
        False,
        False,
    ]
    crowd.leave("192.0.2.1", hash(("192.0.2.1", 0)))
    assert not crowd.crowded("192.0.2.1")


def test_an_ipv6_address_counts_with_its_network_and_an_ipv4_one_as_itself() -> None:
    crowd = Crowd[int](1, [])
    crowd.enter("2001:db8:1:2::1", 1)
    crowd.enter("2001:db8:1:2:ffff::9%eth0", 2)
    crowd.enter("2001:db8:1:3::1", 3)
    crowd.enter("::ffff:192.0.2.1", 4)
    crowd.enter("192.0.2.1", 5)
    assert crowd.crowded("2001:db8:1:2::7")
    assert not crowd.crowded("2001:db8:1:3::1")
    assert crowd.crowded("192.0.2.1")


def test_the_oldest_idle_one_of_whoever_holds_the_most_goes_first() -> None:
    crowd = Crowd[int](100, [])
    for number, address in enumerate(["a", "b", "b", "b", "c"]):
        crowd.enter(address, number)
    assert crowd.expendable(idle) == 1
    assert crowd.expendable(lambda number: number != 1) == 2
    assert crowd.expendable(lambda number: number in (0, 4)) in (0, 4)
    assert crowd.expendable(lambda _: False) is None
    assert crowd.oldest("b", idle) == 1
    assert crowd.oldest("d", idle) is None


@given(st.lists(st.tuples(st.sampled_from(["192.0.2.1", "::1", "unix"]), st.integers(0, 5), st.booleans())))
def test_who_has_left_is_not_counted(steps: list[tuple[str, int, bool]]) -> None:
    crowd, here = Crowd[int](2, []), set[tuple[str, int]]()
    for address, number, comes in steps:
        (crowd.enter if comes else crowd.leave)(address, number)
        (here.add if comes else here.discard)((address, number))
    assert len(crowd) == len(here)
    counts = Counter(address for address, _ in here)
    assert all(crowd.crowded(address) == (counts[address] > 2) for address in ("192.0.2.1", "::1", "unix"))
