"""Call attempts a second through the whole service, beside the same originates on a bare event socket.

The far end is busy, so a call is: REST, record, originate, hang-up, record, answer to the caller. The simulated node
runs in a process of its own; service and callers share this one, so the figure is a floor.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gevent.pool import Pool

from fsbridge import logs
from fsbridge.esl.client import EslClient
from fsbridge.esl.commands import Subscribe
from fsbridge.esl.dialstring import GatewayEndpoint, OriginatePlan, originate
from fsbridge.model.ids import ChannelUuid, FlowId, JobUuid, OrgId, SessionId, new_uuid
from fsbridge.supervise import Supervisor
from tests.sim.stack import FLOW, ORG, Stack, running, settings

CALLS = 600
AT_ONCE = 50
BUSY = "+15550100004"

NODE = """
from gevent import monkey; monkey.patch_all()
from gevent.event import Event
from fsbridge.clock import SystemClock
from fsbridge.simulator import Simulator, SimulatorSettings
from fsbridge.supervise import Supervisor
limits = {"max_sessions": 100_000, "sessions_per_second": 100_000}
simulator = Simulator(SimulatorSettings(**limits), Supervisor(), SystemClock())
simulator.start()
print(f"ready on 127.0.0.1:{simulator.port}", flush=True)
Event().wait()
"""
"""A simulated node whose own limits are out of the way."""


@contextmanager
def simulated_process() -> Iterator[int]:
    """A simulated node as a process; gives its port."""
    command = [sys.executable, "-c", NODE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"ready on [^\s:]+:(\d+)", process.stdout.readline())
        assert found, "the simulator did not start"
        try:
            yield int(found[1])
        finally:
            process.terminate()


def rate(task: Callable[[int], None]) -> float:
    """Tasks a second, AT_ONCE at a time."""
    pool = Pool(AT_ONCE)
    began = time.perf_counter()
    for _ in pool.imap_unordered(task, range(CALLS)):
        pass
    return CALLS / (time.perf_counter() - began)


def through_the_service(folder: Path, port: int) -> float:
    """REST calls, held to their outcome."""
    no_worker = {"workers": 0, "urls": ["ws://127.0.0.1:9/amd"], "start_timeout_s": 0.1}
    fast = {"requests_per_second": 100_000}
    configuration = settings(folder, port, amd=no_worker, service=fast)

    def place(stack: Stack) -> Callable[[int], None]:
        def one(_: int) -> None:
            resource = stack.place(BUSY, mode="sync").json()
            assert resource["failureReason"] == "busy", resource

        return one

    with running(configuration, None) as stack:  # type: ignore[arg-type]
        return rate(place(stack))


def on_a_bare_socket(port: int) -> float:
    """The same originates, sent by the event-socket client alone."""
    supervisor = Supervisor()
    client = EslClient("127.0.0.1", port, "ClueCon", supervisor)
    client.connect()
    client.command(Subscribe(("BACKGROUND_JOB",)))

    def one(_: int) -> None:
        plan = OriginatePlan(
            channel=ChannelUuid(new_uuid()),
            endpoint=GatewayEndpoint("carrier", BUSY),
            caller_id="+15550100100",
            session=SessionId(new_uuid()),
            org=OrgId(ORG),
            flow=FlowId(FLOW),
            node="bench",
        )
        result = client.bgapi(originate(plan), JobUuid(new_uuid()), 30.0)
        assert result.text == "USER_BUSY", result

    try:
        return rate(one)
    finally:
        client.stop()
        supervisor.stop()


def main() -> list[dict[str, Any]]:
    """One figure: call attempts a second."""
    logs.configure("json", "error")
    with tempfile.TemporaryDirectory() as folder, simulated_process() as port:
        bare = on_a_bare_socket(port)
        service = through_the_service(Path(folder), port)
    return [
        {
            "name": "call attempts, REST to outcome",
            "value": round(service),
            "unit": "calls/s",
            "peer": "originate on a bare event socket",
            "peerValue": round(bare),
            "ratio": round(service / bare, 3),
        }
    ]
