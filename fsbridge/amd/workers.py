"""The detector's worker processes: started, watched, restarted, and chosen for each call.

Two ways to run them, by the settings:

* `workers` processes of our own: ``python -m amd_model serve``, each told ready by the line it prints. One that
  dies, or is alive but answers no health check, is replaced after a pause that grows with each failure in a row.
* `urls` of workers that somebody else runs: only their health is asked.

`choose` gives the URL that FreeSWITCH's tap shall connect to, so audio never crosses this process. It never
waits. A worker that is full or draining says so in its health answer and is passed over while another is free; where
none is, the choice says so, and whoever asked decides whether to try.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import signal
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TextIO
from urllib.parse import urlsplit

import gevent
import requests
import structlog
import urllib3
from gevent import subprocess
from gevent.event import Event

from fsbridge.clock import Clock
from fsbridge.settings.amd import AmdSettings
from fsbridge.supervise import Supervisor

HEALTH_INTERVAL_S = 2.0
FULL_INTERVAL_S = 0.5
"""A worker that is full has a place again as soon as one of its streams has its verdict."""
HEALTH_TIMEOUT_S = (1.0, 2.0)
HEALTH_DEADLINE_S = 4.0
"""For the whole answer: the two timeouts above bound each wait, not their sum."""
HEALTH_FAILURES = 3
"""Health checks failed in a row before a worker counts as down (and, if it is ours, is killed and replaced)."""
MAX_HEALTH_BYTES = 16_384
BACKOFF_S = (0.5, 30.0)
STEADY_S = 60.0
"""A worker that lived this long was a good one: its successor starts without a grown pause."""
KILL_AFTER_S = 2.0

COMMAND = (sys.executable, "-m", "amd_model", "serve")

_READY = re.compile(r"amd worker ready on (ws://\S+) model=(\S+) capacity=(\d+)")

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Worker:
    """What is known of one worker; mutable, owned by the pool, read by metrics and readiness checks."""

    name: str
    url: str | None = None
    ready: bool = False
    free: bool = True
    streams: int = 0
    capacity: int = 0
    lag_ms: float = 0.0
    model: str = ""
    failures: int = 0
    restarts: int = 0
    process: subprocess.Popen[str] | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A worker for a call: the tap's `url`, None when none is up; `full`, by its own word, if no other was free."""

    url: str | None = None
    full: bool = False

    @property
    def trouble(self) -> str:
        """In words why it will hardly do; empty for a worker that has room."""
        if self.url is None:
            return "no AMD worker is up"
        return "every AMD worker is full" if self.full else ""


@dataclass(frozen=True, slots=True)
class _Health:
    """A worker's answer to GET /healthz."""

    streams: int
    capacity: int
    lag_ms: float
    model: str
    accepting: bool


