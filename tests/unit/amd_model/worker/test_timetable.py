"""When slots run, and when a worker must say that it can take no more."""

from __future__ import annotations

import pytest

from amd_model.worker.timetable import (
    CYCLE_S,
    ENOUGH_STREAMS,
    FEW_STREAMS,
    GROUPS,
    LATE_SLOTS,
    MAX_BUSY,
    MAX_LAG_S,
    SLOT_S,
    Timetable,
)

pytestmark = pytest.mark.unit


def keep(timetable: Timetable, now: float, slots: int, takes: float, streams: int = 10) -> float:
    """Run slots as the server does: wait, run, tell."""
    for _ in range(slots):
        now += timetable.wait(now)
        timetable.ran(now, now + takes, streams)
        now += takes
    return now


def test_a_kept_timetable_has_the_lag_of_its_work() -> None:
    timetable = Timetable(100.0)
    assert (timetable.lag_s, timetable.busy, timetable.overloaded(0)) == (0.0, 0.0, False)
    now = keep(timetable, 100.0, 60, 0.004)
    assert now == pytest.approx(100.0 + 59 * SLOT_S + 0.004, abs=0.002)
    assert timetable.lag_s == pytest.approx(0.004, abs=0.001)
    assert timetable.busy == pytest.approx(0.004 / SLOT_S, abs=0.01)
    assert not timetable.overloaded(FEW_STREAMS)


def test_one_late_slot_is_seen_and_forgiven() -> None:
    timetable = Timetable(0.0)
    now = keep(timetable, 0.0, 50, 0.002)
    now = keep(timetable, now, 1, 0.200)
    assert timetable.lag_s == pytest.approx(0.200)
    assert not timetable.overloaded(FEW_STREAMS)
    now = keep(timetable, now, 60, 0.002)
    assert timetable.lag_s < 0.01
    assert not timetable.overloaded(FEW_STREAMS)


def test_slots_longer_than_their_time_are_an_overload() -> None:
    timetable = Timetable(0.0)
    now = keep(timetable, 0.0, 60, SLOT_S * 1.1)
    assert timetable.overloaded(FEW_STREAMS)
    assert timetable.busy > MAX_BUSY
    keep(timetable, now, 60, SLOT_S * 0.5)
    assert not timetable.overloaded(FEW_STREAMS)


def test_slots_that_start_late_are_an_overload_though_they_are_short() -> None:
    timetable = Timetable(0.0)
    now = 0.0
    for _ in range(LATE_SLOTS * GROUPS):
        now += MAX_LAG_S  # somebody else has the core
        timetable.ran(now, now + 0.001, 10)
    assert timetable.lag_s > MAX_LAG_S
    assert not timetable.overloaded(FEW_STREAMS - 1)  # so few are not why
    assert timetable.overloaded(FEW_STREAMS)


def test_a_backlog_of_slots_is_not_run_after_a_stall() -> None:
    timetable = Timetable(0.0)
    timetable.ran(0.0, 3.0, 10)
    now, ran = 3.0, 0
    while timetable.wait(now) < SLOT_S / 2:
        now += timetable.wait(now)
        timetable.ran(now, now, 10)
        ran += 1
    assert ran <= CYCLE_S / SLOT_S + 1


def test_streams_that_came_just_now_are_reckoned_with() -> None:
    timetable = Timetable(0.0)
    streams = 4 * ENOUGH_STREAMS
    keep(timetable, 0.0, 60, SLOT_S / 2, streams)  # half of the time, for this many
    fits = int(streams * MAX_BUSY / 0.5)
    assert not timetable.overloaded(streams)
    assert not timetable.overloaded(int(fits * 0.95))
    assert timetable.overloaded(int(fits * 1.05))


def test_few_streams_say_nothing_about_what_one_more_costs() -> None:
    timetable = Timetable(0.0)
    keep(timetable, 0.0, 60, SLOT_S / 2, streams=1)
    assert not timetable.overloaded(1_000)
