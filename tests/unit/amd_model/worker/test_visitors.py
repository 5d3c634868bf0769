"""Who stands in the door is bounded, in all and for each address, and who has been there for longest goes first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amd_model.worker.visitors import SLOW_S, Visitors

pytestmark = pytest.mark.unit

MOST, OF_ONE = 6, 3


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from([0.0, 0.1, SLOW_S, 2 * SLOW_S]), st.booleans()), max_size=60
    )
)
def test_the_bounds_hold_and_the_longest_there_goes(comings: list[tuple[str, float, bool]]) -> None:
    door: Visitors[int] = Visitors(MOST, OF_ONE)
    there: dict[int, tuple[str, float]] = {}
    now = 0.0
    for number, (address, passed, leaves) in enumerate(comings):
        now += passed
        if leaves and there:
            visitor = next(reversed(there))
            door.leave(visitor)
            del there[visitor]
        mine = [visitor for visitor, (of, _) in there.items() if of == address]
        longest = mine[0] if len(mine) >= OF_ONE else next(iter(there), None) if len(there) >= MOST else None
        reason, goes = door.make_room(address, now)
        if longest is None:
            assert (reason, goes) == ("", None)
        elif now - there[longest][1] >= SLOW_S:
            assert (reason, goes) == ("", longest)
            del there[longest]
        else:
            assert (reason, goes) == ("address" if len(mine) >= OF_ONE else "handshakes", None)
            continue
        door.come(number, address, now)
        there[number] = (address, now)
        assert len(door) == len(there) <= MOST
    for visitor in there:
        door.leave(visitor)
        door.leave(visitor)
    assert len(door) == 0
    assert not door._of
