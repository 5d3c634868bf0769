"""A suite's REST client and runner against a server that speaks the contract, and against ones that do not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from gevent import pywsgi

from fsbridge.clock import SystemClock
from fsbridge.suite.client import MAX_JSON, Client, ClientError
from fsbridge.suite.document import Planned
from fsbridge.suite.model import Outcome
from fsbridge.suite.run import Target, run
from fsbridge.supervise import Supervisor

pytestmark = pytest.mark.sim

ORG = "6f1c0a52-3a51-4d0c-9a0e-0f2f1f6f4a10"
BASE = f"/cgw/outbound/v1/orgs/{ORG}"
FLOW = "33333333-3333-4333-8333-333333333333"

Scripted = tuple[str, dict[str, str], bytes]


class Service:
    """Answers each request with the next of its script for that method and path; keeps what it was asked."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.script: dict[tuple[str, str], list[Scripted]] = {}
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.server = pywsgi.WSGIServer(("127.0.0.1", 0), self._answer, log=None, error_log=None)
        supervisor.spawn("test.service", self.server.serve_forever)

    def client(self) -> Client:
        return Client(f"http://127.0.0.1:{self.server.server_port}", ORG, "key")

    def will(self, method: str, path: str, status: str, body: Any = None, **headers: str) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.script.setdefault((method, BASE + path), []).append((status, headers, raw))

    def _answer(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["wsgi.input"].read()
        key = (environ["REQUEST_METHOD"], environ["PATH_INFO"])
        self.asked.append((*key, environ))
        answers = self.script.get(key) or [("404 Not Found", {}, b'{"error": {"code": "NOT_FOUND", "message": "no"}}')]
        status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
        start_response(status, list(headers.items()))
        return [body]


@pytest.fixture
def service() -> Iterator[Service]:
    supervisor = Supervisor()
    found = Service(supervisor)
    while not found.server.started:
        supervisor.spawn("turn", lambda: None).join()
    yield found
    found.server.stop()
    supervisor.stop()


def planned(**changes: Any) -> Planned:
    fields: dict[str, Any] = {
        "name": "a call", "attempt": 0, "place": 0, "flow": FLOW, "expect": Outcome(), "timeout_s": 5.0,
        "request": {"mode": "poll", "destinationNumber": "+15550100001"},
    }  # fmt: skip
    return Planned(**(fields | changes))


def play(service: Service, *calls: Planned, **options: Any) -> list[Any]:
    return run(Target(service.client, SystemClock(), Supervisor(), 0.01), calls, {}, 2, **options)


ENDED = {"sessionId": "s1", "status": "Completed", "flowResult": {"a": 1}}


def test_a_call_is_placed_once_and_followed_to_its_end(service: Service) -> None:
    service.will("POST", f"/flows/{FLOW}/calls", "201 Created", {"sessionId": "s1", "status": "Queued"})
    service.will("GET", "/calls/s1", "200 OK", {"sessionId": "s1", "status": "Answered"})
    service.will("GET", "/calls/s1", "502 Bad Gateway", b"proxy")
    service.will("GET", "/calls/s1", "200 OK", ENDED)
    service.will("GET", "/calls/s1/timeline", "200 OK", {"events": [{"event": "placed"}, "x"]})
    service.will("GET", "/calls/s1/audio", "404 Not Found", {"error": {"code": "NOT_FOUND", "message": "none"}})
    service.will("GET", "/calls/s1/audio", "200 OK", b"RIFF")
    (report,) = play(service, planned(), audio=True)
    assert report.passed, report
    assert (report.events, report.wav) == (({"event": "placed"},), b"RIFF")
    assert [method for method, *_ in service.asked].count("POST") == 1


def test_a_refusal_for_the_moment_is_waited_out(service: Service) -> None:
    busy = {"error": {"code": "RATE_LIMIT_EXCEEDED", "message": "slower"}}
    service.will("POST", f"/flows/{FLOW}/calls", "429 Too Many Requests", busy, Retry_After="0")
    service.will("POST", f"/flows/{FLOW}/calls", "201 Created", ENDED)
    assert play(service, planned())[0].passed


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        ("400 Bad Request", {"error": {"code": "INVALID_DESTINATION", "message": "12"}}, "400 INVALID_DESTINATION: 12"),
        ("200 OK", b"<html>", "not fsbridge's"),
        ("500 Internal Server Error", b"oops", "500: the answer is not fsbridge's"),
        ("201 Created", b"x" * (MAX_JSON + 1), "larger than"),
    ],
)
def test_a_call_that_cannot_be_placed_is_an_error_of_that_call(
    service: Service, status: str, body: Any, said: str
) -> None:
    service.will("POST", f"/flows/{FLOW}/calls", status, body)
    (report,) = play(service, planned())
    assert said in report.error
    assert len(service.asked) == 1


def test_a_call_that_does_not_end_is_told_and_left(service: Service) -> None:
    service.will("POST", f"/flows/{FLOW}/calls", "201 Created", {"sessionId": "s1", "status": "Queued"})
    service.will("GET", "/calls/s1", "200 OK", {"sessionId": "s1", "status": "Answered"})
    (report,) = play(service, planned(timeout_s=0.1))
    assert "still Answered after 0.1 s" in report.error


def test_a_service_that_is_not_there(service: Service) -> None:
    client = Client("http://127.0.0.1:9", ORG, "key")
    with pytest.raises(ClientError, match="it may have been placed, so it is not tried again"):
        client.place(FLOW, {})


def test_a_flow_is_put_only_where_it_differs(service: Service) -> None:
    path, client = f"/flows/{FLOW}", service.client()
    service.will("PUT", path, "201 Created", {})
    assert client.put_flow(FLOW, "steps: []", json=False)
    assert service.asked[-1][2]["HTTP_IF_NONE_MATCH"] == "*"
    service.will("GET", path, "200 OK", {}, ETag='"old"')
    assert client.put_flow(FLOW, "{}", json=True)
    assert service.asked[-1][2]["HTTP_IF_MATCH"] == '"old"'
    service.script[("PUT", BASE + path)] = []
    service.will("PUT", path, "412 Precondition Failed", {"error": {"code": "PRECONDITION_FAILED", "message": "x"}})
    with pytest.raises(ClientError, match="PRECONDITION_FAILED"):
        client.put_flow(FLOW, "{}", json=True)
