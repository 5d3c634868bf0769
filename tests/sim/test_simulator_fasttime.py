"""Time that runs fast for a whole process: the clock by itself, and the event loop in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from fsbridge.simulator.time.fasttime import MAX_SPEED, FastTime
from tests.sim.simulator_helpers import ManualClock

pytestmark = pytest.mark.sim

PROGRAM = """
from gevent import monkey
monkey.patch_all()
from fsbridge.clock import SystemClock
from fsbridge.simulator.time.fasttime import FastTime
time = FastTime.install()
import gevent, json, socket
from gevent.event import Event
from fsbridge.simulator import Simulator, SimulatorSettings, default_book, parse_script
from fsbridge.supervise import Supervisor
from tests.sim.simulator_helpers import Client

supervisor = Supervisor()
book = default_book().with_first(parse_script("one", "7", [{"ring": 5}, "answer", {"silence": 20}, "hangup"]))
simulator = Simulator(SimulatorSettings(far_ends=book), supervisor, time)
simulator.start()
client = Client(simulator.port, supervisor).login("plain CHANNEL_ANSWER CHANNEL_HANGUP_COMPLETE")
time.go(50.0)
real, fast = SystemClock().monotonic(), time.monotonic()
client.command("bgapi originate {origination_uuid=a,ignore_early_media=true}sofia/gateway/carrier/7 &park()")
with gevent.Timeout(60, AssertionError("the call did not end in a fast minute")):
    while len(client.events) < 2:
        Event().wait(0.2)
listening = socket.socket()
listening.bind(("127.0.0.1", 0))
listening.listen(1)
listening.settimeout(5)
try:
    listening.accept()
except TimeoutError:
    pass
client.close()
print(json.dumps({
    "real": SystemClock().monotonic() - real,
    "fast": time.monotonic() - fast,
    "talked": int(client.events[1].event["variable_billmsec"]),
}))
simulator.stop()
supervisor.stop()
"""


def test_waits_timeouts_sockets_and_calls_take_a_fraction_of_their_time() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    # 25 seconds of call and 5 of socket timeout.
    assert told["real"] < 10
    assert told["fast"] == pytest.approx(told["real"] * 50, rel=0.05)
    assert told["fast"] >= 30
    assert told["talked"] == pytest.approx(20_000, abs=3_000)


def test_changing_the_pace_moves_neither_clock() -> None:
    clock = ManualClock()
    time = FastTime(clock)
    clock.advance_to(10)
    assert time.monotonic() == 10
    time.go(20)
    assert time.monotonic() == 10
    assert time.wall() == clock.wall()
    clock.advance_to(11)
    assert time.monotonic() == 30
    assert time.wall() == clock.wall() + 19
    time.go(1)
    clock.advance_to(12)
    assert time.monotonic() == 31


@pytest.mark.parametrize("speed", [0, -1, MAX_SPEED + 1])
def test_a_pace_that_makes_no_sense_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="speed must be above 0 and at most 100"):
        FastTime(ManualClock()).go(speed)
