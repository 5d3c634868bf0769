"""What machines ask: alive, ready, metrics, the document; at the main address, at one of their own, or at both."""

from __future__ import annotations

from dataclasses import dataclass, field

import gevent
import pytest
from gevent.event import Event

from api.rest.app import build_app, build_probes
from api.rest.ops import READY_FOR_S
from tests.unit.api.support import Client, MemoryCalls, make_settings

pytestmark = pytest.mark.unit

PROBES = ("/healthz", "/readyz", "/metrics")


@dataclass
class Hands:
    """A clock that is moved by hand."""

    now: float = 1_000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


@dataclass
class SlowToSay(MemoryCalls):
    """A service that takes its time to say whether it is ready, and counts how often it is asked."""

    asked: int = 0
    gate: Event = field(default_factory=Event)

    def ready(self) -> list[str]:
        self.asked += 1
        self.gate.wait()
        return super().ready()


def test_they_need_no_key() -> None:
    service, clock = MemoryCalls(), Hands()
    client = Client(build_app(make_settings(), service, clock), None)
    assert client.get("/healthz").json == {"status": "ok"}
    assert client.get("/readyz").json == {"status": "ready", "reasons": []}
    metrics = client.get("/metrics")
    assert metrics.body == b"fsbridge_calls_total 3\n"
    assert metrics.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert client.get("/openapi.json").json["openapi"] == "3.1.0"


def test_readiness_is_found_out_once_in_a_while() -> None:
    service, clock = MemoryCalls(), Hands()
    client = Client(build_probes(service, clock), None)
    assert client.get("/readyz").status == 200
    service.reasons = ["no node is up"]
    assert client.get("/readyz").status == 200
    clock.now += READY_FOR_S
    answer = client.get("/readyz")
    assert (answer.status, answer.json) == (503, {"status": "not_ready", "reasons": ["no node is up"]})


def test_who_asks_at_the_same_time_is_told_the_same() -> None:
    service = SlowToSay(reasons=["the disk is full"])
    client = Client(build_probes(service, Hands()), None)
    asking = [gevent.Greenlet.spawn(client.get, "/readyz") for _ in range(20)]
    gevent.sleep(0)
    service.gate.set()
    assert {each.get(timeout=5).status for each in asking} == {503}
    assert service.asked == 1


def test_an_address_of_their_own_answers_probes_and_nothing_else() -> None:
    client = Client(build_probes(MemoryCalls(), Hands()))
    assert [client.get(path).status for path in PROBES] == [200, 200, 200]
    assert client.get("/openapi.json").code == "NOT_FOUND"
    assert client.place({"destinationNumber": "+12025550123"}).code == "NOT_FOUND"


def test_they_may_be_left_out_at_the_main_address() -> None:
    settings = make_settings(probe_listen="127.0.0.1:8081", probes_on_listen=False)
    client = Client(build_app(settings, MemoryCalls(), Hands()))
    assert [client.get(path).code for path in PROBES] == ["NOT_FOUND"] * 3
    assert client.place({"destinationNumber": "+12025550123"}).status == 201
    paths = client.get("/openapi.json").json["paths"]
    assert not set(PROBES) & paths.keys()
    assert "/openapi.json" in paths
