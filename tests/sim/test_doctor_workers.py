"""The doctor on AMD workers: judged by what they answer, and asked over real sockets."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gevent
import pytest
from gevent.server import StreamServer

from fsbridge.doctor import workers as doctor_workers
from fsbridge.doctor.findings import Finding, Level
from fsbridge.doctor.workers import Health, ask_health, examine_workers
from fsbridge.settings.amd import AmdSettings
from tests.unit.webhook.helpers import Receiver, receiver, reply

pytestmark = pytest.mark.sim

WELL = Health(streams=3, capacity=1500, lag_ms=2.0, model="m1", accepting=True, words="ready")
ELSEWHERE = AmdSettings(workers=0, urls=("ws://10.0.0.7:9201/amd", "wss://amd.example/amd"))
HERE = AmdSettings(workers=2, host="0.0.0.0", base_port=9200)


def judged(amd: AmdSettings, answers: dict[str, Health | str]) -> dict[str, Finding]:
    notes = examine_workers(amd, lambda base: answers[base])
    assert all(finding.subject == "detector" for finding in notes.found)
    return {finding.check: finding for finding in notes.found}


def test_workers_that_are_well() -> None:
    found = judged(ELSEWHERE, {"http://10.0.0.7:9201": WELL, "https://amd.example:443": WELL})
    assert set(found) == {"worker 10.0.0.7:9201", "worker amd.example:443"}
    assert all(finding.level is Level.OK for finding in found.values())
    assert found["worker 10.0.0.7:9201"].text == "3 of 1500 streams, 2 ms behind, model m1, words ready"


def test_workers_that_read_no_words_are_named_unless_that_is_wanted() -> None:
    deaf = replace(WELL, words="off")
    answers: dict[str, Health | str] = {"http://10.0.0.7:9201": deaf, "https://amd.example:443": WELL}
    found = judged(ELSEWHERE, answers)
    assert found["words"].level is Level.WARNING
    assert "10.0.0.7" in found["words"].text
    assert "amd.example" not in found["words"].text
    assert "words" not in judged(ELSEWHERE.model_copy(update={"words": "off"}), answers)


@pytest.mark.parametrize(
    ("health", "words"),
    [
        (Health(10, 10, 2.0, "m1", False), "takes no new streams: 10 of 10"),
        (Health(9, 10, 2.0, "m1", True), "nearly at its limit"),
        (Health(1, 10, 250.0, "m1", True), "250 ms behind"),
    ],
)
def test_a_worker_that_struggles(health: Health, words: str) -> None:
    found = judged(ELSEWHERE, {"http://10.0.0.7:9201": health, "https://amd.example:443": WELL})
    assert found["worker 10.0.0.7:9201"].level is Level.WARNING
    assert words in found["worker 10.0.0.7:9201"].text


@pytest.mark.parametrize(
    ("policy", "words"), [("unknown", "every verdict is unknown"), ("refuse", "no call is placed")]
)
def test_a_worker_that_is_named_but_not_there(policy: str, words: str) -> None:
    amd = ELSEWHERE.model_copy(update={"when_unavailable": policy})
    found = judged(amd, {"http://10.0.0.7:9201": "nobody answers there", "https://amd.example:443": WELL})
    assert found["worker 10.0.0.7:9201"].level is Level.PROBLEM
    assert words in found["worker 10.0.0.7:9201"].text
    assert "amd.urls" in found["worker 10.0.0.7:9201"].change


def test_our_own_workers_may_not_be_running() -> None:
    found = judged(HERE, {"http://127.0.0.1:9200": WELL, "http://127.0.0.1:9201": "nobody answers there"})
    assert found["worker 127.0.0.1:9201"].level is Level.WARNING
    assert "`fsbridge serve` is not running" in found["worker 127.0.0.1:9201"].text


def test_our_own_workers_on_ports_that_nobody_knows_yet() -> None:
    found = judged(AmdSettings(workers=2), {})
    assert found["own workers"].text.startswith("2, started by")


def test_different_models_are_told() -> None:
    other = Health(0, 10, 0.0, "m2", True)
    found = judged(ELSEWHERE, {"http://10.0.0.7:9201": WELL, "https://amd.example:443": other})
    assert found["models"].text == "workers run different ones: m1, m2"


# --- over sockets --------------------------------------------------------------------------------------


@pytest.fixture
def worker() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def body(**changes: Any) -> bytes:
    return json.dumps(
        {"streams": 3, "capacity": 1500, "lag_ms": 2, "model": "m1", "accepting": True} | changes
    ).encode()


@pytest.mark.parametrize(("status", "accepting"), [("200 OK", True), ("503 Full", False)])
def test_a_worker_is_asked(worker: Receiver, status: str, accepting: bool) -> None:
    worker.script.append(reply(status, body(accepting=accepting)))
    assert ask_health(worker.url) == Health(3, 1500, 2.0, "m1", accepting)
    assert worker.got[0].path == "/healthz"


@pytest.mark.parametrize("answer", [b"", b"hello", b"[]", b"{}", b'{"streams": "x"}', body(capacity=None)])
def test_what_is_no_worker(worker: Receiver, answer: bytes) -> None:
    worker.script.append(reply("200 OK", answer))
    assert ask_health(worker.url) == "what answers there is no AMD worker"


def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert ask_health(f"http://127.0.0.1:{taken.getsockname()[1]}") == "nobody answers there"


def test_one_who_never_ends_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def drip(sock: socket.socket, _: object) -> None:
        try:
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
            while True:
                sock.sendall(b" ")
                gevent.sleep(0.02)
        except OSError:
            pass

    monkeypatch.setattr(doctor_workers, "ASK_TIMEOUT_S", 0.2)
    server = StreamServer(("127.0.0.1", 0), drip)
    server.start()
    try:
        assert ask_health(f"http://127.0.0.1:{server.server_port}") == "no answer within 0.2 s"
    finally:
        server.stop(timeout=0.1)
