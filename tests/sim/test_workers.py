"""The controller's pool of detector processes, with real processes that need no network model.

The stand-in worker speaks the same three things to its parent as the real one: the ready line, /healthz, and
SIGTERM. Its misbehaviours are chosen by its arguments.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest
from gevent.pywsgi import WSGIServer

from fsbridge.amd.workers import Choice, WorkerPool
from fsbridge.clock import SystemClock
from fsbridge.settings.amd import AmdSettings
from fsbridge.supervise import Supervisor

pytestmark = pytest.mark.sim

STAND_IN = """
import http.server, json, os, signal, sys, time
how = sys.argv[1]
port = int(sys.argv[sys.argv.index("--port") + 1])
capacity = int(sys.argv[sys.argv.index("--capacity") + 1])
here = os.path.dirname(__file__)
with open(os.path.join(here, "starts"), "a") as starts:
    starts.write("x")
with open(os.path.join(here, "arguments"), "w") as told:
    told.write(" ".join(sys.argv[1:]))
first = os.path.getsize(os.path.join(here, "starts")) == 1
if how == "dies":
    sys.exit(3)
if how == "never_ready":
    print("still loading", flush=True)
    time.sleep(60)
if how == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if how == "deaf_once" and first:
            time.sleep(60)
        body = json.dumps({"streams": 3, "capacity": capacity, "model": "m1", "lag_ms": 1.5}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("127.0.0.1", port), Handler)
print("loading", flush=True)
print(f"amd worker ready on ws://127.0.0.1:{server.server_port}/amd model=m1 capacity={capacity}", flush=True)
print("x" * 200_000, flush=True)
server.serve_forever()
"""

Start = Callable[..., WorkerPool]


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    path = tmp_path / "stand_in.py"
    path.write_text(STAND_IN)
    return path


@pytest.fixture
def start(stand_in: Path) -> Iterator[Start]:
    supervisor = Supervisor()
    pools = []

    def begin(how: str = "well", health_interval_s: float = 0.02, **settings: object) -> WorkerPool:
        pool = WorkerPool(
            AmdSettings.model_validate(settings),
            supervisor,
            SystemClock(),
            command=(sys.executable, "-S", str(stand_in), how),
            health_interval_s=health_interval_s,
            backoff_s=(0.02, 0.05),
        )
        pools.append(pool)
        pool.start()
        return pool

    yield begin
    for pool in pools:
        pool.stop(timeout_s=0.5)
    supervisor.stop()
    assert supervisor.failures == {}


def until(condition: Callable[[], object], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        gevent.sleep(0.01)


def test_a_pool_is_starting_until_a_worker_is_up_or_its_time_is_over(start: Start) -> None:
    pool = start()
    assert pool.starting
    until(lambda: pool.ready)
    assert not pool.starting
    late = start("never_ready", start_timeout_s=0.2)
    assert late.starting
    until(lambda: not late.starting)
    assert late.ready == 0


def test_workers_start_and_take_turns(start: Start) -> None:
    pool = start(workers=2, capacity=7)
    assert pool.choose() == Choice()
    until(lambda: pool.ready == 2)
    assert pool.wait_ready(0.0)
    urls = [pool.choose().url for _ in range(4)]
    assert len(set(urls)) == 2
    assert urls[:2] == urls[2:]
    assert pool.choose(avoid=[url for url in urls[:1] if url]).url == urls[1]
    assert pool.choose(avoid={url for url in urls if url}) == Choice()
    until(lambda: all(worker.streams == 3 and worker.lag_ms == 1.5 for worker in pool.workers))
    assert [(worker.model, worker.capacity) for worker in pool.workers] == [("m1", 7)] * 2


def test_a_worker_is_told_where_to_keep_audio_only_when_it_is_wanted(start: Start, stand_in: Path) -> None:
    told = stand_in.parent / "arguments"
    assert start(keep_audio_dir="answers").wait_ready(10.0)
    assert "--keep-dir" not in told.read_text()
    assert "--handshakes-per-address 512" in told.read_text()
    assert start(keep_audio_s=2, keep_audio_dir="answers", keep_audio_consent=True).wait_ready(10.0)
    assert "--keep-dir answers" in told.read_text()


def test_a_full_worker_is_passed_over_while_another_is_free(start: Start) -> None:
    pool = start(workers=2, capacity=4, health_interval_s=60.0)  # so the state set below stays
    until(lambda: pool.ready == 2)
    first, second = pool.workers
    first.free = False
    assert {pool.choose() for _ in range(3)} == {Choice(second.url)}
    assert pool.choose().trouble == ""
    second.free = False
    assert {pool.choose() for _ in range(3)} == {Choice(first.url, full=True), Choice(second.url, full=True)}
    assert pool.choose().trouble == "every AMD worker is full"
    assert pool.choose(avoid=[str(first.url)]) == Choice(second.url, full=True)


def test_a_dead_worker_is_replaced(start: Start) -> None:
    pool = start()
    assert pool.wait_ready(10.0)
    (worker,) = pool.workers
    assert worker.process is not None
    pid = worker.process.pid
    worker.process.send_signal(signal.SIGKILL)
    until(lambda: not worker.ready)
    assert pool.choose() == Choice()
    until(lambda: worker.ready)
    assert worker.process is not None
    assert worker.process.pid != pid
    assert worker.restarts == 1


def test_a_worker_that_answers_no_health_check_is_replaced(
    start: Start, stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsbridge.amd.workers.HEALTH_TIMEOUT_S", (0.2, 0.1))
    pool = start("deaf_once")
    assert pool.wait_ready(10.0)
    until(lambda: pool.workers[0].restarts == 1 and pool.workers[0].ready)
    until(lambda: pool.workers[0].streams == 3)


def test_a_worker_that_never_gets_ready_is_started_again(start: Start, stand_in: Path) -> None:
    pool = start("never_ready", start_timeout_s=1.5)
    starts = stand_in.parent / "starts"
    assert not pool.wait_ready(0.1)
    until(lambda: starts.is_file() and len(starts.read_text()) >= 2)
    assert pool.workers[0].restarts >= 1
    assert pool.choose() == Choice()


def test_a_worker_that_dies_at_once_is_tried_again_with_pauses(start: Start) -> None:
    pool = start("dies")
    until(lambda: pool.workers[0].restarts >= 3)
    assert pool.ready == 0


def test_a_command_that_cannot_run_leaves_no_worker_and_no_crash() -> None:
    supervisor = Supervisor()
    pool = WorkerPool(
        AmdSettings(), supervisor, SystemClock(), command=("/nonexistent/python",), backoff_s=(0.01, 0.02)
    )
    pool.start()
    until(lambda: pool.workers[0].restarts >= 2)
    pool.stop()
    supervisor.stop()
    assert supervisor.failures == {}


def test_stop_ends_every_process(start: Start) -> None:
    pool = start(workers=2)
    until(lambda: pool.ready == 2)
    processes = [worker.process for worker in pool.workers]
    pool.stop(timeout_s=5.0)
    assert [process.poll() for process in processes if process] == [0, 0]
    assert pool.choose() == Choice()


def test_stop_kills_what_does_not_end(start: Start) -> None:
    pool = start("stubborn")
    assert pool.wait_ready(10.0)
    process = pool.workers[0].process
    assert process is not None
    pool.stop(timeout_s=0.2)
    assert process.poll() == -signal.SIGKILL


def test_the_advertised_host_is_in_the_url_and_not_in_the_health_check(start: Start) -> None:
    pool = start(advertise_host="amd.example.net")
    assert pool.wait_ready(10.0)
    url = pool.choose().url
    assert url is not None
    assert url.startswith("ws://amd.example.net:")
    assert url.endswith("/amd")
    until(lambda: pool.workers[0].streams == 3)


# --- workers that run elsewhere ----------------------------------------------------------------------------------


class Elsewhere:
    """A worker's health page that a test can change."""

    def __init__(self) -> None:
        self.status = "200 OK"
        self.body = json.dumps({"streams": 1, "capacity": 2, "model": "m9", "lag_ms": 0, "accepting": True})
        self.server = WSGIServer(("127.0.0.1", 0), self._answer, log=None)
        self.server.start()
        self.url = f"ws://127.0.0.1:{self.server.server_port}/amd"

    def _answer(self, environ: dict[str, str], start_response: Callable[..., object]) -> list[bytes]:
        assert environ["PATH_INFO"] == "/healthz"
        start_response(self.status, [("Content-Type", "application/json")])
        return [self.body.encode()]


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    site = Elsewhere()
    yield site
    site.server.stop(timeout=1)