class WorkerPool:
    """All workers that this controller uses. `start` returns at once; `wait_ready` waits for the first one."""

    def __init__(
        self,
        settings: AmdSettings,
        supervisor: Supervisor,
        clock: Clock,
        command: Sequence[str] = COMMAND,
        health_interval_s: float = HEALTH_INTERVAL_S,
        backoff_s: tuple[float, float] = BACKOFF_S,
    ) -> None:
        self._settings = settings
        self._supervisor = supervisor
        self._clock = clock
        self._command = tuple(command)
        self._health_interval_s = health_interval_s
        self._backoff_s = backoff_s
        self._next = 0
        self._stopping = False
        self._starts_until = -1.0  # the monotonic time until which the first worker is still expected
        self._changed = Event()
        self._own = [Worker(f"amd-{index}") for index in range(0 if settings.urls else settings.workers)]
        self._remote = [Worker(url, url=url) for url in settings.urls]

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Every worker, up or not."""
        return (*self._own, *self._remote)

    @property
    def ready(self) -> int:
        """How many workers are up."""
        return sum(worker.ready for worker in self.workers)

    def start(self) -> None:
        """Begin to start our own workers and to watch the health of all."""
        self._starts_until = self._clock.monotonic() + self._settings.start_timeout_s
        for index, worker in enumerate(self._own):
            self._supervisor.spawn(f"amd worker {index}", self._keep, worker, index)
        for worker in self.workers:
            self._supervisor.spawn(f"amd health {worker.name}", self._watch, worker)

    @property
    def starting(self) -> bool:
        """True from `start` until a worker is up, at most `start_timeout_s` long: a call now would have no detector."""
        if self.ready:
            self._starts_until = -1.0
        return bool(self.workers) and self._clock.monotonic() < self._starts_until

    def wait_ready(self, timeout_s: float) -> bool:
        """True as soon as one worker is up; False when none is after `timeout_s`."""
        deadline = self._clock.monotonic() + timeout_s
        while not self.ready:
            left = deadline - self._clock.monotonic()
            if left <= 0:
                return False
            self._changed.clear()
            self._changed.wait(timeout=left)
        return True

    def choose(self, avoid: Collection[str] = ()) -> Choice:
        """A worker for the next call, in turn among the ready ones that have room, else among the full ones.

        Those in `avoid` (they have just refused this call) come not at all.
        """
        ready = [worker for worker in self.workers if worker.ready and worker.url is not None]
        usable = [worker for worker in ready if worker.url not in avoid]
        free = [worker for worker in usable if worker.free]
        if not usable:
            return Choice()
        self._next += 1
        return Choice((free or usable)[self._next % len(free or usable)].url, full=not free)

    def room(self, listening: int) -> int:
        """How many streams more the ready workers can take, when `listening` of the present ones are known to be ours.

        What a worker says of its streams is up to a health check old, so the greater of the two numbers counts.
        """
        ready = [worker for worker in self.workers if worker.ready]
        most = sum(worker.capacity if worker.free else worker.streams for worker in ready)
        return most - max(sum(worker.streams for worker in ready), listening)

    def stop(self, timeout_s: float = 5.0) -> None:
        """Ask our workers to end (they finish their streams), kill those that have not after `timeout_s`."""
        self._stopping = True
        running = [worker.process for worker in self._own if worker.process is not None]
        for process in running:
            _signal(process, signal.SIGTERM)
        deadline = self._clock.monotonic() + timeout_s
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=max(0.0, deadline - self._clock.monotonic()))
        for process in running:
            if process.poll() is None:
                log.warning("amd_worker_killed", pid=process.pid, reason="did not end in time")
                _signal(process, signal.SIGKILL)
                process.wait(timeout=KILL_AFTER_S)
        for worker in self.workers:
            self._set_ready(worker, False)

    # --- our own processes ---------------------------------------------------------------------------------------

    def _keep(self, worker: Worker, index: int) -> None:
        """Run one worker's process, and its successors, until the pool stops."""
        pause, longest = self._backoff_s
        while not self._stopping:
            started = self._clock.monotonic()
            self._run(worker, index)
            if self._stopping:
                return
            if self._clock.monotonic() - started > STEADY_S:
                pause = self._backoff_s[0]
            worker.restarts += 1
            wait = pause * random.uniform(0.75, 1.25)
            log.warning("amd_worker_restarts", worker=worker.name, restarts=worker.restarts, pause_s=round(wait, 2))
            gevent.sleep(wait)
            pause = min(pause * 2, longest)

    def _run(self, worker: Worker, index: int) -> None:
        settings = self._settings
        port = settings.base_port + index if settings.base_port else 0
        command = [*self._command, "--host", settings.host, "--port", str(port), "--capacity", str(settings.capacity)]
        command += ["--handshakes-per-address", str(settings.handshakes_per_address)]
        if settings.keep_audio_s and settings.keep_audio_dir is not None:
            command += ["--keep-dir", str(settings.keep_audio_dir)]
        for option, path in (("--weights", settings.weights), ("--shadow", settings.shadow)):
            if path is not None:
                command += [option, str(path)]
        command += ["--words", settings.words, "--words-budget", str(settings.words_budget)]
        for language in settings.words_languages:
            command += ["--words-language", language]
        try:
            # The worker holds our end of its stdin: if we are killed it reads the end of file and drains.
            process: subprocess.Popen[str] = subprocess.Popen(
                [*command, "--supervised"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        except OSError as error:
            log.error("amd_worker_not_started", worker=worker.name, error=str(error))
            return
        worker.process = process
        try:
            self._follow(worker, process)
        finally:
            self._set_ready(worker, False)
            worker.process = None
            if process.poll() is None:
                _signal(process, signal.SIGKILL)
            code = process.wait(timeout=KILL_AFTER_S)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            log.info("amd_worker_ended", worker=worker.name, pid=process.pid, code=code)

    def _follow(self, worker: Worker, process: subprocess.Popen[str]) -> None:
        """Wait for the ready line, at most `start_timeout_s`, then for the end of the process."""
        assert process.stdout is not None
        began = self._clock.monotonic()
        ready = gevent.with_timeout(self._settings.start_timeout_s, _ready_line, process.stdout, timeout_value=None)
        if ready is None:
            if self._clock.monotonic() - began >= self._settings.start_timeout_s:
                log.error(
                    "amd_worker_not_ready",
                    worker=worker.name,
                    waited_s=self._settings.start_timeout_s,
                    hint="its own log says why; amd.start_timeout_s is the deadline",
                )
            return
        worker.url = self._advertised(ready[1])
        worker.model, worker.capacity = ready[2], int(ready[3])
        worker.free, worker.failures = True, 0
        self._set_ready(worker, True)
        log.info("amd_worker_ready", worker=worker.name, url=worker.url, model=worker.model, pid=process.pid)
        while process.stdout.readline():
            pass  # nothing more is expected; reading on keeps the pipe from filling

    def _advertised(self, url: str) -> str:
        """The worker's URL as FreeSWITCH reaches it."""
        host = self._settings.advertise_host or _local(self._settings.host)
        return f"ws://{host}:{urlsplit(url).port}/amd"

    # --- health --------------------------------------------------------------------------------------------------

    def _watch(self, worker: Worker) -> None:
        """Ask one worker for its health for ever."""
        own = any(worker is mine for mine in self._own)
        with requests.Session() as session:
            session.trust_env = False
            while not self._stopping:
                if worker.url is not None and (worker.ready or not own):
                    self._judge(worker, self._health(session, worker, own), own)
                full = worker.ready and not worker.free
                gevent.sleep(min(self._health_interval_s, FULL_INTERVAL_S) if full else self._health_interval_s)

    def _judge(self, worker: Worker, health: _Health | None, own: bool) -> None:
        if health is not None:
            worker.failures = 0
            worker.streams, worker.capacity = health.streams, health.capacity
            worker.lag_ms, worker.model = health.lag_ms, health.model
            worker.free = health.accepting and health.streams < health.capacity
            if not own:
                self._set_ready(worker, True)
            return
        worker.failures += 1
        if worker.failures == HEALTH_FAILURES:
            log.error("amd_worker_silent", worker=worker.name, url=worker.url, failures=worker.failures)
        if worker.failures < HEALTH_FAILURES or not worker.ready:
            return
        self._set_ready(worker, False)
        if own and worker.process is not None:
            _signal(worker.process, signal.SIGKILL)

    def _health(self, session: requests.Session, worker: Worker, own: bool) -> _Health | None:
        """The worker's health answer; None when it gives none that can be understood in time."""
        assert worker.url is not None
        parts = urlsplit(worker.url)
        host = _local(self._settings.host) if own else parts.hostname
        scheme, default = ("https", 443) if parts.scheme == "wss" else ("http", 80)
        url = f"{scheme}://{host}:{parts.port or default}/healthz"
        try:
            return gevent.with_timeout(HEALTH_DEADLINE_S, _ask, session, url, timeout_value=None)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError):
            return None
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
            return None

    def _set_ready(self, worker: Worker, ready: bool) -> None:
        if worker.ready != ready:
            worker.ready = ready
            self._changed.set()


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Send a signal to a process that may just have ended."""
    try:
        process.send_signal(number)
    except ProcessLookupError:
        return


def _local(host: str) -> str:
    """Where this machine reaches a listener: one on every address is reached by loopback."""
    return "127.0.0.1" if host == "0.0.0.0" else host


def _ready_line(stdout: TextIO) -> re.Match[str] | None:
    """The worker's announcement; None when it closed its output without one."""
    for line in stdout:
        if match := _READY.search(line):
            return match
    return None


def _ask(session: requests.Session, url: str) -> _Health | None:
    """GET /healthz. Raises what requests, urllib3 and json raise, and more on a strange body; see `_health`."""
    with session.get(url, timeout=HEALTH_TIMEOUT_S, allow_redirects=False, stream=True) as response:
        if response.status_code not in (200, 503):
            return None
        body = json.loads(response.raw.read(MAX_HEALTH_BYTES, decode_content=True))
    return _Health(
        streams=int(body["streams"]),
        capacity=int(body["capacity"]),
        lag_ms=float(body["lag_ms"]),
        model=str(body["model"]),
        accepting=bool(body.get("accepting", True)),
    )
