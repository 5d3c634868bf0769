"""Calls held while the service's own loop is late: what share of them comes to the right end, beside a loop on time.

Twenty calls a second are answered by a node in a process of its own, which parks each channel 0–100 ms after its
answer. Each call's flow plays two sounds and hangs up. Meanwhile a greenlet keeps the service's hub from everything,
for up to 300 ms at a time and half of the time. Right is a call that is Completed and heard both sounds to their ends.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
from gevent import monkey
from gevent.event import Event as Flag

from fsbridge import logs
from fsbridge.clock import SystemClock
from fsbridge.model.destination import Destination, DestinationKind
from fsbridge.model.ids import FlowId, OrgId, SessionId
from fsbridge.model.request import CallRequest
from fsbridge.model.status import Status
from tests.sim.stack import FLOW, ORG, Stack, running, settings

CALLS = 200
RATE = 20.0
LATE_S = 0.3
SEED = 7
PLAYS = """
steps:
  - {id: one, play: "tone_stream://%(400,0,600)"}
  - {id: two, play: "tone_stream://%(400,0,800)"}
  - {id: bye, hangup: NORMAL_CLEARING}
"""

NODE = """
from gevent import monkey; monkey.patch_all()
from gevent.event import Event
from fsbridge.clock import SystemClock
from fsbridge.simulator import Simulator, SimulatorSettings
from fsbridge.simulator.settings import AnswerGap
from fsbridge.supervise import Supervisor
gap = AnswerGap.between(0.0, 0.1)
simulator = Simulator(SimulatorSettings(answer_gap=gap), Supervisor(), SystemClock())
simulator.start()
print(f"ready on 127.0.0.1:{simulator.port}", flush=True)
Event().wait()
"""


@contextmanager
def simulated_process() -> Iterator[int]:
    """The node; gives its port."""
    with subprocess.Popen([sys.executable, "-c", NODE], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"ready on [^\s:]+:(\d+)", process.stdout.readline())
        assert found, "the simulator did not start"
        try:
            yield int(found[1])
        finally:
            process.terminate()


def be_late(over: Flag) -> None:
    """Hold the hub up, as a computation does that nobody bounded."""
    hold, chance = monkey.get_original("time", "sleep"), random.Random(SEED)
    while not over.is_set():
        hold(chance.uniform(0.0, LATE_S))
        gevent.sleep(chance.uniform(0.0, LATE_S))


def place_all(stack: Stack) -> list[SessionId]:
    """All calls, each at its time or as soon after it as the hub allows; returns once all have ended."""
    calls, clock = stack.service.calls, SystemClock()
    org = next(org for org in stack.service.settings.orgs if org.id == ORG)
    began, placed = clock.monotonic(), []
    for number in range(CALLS):
        gevent.sleep(max(0.0, began + number / RATE - clock.monotonic()))
        request = CallRequest(Destination(DestinationKind.NUMBER, "+15550100006"), None)
        placed.append(calls.place(org, FlowId(FLOW), request).session_id)
    for session in placed:
        calls.wait(session, 60.0)
    return placed


def is_right(stack: Stack, session: SessionId) -> bool:
    """Whether the call came to the end that its flow means, and was heard to its end."""
    call = stack.service.calls.get(OrgId(ORG), session)
    events = stack.service.calls.timeline(OrgId(ORG), session) or []
    steps = [event for event in events if isinstance(event, dict) and event["event"] == "stepEnded"]
    played = [step["step"] for step in steps if step.get("outcome") == "done" and step.get("durationMs", 0) >= 390]
    return call is not None and call.status is Status.COMPLETED and played == ["one", "two"]


def share_right(folder: Path, late: bool) -> float:
    """Per cent of the calls that were right."""
    no_worker = {"workers": 0, "urls": ["ws://127.0.0.1:9/amd"], "start_timeout_s": 0.1}
    with simulated_process() as port:
        configuration = settings(folder, port, amd=no_worker)
        (folder / "flows" / ORG / f"{FLOW}.yaml").write_text(PLAYS)
        with running(configuration, None) as stack:  # type: ignore[arg-type]
            over = Flag()
            if late:
                stack.service.supervisor.spawn("bench.late", be_late, over)
            placed = place_all(stack)
            over.set()
            return 100.0 * sum(is_right(stack, session) for session in placed) / len(placed)


def main() -> list[dict[str, Any]]:
    """One figure: the share of right outcomes."""
    logs.configure("json", "error")
    shares = []
    for late in (True, False):
        with tempfile.TemporaryDirectory() as folder:
            shares.append(share_right(Path(folder), late))
    return [
        {
            "name": f"right outcomes at {RATE:g} calls/s, hub up to {LATE_S * 1000:g} ms late",
            "value": shares[0],
            "unit": "%",
            "peer": "the same, hub on time",
            "peerValue": shares[1],
            "ratio": round(shares[0] / max(shares[1], 0.1), 3),
        }
    ]
