"""What a call that waits in a flow costs: resident memory and threads, beside a bare greenlet that waits.

Everything of a call but its node is real: record, runner with its greenlet and mailbox, flow, timeline. The node takes
each application and never says that it has ended.
"""

from __future__ import annotations

import gc
import threading
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event as Flag

from fsbridge.call.conversation.flowhost import FlowServices
from fsbridge.call.lifecycle import inputs as i
from fsbridge.call.lifecycle.moves import Limits
from fsbridge.call.running.runner import CallRunner, Parts
from fsbridge.call.running.switch import Placement
from fsbridge.clock import SystemClock
from fsbridge.flow.document.document import parse
from fsbridge.model.call import Call
from fsbridge.model.destination import Destination, DestinationKind
from fsbridge.model.ids import ChannelUuid, FlowId, JobUuid, OrgId, SessionId, new_uuid
from fsbridge.model.request import CallRequest
from fsbridge.supervise import Supervisor

CALLS = 3_000
PAGE = 4_096
DOCUMENT = """
variables: {tries: 0}
steps:
  - {id: note, set: {said: 'hello to {{ name }}'}}
  - {id: ask, gather: {variable: answer, speak: 'Hello {{ name }}, press one or two.', max: 1, timeout: 60}}
  - {id: end, end: {result: '{{ answer }}'}}
"""


class QuietNode:
    """Takes what it is told."""

    epoch = 1

    def originate(self, call: Call, placement: Placement) -> i.Input:
        return i.JobDone(True, call.channel)

    def execute(self, *_: object) -> None:
        return

    def keep_hangup_cause(self, *_: object) -> None:
        return


def resident() -> int:
    """Bytes of this process in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def nothing(*_: object) -> Any:
    return None


def runners(supervisor: Supervisor, count: int) -> list[CallRunner]:
    """Calls on their way into the flow."""
    document = parse(DOCUMENT)
    services = FlowServices(*[nothing] * 6)
    parts = Parts(
        supervisor=supervisor,
        clock=SystemClock(),
        limits=Limits(),
        keep=nothing,
        began=nothing,
        seen=nothing,
        flow=lambda org, flow: document,
        other_worker=nothing,
        services=services,
        keep_timeline=nothing,
    )
    found = []
    for number in range(count):
        request = CallRequest(
            Destination(DestinationKind.NUMBER, f"+1555{number:07d}"), "+15550100100", variables={"name": "Alex"}
        )
        call = Call(
            session_id=SessionId(new_uuid()),
            org_id=OrgId(new_uuid()),
            flow_id=FlowId(new_uuid()),
            request=request,
            channel=ChannelUuid(new_uuid()),
            job=JobUuid(new_uuid()),
            node="fs1",
            trunk="main",
            created_at=0.0,
        )
        runner = CallRunner(call, Placement(None, None, 30, None), QuietNode(), parts)  # type: ignore[arg-type]
        runner.post(i.Begin())
        supervisor.spawn("call", runner.run)
        found.append(runner)
    return found


def main() -> list[dict[str, Any]]:
    """Kilobytes a call, and threads."""
    supervisor = Supervisor()
    warm = runners(supervisor, 50)
    gevent.sleep(0.5)
    threads, before = threading.active_count(), resident()
    live = runners(supervisor, CALLS)
    while not all(runner.call.flow_started for runner in (*warm, *live)):
        gevent.sleep(0.1)
    gevent.sleep(0.5)
    a_call = (resident() - before) / CALLS / 1_000
    more_threads = threading.active_count() - threads
    before = resident()
    flag = Flag()
    bare = [supervisor.spawn("bare", flag.wait) for _ in range(CALLS)]
    gevent.sleep(0.5)
    a_greenlet = (resident() - before) / CALLS / 1_000
    gevent.killall(bare)
    return [
        {
            "name": "memory of a call in a flow",
            "value": round(a_call, 1),
            "unit": "kB",
            "peer": "a bare greenlet that waits",
            "peerValue": round(a_greenlet, 1),
            "ratio": round(a_call / max(a_greenlet, 0.1), 1),
        },
        {
            "name": "threads of 3,000 calls in a flow",
            "value": more_threads,
            "unit": "threads",
            "peer": "none",
            "peerValue": 0,
            "ratio": 1.0 if more_threads == 0 else float(more_threads),
        },
    ]