def test_a_worker_elsewhere_is_used_while_it_is_healthy(start: Start, elsewhere: Elsewhere) -> None:
    pool = start(urls=(elsewhere.url,), workers=0)
    assert pool.wait_ready(5.0)
    assert pool.choose().url == elsewhere.url
    assert pool.workers[0].model == "m9"
    elsewhere.status = "500 Broken"
    until(lambda: pool.ready == 0)
    assert pool.choose() == Choice()
    elsewhere.status = "200 OK"
    assert pool.wait_ready(5.0)


def test_a_full_worker_is_asked_again_soon(start: Start, elsewhere: Elsewhere) -> None:
    """It has room again with the next verdict; nobody should be refused for as long as a health check takes."""
    elsewhere.body = json.dumps({"streams": 2, "capacity": 2, "model": "m9", "lag_ms": 0, "accepting": False})
    pool = start(urls=(elsewhere.url,), workers=0, health_interval_s=3_600.0)
    until(lambda: pool.choose().full)
    elsewhere.body = json.dumps({"streams": 1, "capacity": 2, "model": "m9", "lag_ms": 0, "accepting": True})
    until(lambda: pool.choose() == Choice(elsewhere.url))


@pytest.mark.parametrize(
    "body",
    [
        *("not json", "[]", "{}", '{"streams": "many"}', "{" * 40_000, "[" * 16_000),
        '{"streams": 1e999, "capacity": 2, "model": "m9", "lag_ms": 0}',
    ],
)
def test_a_strange_health_answer_is_no_health(start: Start, elsewhere: Elsewhere, body: str) -> None:
    elsewhere.body = body
    pool = start(urls=(elsewhere.url,), workers=0)
    until(lambda: pool.workers[0].failures >= 3)
    assert pool.ready == 0


def test_a_worker_elsewhere_that_is_draining_comes_last(start: Start, elsewhere: Elsewhere) -> None:
    elsewhere.status = "503 Draining"
    elsewhere.body = json.dumps({"streams": 0, "capacity": 2, "model": "m9", "lag_ms": 0, "accepting": False})
    pool = start(urls=(elsewhere.url,), workers=0)
    assert pool.wait_ready(5.0)
    until(lambda: not pool.workers[0].free)
    assert pool.choose().url == elsewhere.url
    assert pool.choose(avoid=(elsewhere.url,)).trouble == "no AMD worker is up"
