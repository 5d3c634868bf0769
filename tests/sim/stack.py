"""A whole service in the test's process: REST, store, outbox, a simulated node over TCP, an AMD worker process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import requests
from gevent.event import Event

from api.main import Service
from api.rest.auth import hash_key
from fsbridge.clock import SystemClock
from fsbridge.settings.reading import parse
from fsbridge.settings.whole import Settings
from fsbridge.simulator import Simulator, SimulatorSettings
from fsbridge.supervise import Supervisor

ORG = "22222222-2222-4222-8222-222222222222"
OTHER_ORG = "22222222-2222-4222-8222-222222222223"
FLOW = "33333333-3333-4333-8333-333333333333"
BROKEN_FLOW = "33333333-3333-4333-8333-333333333334"
KEY = "fsb_test_key"
OTHER_KEY = "fsb_other_key"
SPEED = 10.0

TALK = """
steps:
  - id: hello
    speak: Hello {{ name }}
  - id: bye
    hangup: NORMAL_CLEARING
"""


def until(condition: Callable[[], Any], seconds: float = 20.0, every: float = 0.005) -> Any:
    """The condition's first true value; fails when there is none in time."""
    clock = SystemClock()
    deadline = clock.monotonic() + seconds
    while clock.monotonic() < deadline:
        found = condition()
        if found:
            return found
        Event().wait(every)
    raise AssertionError(f"not within {seconds} s: {condition}")


class Stack:
    """The running service, and a caller's view of it."""

    def __init__(self, service: Service, simulator: Simulator) -> None:
        self.service = service
        self.simulator = simulator
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {KEY}"
        self.base = f"http://127.0.0.1:{service.server.port}"

    def place(self, destination: str, flow: str = FLOW, **fields: Any) -> requests.Response:
        """POST a call; variables give the flow its name."""
        body = {"destinationNumber": destination, "variables": {"name": "Alex"}, **fields}
        return self.session.post(f"{self.base}/cgw/outbound/v1/orgs/{ORG}/flows/{flow}/calls", json=body, timeout=60)

    def get(self, session_id: str) -> dict[str, Any]:
        """The call resource."""
        answer = self.session.get(f"{self.base}/cgw/outbound/v1/orgs/{ORG}/calls/{session_id}", timeout=10)
        assert answer.status_code == 200, answer.text
        resource: dict[str, Any] = answer.json()
        return resource

    def ended(self, session_id: str, seconds: float = 40.0) -> dict[str, Any]:
        """Poll until the call is terminal."""

        def terminal() -> dict[str, Any] | None:
            resource = self.get(session_id)
            return resource if resource["status"] in ("Completed", "Failed") else None

        found: dict[str, Any] = until(terminal, seconds, every=0.05)
        return found


def settings(folder: Path, node_port: int, **tables: Any) -> Settings:
    """A configuration for tests; `tables` are laid over it."""
    flows = folder / "flows" / ORG
    flows.mkdir(parents=True, exist_ok=True)
    (flows / f"{FLOW}.yaml").write_text(TALK)
    (flows / f"{BROKEN_FLOW}.yaml").write_text("steps: [{id: a, sing: la}]")
    document: dict[str, Any] = {
        "service": {"listen": "127.0.0.1:0", "data_dir": str(folder / "var"), "drain_timeout_s": 1},
        "orgs": [
            {
                "id": ORG,
                "caller_id": "+15550100100",
                "api_keys": [hash_key(KEY)],
                "flows": {"transfer": [{"context": "default", "extensions": ["park"]}]},
            },
            {"id": OTHER_ORG, "caller_id": "+15550100200", "api_keys": [hash_key(OTHER_KEY)]},
        ],
        "nodes": [{"name": "sim", "port": node_port, "command_timeout_s": 2, "lost_after_s": 3}],
        "trunks": [{"name": "main", "gateways": ["carrier"]}],
        "flows": {"dir": str(folder / "flows")},
        "webhooks": {"allow_private": True, "allow_http": True},
        "dialing": {"ring_timeout_s": 20},
    }
    for name, table in tables.items():
        document[name] = {**document.get(name, {}), **table} if isinstance(table, dict) else table
    return parse(document)


@contextlib.contextmanager
def simulated_node(speed: float = SPEED, **fields: Any) -> Iterator[Simulator]:
    """A simulated FreeSWITCH on a free port."""
    supervisor = Supervisor()
    simulator = Simulator(SimulatorSettings(speed=speed, **fields), supervisor, SystemClock())
    simulator.start()
    try:
        yield simulator
    finally:
        simulator.stop()
        supervisor.stop()


@contextlib.contextmanager
def running(configuration: Settings, simulator: Simulator, *, ready: bool = True) -> Iterator[Stack]:
    """The service on a configuration; waits for its node unless told not to."""
    service = Service(configuration)
    service.start()
    try:
        if ready:
            until(lambda: not service.calls.ready(), 60.0)
        yield Stack(service, simulator)
    finally:
        service.stop()
