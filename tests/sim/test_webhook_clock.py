"""Pauses of webhooks under clocks that are set, and in zones that change theirs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import gevent
import pytest

from fsbridge.model.notice import Notice
from fsbridge.settings.webhooks import WebhookSettings
from tests.sim.webhook_service import Service
from tests.unit.webhook.helpers import OPEN, Receiver, SetClock, failed, receiver, reply, until, webhook_call

pytestmark = pytest.mark.sim

PAUSE_S = 0.3
ONE_PAUSE = OPEN.model_copy(update={"retry_delays_s": (PAUSE_S, PAUSE_S)})
HOUR = 3_600.0


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def clock() -> SetClock:
    return SetClock(1_900_000_000.0)


def started(folder: Path, settings: WebhookSettings, clock: SetClock) -> Service:
    service = Service(folder, settings, clock)
    service.outbox.start()
    return service


@pytest.mark.parametrize("step", [HOUR, -HOUR, 20 * 365 * 24 * HOUR, -20 * 365 * 24 * HOUR])
def test_a_pause_is_as_long_as_planned_when_the_clock_is_set(
    hook: Receiver, tmp_path: Path, clock: SetClock, step: float
) -> None:
    service = started(tmp_path, ONE_PAUSE, clock)
    hook.script += [reply("500 Oops")]
    service.tell(failed(webhook_call(hook.url)), Notice.FAILED)
    until(lambda: service.count("retry") == 1, "the failed try")
    began = time.monotonic()
    clock.set_forward(step)
    until(service.settled, "nothing owed")
    assert time.monotonic() - began >= PAUSE_S - 0.05  # and `until` would not have waited an hour
    observed = service.metrics.registry.get_sample_value("fsbridge_webhook_delivery_seconds_sum")
    assert observed is not None
    assert PAUSE_S - 0.05 <= observed < 60
    service.stop()


@pytest.mark.parametrize(("away_s", "left_s"), [(HOUR - 0.3, 0.3), (2 * HOUR, 0.0)])
def test_after_a_restart_it_goes_by_utc(
    hook: Receiver, tmp_path: Path, clock: SetClock, away_s: float, left_s: float
) -> None:
    settings = OPEN.model_copy(update={"retry_delays_s": (HOUR,)})
    first = started(tmp_path, settings, clock)
    hook.script += [reply("500 Oops")]
    first.tell(failed(webhook_call(hook.url)), Notice.FAILED)
    until(lambda: first.count("retry") == 1, "the failed try")
    first.stop()
    clock.set_forward(away_s)
    began = time.monotonic()
    second = started(tmp_path, settings, clock)
    until(second.settled, "nothing owed")
    assert time.monotonic() - began >= left_s - 0.1
    second.stop()


def test_a_clock_that_was_years_ahead_holds_nothing_back_for_years(
    hook: Receiver, tmp_path: Path, clock: SetClock
) -> None:
    first = started(tmp_path, ONE_PAUSE, clock)
    hook.script += [reply("500 Oops")]
    first.tell(failed(webhook_call(hook.url)), Notice.FAILED)
    until(lambda: first.count("retry") == 1, "the failed try")
    first.stop()
    clock.set_forward(-20 * 365 * 24 * HOUR)
    second = started(tmp_path, ONE_PAUSE, clock)
    until(lambda: len(second.outbox._schedule) == 1, "taken up")
    pause = second.outbox._schedule.pause(clock.monotonic())
    assert pause is not None
    assert pause <= HOUR
    second.stop()


def test_a_long_pause_wakes_nobody(hook: Receiver, tmp_path: Path, clock: SetClock) -> None:
    service = started(tmp_path, OPEN.model_copy(update={"retry_delays_s": (HOUR,)}), clock)
    hook.script += [reply("500 Oops")]
    service.tell(failed(webhook_call(hook.url)), Notice.FAILED)
    until(lambda: service.count("retry") == 1, "the failed try")
    gevent.sleep(0.05)
    before = clock.looks
    gevent.sleep(0.5)  # a stretch of time in which nothing is to happen
    assert clock.looks - before <= 2
    service.stop()


IN_BERLIN = """
from gevent import monkey; monkey.patch_all()
import json, os, sys, time
os.environ["TZ"] = "CET-1CEST,M3.5.0,M10.5.0/3"  # Europe/Berlin, on machines without zone files too
time.tzset()
from pathlib import Path
from fsbridge.model.notice import Notice
from tests.sim.webhook_service import Service
from tests.unit.webhook.helpers import OPEN, SetClock, failed, receiver, reply, until, webhook_call

settings = OPEN.model_copy(update={"retry_delays_s": (0.3, 0.3, 0.3)})

def run(folder, clock):
    came = []
    def refuse(got):
        came.append(time.monotonic())
        return reply("500 Oops")
    with receiver() as hook:
        hook.script += [refuse] * 3
        first = Service(folder, settings, clock)
        first.outbox.start()
        first.tell(failed(webhook_call(hook.url)), Notice.FAILED)
        until(lambda: first.count("retry") == 2, "a retry", 20)
        first.stop()
        second = Service(folder, settings, clock)
        second.outbox.start()
        until(second.settled, "nothing owed", 20)
        second.stop()
    return [after - before for before, after in zip(came, came[1:])]

for name in sys.argv[2:]:
    clock = SetClock(float(name))
    folder = Path(sys.argv[1]) / name
    folder.mkdir()
    print(json.dumps({"pauses": run(folder, clock), "looks": clock.looks}))
"""


def test_a_zone_that_changes_its_clock_changes_no_pause(tmp_path: Path) -> None:
    """Spring and autumn in Berlin, and the hour of UTC that stands in the spring's gap when it is taken for local."""
    moments = ["2027-03-28T00:59:59.700", "2027-03-28T02:10:00", "2027-03-28T01:59:59.700", "2027-10-31T00:59:59.700"]
    walls = [str(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()) for moment in moments]
    ran = subprocess.run(
        [sys.executable, "-c", IN_BERLIN, str(tmp_path), *walls],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    assert len(found) == len(moments)
    for one in found:
        assert len(one["pauses"]) == 2
        assert all(pause >= 0.25 for pause in one["pauses"])
        assert one["looks"] < 100  # each try and each kick looks at the clock a few times; a spin does by the thousand
