"""The whole service with a simulated FreeSWITCH, in this process and a temporary folder: to try flows without a switch.

For commands that play a flow or a suite on a laptop. Everything but the node and the far ends is the product itself:
REST, store, event socket over TCP, AMD workers as processes of their own. What a carrier would not allow is allowed
here, since nothing leaves the machine by itself: requests and voice bots at private addresses.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gevent.event import Event as Flag

from api.main import Service
from api.rest.auth import hash_key, new_key
from fsbridge.clock import Clock, SystemClock
from fsbridge.errors import FsbridgeError
from fsbridge.model.ids import new_uuid
from fsbridge.settings.reading import parse
from fsbridge.simulator import FarEnd, Simulator, SimulatorSettings, default_book
from fsbridge.simulator.farends.dialplan import STOCK, parked
from fsbridge.supervise import Supervisor

START_S = 60.0
CALLER_ID = "+15550100100"


class EmbeddedError(FsbridgeError):
    """The service did not come up; the message says why."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A running one: where it is, who may call, and where its flows and recordings are."""

    url: str
    org: str
    key: str
    folder: Path
    service: Service
    simulator: Simulator


@contextlib.contextmanager
def embedded(
    far_ends: Sequence[FarEnd] = (),
    inbound: Mapping[str, str] | None = None,
    *,
    speed: float = 1.0,
    keep_audio: bool = False,
    audio_dir: Path | None = None,
    clock: Clock | None = None,
) -> Iterator[Embedded]:
    """Run one. `far_ends` answer before the built-in ones; `inbound` has numbers that lead to flows of ours, by id.

    `speed` is the node's own pace; `clock` the pace of everything (see `simulator.time.fasttime`). With `keep_audio`
    what a flow listens to is kept, up to ten minutes a call. Raises EmbeddedError.
    """
    org, key, clock = new_uuid(), new_key(), clock or SystemClock()
    numbers = dict(inbound or {})
    with tempfile.TemporaryDirectory(prefix="fsbridge-embedded-") as name:
        folder = Path(name)
        for part in ("flows", "recordings", "audio"):
            (folder / part).mkdir()
        extensions = [parked(number, variables={"fsbridge_inbound": "embedded"}) for number in numbers]
        node = SimulatorSettings(
            speed=speed,
            far_ends=default_book().with_first(*far_ends),
            dialplan=STOCK.with_first(*extensions),
            recordings=str(folder / "recordings"),
        )
        supervisor = Supervisor()
        simulator = Simulator(node, supervisor, clock)
        simulator.start()
        try:
            kept = {"keep_audio_s": 60, "keep_audio_dir": str(folder / "audio"), "keep_audio_consent": True}
            open_flows = {"transfer": [{"context": "*", "extensions": ["*"]}]}
            document = {
                "service": {
                    "listen": "127.0.0.1:0",
                    "data_dir": str(folder / "var"),
                    "drain_timeout_s": 1,
                    "log_level": "error",
                },
                "orgs": [
                    {
                        "id": org,
                        "name": "embedded",
                        "caller_id": CALLER_ID,
                        "api_keys": [hash_key(key)],
                        "flows": open_flows,
                    }
                ],
                "nodes": [{"name": "simulated", "port": simulator.port}],
                "trunks": [{"name": "main", "gateways": ["carrier"]}],
                "amd": {"workers": 1, **(kept if keep_audio else {})},
                "flows": {
                    "dir": str(folder / "flows"),
                    "recordings_dir": str(folder / "recordings"),
                    "audio_dir": str(audio_dir) if audio_dir is not None else None,
                    "requests_allow_private": True,
                    "requests_allow_http": True,
                    "bots_allow_private": True,
                    "bots_allow_ws": True,
                },
                "inbound": [{"number": number, "org": org, "flow": flow} for number, flow in numbers.items()],
                "webhooks": {"allow_private": True, "allow_http": True},
            }
            service = Service(parse(document), clock)
            try:
                service.start()
                _wait_ready(service, clock)
                url = f"http://127.0.0.1:{service.server.port}"
                yield Embedded(url, org, key, folder, service, simulator)
            finally:
                service.stop()
        finally:
            simulator.stop()
            supervisor.stop()


def _wait_ready(service: Service, clock: Clock) -> None:
    until = clock.monotonic() + START_S
    while reasons := service.calls.ready():
        if clock.monotonic() > until:
            raise EmbeddedError(f"the service did not come up: {'; '.join(reasons)}")
        Flag().wait(0.05)
    if service.workers.choose().url is None:
        raise EmbeddedError("no AMD worker came up; see the log")
