"""Every greenlet has an owner, and its end is seen."""

from __future__ import annotations

import threading
import time

import gevent
import pytest
import structlog
from gevent import monkey
from gevent.event import Event
from gevent.pool import Group
from gevent.threadpool import ThreadPool

from fsbridge.supervise import Supervisor, run_in_thread

pytestmark = pytest.mark.unit


def test_a_task_runs_and_leaves_the_group() -> None:
    supervisor = Supervisor()
    task = supervisor.spawn("sum", lambda a, b: a + b, 1, b=2)
    assert task.get(timeout=1) == 3
    gevent.sleep(0)
    assert len(supervisor) == 0
    assert supervisor.failures == {}


def boom() -> None:
    raise ValueError("boom")


def test_a_failure_is_logged_counted_and_contained() -> None:
    told: list[tuple[str, BaseException]] = []
    supervisor = Supervisor(lambda name, error: told.append((name, error)))
    with structlog.testing.capture_logs() as lines:
        for _ in range(2):
            assert supervisor.spawn("fragile", boom).get(timeout=1) is None
    assert supervisor.failures == {"fragile": 2}
    assert [(line["event"], line["task"], line["essential"]) for line in lines] == [
        ("task_failed", "fragile", False)
    ] * 2
    assert told == []


def test_the_failure_of_an_essential_task_is_passed_on() -> None:
    told: list[tuple[str, BaseException]] = []
    supervisor = Supervisor(lambda name, error: told.append((name, error)))
    with structlog.testing.capture_logs():
        supervisor.spawn_essential("heart", boom).join(1)
    ((name, error),) = told
    assert name == "heart"
    assert str(error) == "boom"


def test_an_essential_task_without_a_listener() -> None:
    supervisor = Supervisor()
    with structlog.testing.capture_logs() as lines:
        supervisor.spawn_essential("heart", boom).join(1)
    assert lines[0]["essential"] is True


def test_later_and_cancelled() -> None:
    supervisor = Supervisor()
    ran: list[int] = []
    soon = supervisor.spawn_later(0.01, "soon", ran.append, 1)
    never = supervisor.spawn_later(0.01, "never", ran.append, 2)
    never.kill()
    began = time.monotonic()
    soon.join(1)
    assert time.monotonic() - began >= 0.009
    assert ran == [1]


def test_later_is_not_sooner_when_the_hub_was_busy() -> None:
    real_sleep = monkey.get_original("time", "sleep")
    ran: list[float] = []
    real_sleep(0.3)  # blocks the hub, as work does
    began = time.monotonic()
    Supervisor().spawn_later(0.1, "later", lambda: ran.append(time.monotonic() - began)).join(5)
    assert ran[0] >= 0.099


def test_stop_kills_what_is_left_and_that_is_no_failure() -> None:
    told: list[str] = []
    supervisor = Supervisor(lambda name, _: told.append(name))
    cleaned = Event()

    def waits() -> None:
        try:
            Event().wait(60)
        finally:
            cleaned.set()

    task = supervisor.spawn_essential("waits", waits)
    gevent.sleep(0)
    assert len(supervisor) == 1
    supervisor.stop()
    assert task.dead
    assert cleaned.is_set()
    assert len(supervisor) == 0
    assert told == []


def test_a_function_in_a_thread_leaves_the_hub_free() -> None:
    pool = ThreadPool(1)
    real_sleep, native_id = monkey.get_original("time", "sleep"), monkey.get_original("threading", "get_native_id")
    ids: list[int] = []

    def blocks(result: str) -> str:
        ids.append(native_id())
        real_sleep(0.2)
        return result

    task, beats = Group().spawn(run_in_thread, pool, blocks, "done"), 0
    while not task.ready():
        gevent.sleep(0.005)
        beats += 1
    assert task.get() == "done"
    assert beats >= 10
    assert ids != [threading.get_native_id()]
    pool.kill()


def test_an_exception_in_a_thread_comes_back(capfd: pytest.CaptureFixture[str]) -> None:
    pool = ThreadPool(1)
    with pytest.raises(ValueError, match="boom"):
        run_in_thread(pool, boom)
    pool.kill()
    assert capfd.readouterr().err == ""  # and nothing is printed besides
