"""Simulated time: the scheduler's order, and processes that wait, are woken and stand still."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.simulator.time.process import ELAPSED, Body, Process
from fsbridge.simulator.time.scheduler import Scheduler
from fsbridge.supervise import Supervisor

pytestmark = pytest.mark.unit


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1000.0 + self.now


def scheduler_at(speed: float = 1.0) -> tuple[Scheduler, Clock]:
    clock = Clock()
    return Scheduler(clock, speed), clock


def pass_time(scheduler: Scheduler, clock: Clock, seconds: float) -> None:
    clock.now += seconds
    scheduler.perform(lambda: None)


@given(st.lists(st.floats(0, 10), max_size=20), st.sampled_from([0.5, 1.0, 20.0]))
def test_callbacks_run_in_the_order_of_simulated_time_whatever_the_speed(delays: list[float], speed: float) -> None:
    scheduler, clock = scheduler_at(speed)
    seen: list[tuple[float, int]] = []
    for number, delay in enumerate(delays):
        scheduler.call_later(delay, lambda number=number: seen.append((scheduler.now(), number)))  # type: ignore[misc]
    pass_time(scheduler, clock, 11 / speed)
    assert seen == sorted((delay, number) for number, delay in enumerate(delays))


def test_within_a_callback_it_is_the_moment_at_which_it_was_due() -> None:
    scheduler, clock = scheduler_at()
    seen: list[float] = []
    scheduler.call_later(1.0, lambda: scheduler.call_later(1.0, lambda: seen.append(scheduler.now())))
    pass_time(scheduler, clock, 9.0)
    assert seen == [2.0]
    assert scheduler.now() == 9.0
    assert scheduler.wall() == 1109.0


def test_work_from_outside_comes_after_what_was_due_and_may_fail() -> None:
    scheduler, clock = scheduler_at()
    seen: list[str] = []
    scheduler.call_later(1.0, lambda: seen.append("due"))
    clock.now += 2.0
    scheduler.perform(lambda: scheduler.perform(lambda: seen.append("work")))
    assert seen == ["due", "work"]
    with pytest.raises(ZeroDivisionError):
        scheduler.perform(lambda: 1 // 0)
    assert scheduler.perform(scheduler.now) == 2.0


def test_a_failing_callback_stops_nobody_else(capsys: pytest.CaptureFixture[str]) -> None:
    scheduler, clock = scheduler_at()
    seen: list[str] = []
    scheduler.call_later(1.0, lambda: 1 // 0)
    scheduler.call_later(1.0, lambda: seen.append("next"))
    pass_time(scheduler, clock, 2.0)
    assert seen == ["next"]
    assert "simulator_callback_failed" in capsys.readouterr().out


def test_a_cancelled_timer_does_nothing() -> None:
    scheduler, clock = scheduler_at()
    seen: list[str] = []
    scheduler.call_later(1.0, lambda: seen.append("no")).cancel()
    pass_time(scheduler, clock, 2.0)
    assert seen == []


def test_the_running_scheduler_ends_when_stopped() -> None:
    from fsbridge.clock import SystemClock

    scheduler = Scheduler(SystemClock(), 100.0)
    supervisor = Supervisor()
    seen: list[float] = []
    task = supervisor.spawn("time", scheduler.run)
    scheduler.call_later(1.0, lambda: seen.append(scheduler.now()))
    scheduler.call_later(2.0, scheduler.stop)
    task.join(timeout=5)
    assert task.ready()
    assert seen == pytest.approx([1.0], abs=0.5)


def waiting(log: list[tuple[float, str]], scheduler: Scheduler, *waits: float | None) -> Body:
    for wait in waits:
        reason = yield wait
        log.append((scheduler.now(), reason))


def process_of(*waits: float | None) -> tuple[Process, Scheduler, Clock, list[tuple[float, str]]]:
    scheduler, clock = scheduler_at()
    log: list[tuple[float, str]] = []
    process = Process(scheduler, waiting(log, scheduler, *waits), lambda: log.append((scheduler.now(), "end")))
    process.start()
    return process, scheduler, clock, log


def test_a_process_waits_is_woken_and_ends_once() -> None:
    process, scheduler, clock, log = process_of(1.0, None, 5.0)
    pass_time(scheduler, clock, 2.0)
    process.wake("door")
    pass_time(scheduler, clock, 1.0)
    process.wake("phone")
    assert log == [(1.0, ELAPSED), (2.0, "door"), (3.0, "phone"), (3.0, "end")]
    process.wake("again")
    process.suspend()
    process.resume()
    process.stop()
    assert len(log) == 4


def test_while_suspended_time_stands_still() -> None:
    process, scheduler, clock, log = process_of(2.0)
    pass_time(scheduler, clock, 0.5)
    process.suspend()
    process.suspend()
    pass_time(scheduler, clock, 10.0)
    process.resume()
    pass_time(scheduler, clock, 1.4)
    assert log == []
    pass_time(scheduler, clock, 0.2)
    assert log[0] == (12.0, ELAPSED)


def test_a_suspended_process_hears_why_it_was_woken_when_it_goes_on() -> None:
    process, _, _, log = process_of(None)
    process.suspend()
    process.wake("door")
    assert log == []
    process.resume()
    assert log == [(0.0, "door"), (0.0, "end")]


def test_a_process_that_wakes_or_suspends_or_stops_itself() -> None:
    scheduler, clock = scheduler_at()
    log: list[str] = []

    def body(act: str) -> Body:
        getattr(held[0], act)(*(("self",) if act == "wake" else ()))
        log.append((yield 5.0))

    held: list[Process] = []
    for act, seen in (("wake", ["self"]), ("suspend", []), ("stop", [])):
        log.clear()
        held[:] = [Process(scheduler, body(act))]
        held[0].start()
        pass_time(scheduler, clock, 9.0)
        assert log == seen
        held[0].resume()
        pass_time(scheduler, clock, 9.0)
        assert log == (["elapsed"] if act == "suspend" else seen)


def test_a_stopped_process_says_nothing_more() -> None:
    process, scheduler, clock, log = process_of(1.0)
    process.stop()
    pass_time(scheduler, clock, 2.0)
    assert log == []
    assert process.ended
