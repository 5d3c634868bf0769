"""The clock of listening: it never counts a moment whose bytes were not read, and it never stands still for long."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.esl.attention import IN_FLIGHT, Attention

pytestmark = pytest.mark.unit

TURN = 0.05
ROOM = 400
"""Bytes that the model's socket holds; what is sent beyond waits at the sender's side."""


@dataclass(frozen=True)
class Turn:
    """One turn of the loop: how late it was, what was sent at which share of it, and how much we read."""

    late: float
    sent: tuple[tuple[float, int], ...]
    reads: int


turns = st.lists(
    st.builds(
        Turn,
        late=st.sampled_from((0.0, 0.0, 0.01, 0.3, 8.0)),
        sent=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 500)), max_size=3).map(lambda x: tuple(sorted(x))),
        reads=st.sampled_from((0, 100, 300, 10_000)),
    ),
    max_size=40,
)


@given(turns)
def test_whatever_was_sent_before_the_clocks_time_has_been_read(world: list[Turn]) -> None:
    """Also what had no room in our socket while we were away."""
    attention, awake, real, read = Attention(), 0.0, 0.0, 0
    pending: list[tuple[float, int]] = []
    for turn in world:
        pending += [(awake + share * TURN, size) for share, size in turn.sent]
        taken = 0
        while pending and taken < turn.reads:
            at, size = pending.pop(0)
            part = min(size, turn.reads - taken)
            taken += part
            if part < size:
                pending.insert(0, (at, size - part))
        read += taken
        awake, real = awake + TURN, real + TURN + turn.late
        unread = min(ROOM, sum(size for _, size in pending))
        before = attention.listened_s
        attention = attention.turn(TURN + turn.late, TURN, read, unread)
        assert before <= attention.listened_s <= awake + 1e-9 <= real + 2e-9
        assert all(at >= attention.listened_s - 1e-9 for at, _ in pending)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=60), st.integers(1, 16))
def test_a_peer_that_never_pauses_cannot_put_its_silence_off_for_ever(lateness: list[float], megabytes: int) -> None:
    """The clock goes on once more has been read than anybody can have held back."""
    attention, read = Attention(), 0
    for late in lateness:
        read += megabytes * 1024 * 1024
        attention = attention.turn(TURN + late, TURN, read, 1)
    turns_a_mark = IN_FLIGHT // (megabytes * 1024 * 1024) + 1
    assert TURN * len(lateness) - attention.listened_s <= TURN * (2 * turns_a_mark + 1) + 1e-9


def test_lateness_counts_for_nothing() -> None:
    attention = Attention()
    for _ in range(10):
        attention = attention.turn(6.0, TURN, 0, 0)
    assert attention.listened_s == pytest.approx(10 * TURN)


def test_a_pause_that_ended_early_counts_what_it_took() -> None:
    assert Attention().turn(0.01, TURN, 0, 0).listened_s == 0.01


def test_while_something_lies_unread_the_clock_stands_and_an_empty_socket_makes_it_good() -> None:
    attention = Attention()
    for _ in range(5):
        attention = attention.turn(TURN, TURN, 99, 1)
        assert attention.listened_s == 0.0
    assert attention.turn(TURN, TURN, 100, 0).listened_s == pytest.approx(6 * TURN)
