"""The worker: the sweep's timetable, health and pages, reload and drain.

One process, one core, one thread: the greenlet that calls `run` sweeps the sockets and runs the network inline
(nothing else in this process is in a hurry); accepting and handshakes (`amd_model.worker.door`) are greenlets beside
it. Rules:

* Too much is: no free place, no file descriptor to spare, draining, or a timetable that is not kept. A new
  stream is refused rather than every stream's verdict made late.
* A new model serves new streams; streams under way end with the one they began with.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import gevent
import structlog
from gevent.os import make_nonblocking, nb_read
from gevent.pool import Group
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from amd_model.detector.checkpoint import CheckpointError, LoadedModel
from amd_model.websocket import frames
from amd_model.websocket.handshake import Request, http_response
from amd_model.worker.batch import Analysis, BatchEngine
from amd_model.worker.desk import Desk, command
from amd_model.worker.door import HANDSHAKES_PER_ADDRESS, MAX_HANDSHAKES, Door, allow_files
from amd_model.worker.keep import Keeper
from amd_model.worker.metrics import Metrics
from amd_model.worker.stream import CLOSING_S
from amd_model.worker.sweep import Sweep
from amd_model.worker.timetable import Timetable

SPARE_SOCKETS = 3
"""Open sockets for each place in the batch: streams with a verdict stay connected while their call lives."""
MAX_NAME = 80

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """How one worker runs; `capacity` is the number of streams under analysis at once.

    `handshakes_per_address` bounds the connections from one address that are no streams yet: a node opens as many at
    once as calls are answered in a moment. `keep_dir` is where recordings go that calls ask for; None makes none.
    `words` is the folder of a recogniser that reads what is said, thinking of `words_languages` only, if any, for at
    most `words_budget` of one core.
    """

    host: str = "127.0.0.1"
    port: int = 9201
    capacity: int = 1_500
    drain_s: float = 35.0
    keep_dir: Path | None = None
    words: Path | None = None
    words_languages: tuple[str, ...] = ()
    words_budget: float = 0.5
    handshakes_per_address: int = HANDSHAKES_PER_ADDRESS


class _Place:
    """A stream's place: a row of the engine that was the newest when it came."""

    def __init__(self, sweep: Sweep, engine: BatchEngine, analysis: Analysis, name: str) -> None:
        self._sweep, self._engine, self._analysis, self._name = sweep, engine, analysis, name

    def take(self, sock: socket.socket, rest: bytes) -> None:
        self._sweep.add(self._name, sock, self._engine, self._analysis, rest)

    def give_back(self) -> None:
        self._engine.close(self._analysis)


class AmdServer:
    """One worker. `start` binds, `run` serves until `drain` was called and is done."""

    def __init__(
        self,
        model: LoadedModel,
        settings: ServeSettings,
        load: Callable[[], LoadedModel],
        clock: Callable[[], float] = time.monotonic,
        shadow: LoadedModel | None = None,
        load_shadow: Callable[[], LoadedModel] | None = None,
    ) -> None:
        self._settings = settings
        self._load = load
        self._load_shadow = load_shadow
        self._clock = clock
        self._model = model
        self._shadow = shadow
        self._capacity = settings.capacity
        self.metrics = Metrics()
        self._desk: Desk | None = None
        if settings.words is not None:
            reader = command(settings.words, settings.words_languages)
            looked, spent = self.metrics.looked, self.metrics.words_cpu.inc
            self._desk = Desk(reader, clock, looked, spent, settings.words_budget)
        self._engine = self._new_engine(model)
        self._keeper = Keeper(settings.keep_dir, self.metrics.recordings)
        self._sweep = Sweep(self.metrics, clock, self._keeper, self._desk)
        self._timetable = Timetable(clock())
        self._door = Door(self, self.metrics, settings.handshakes_per_address, clock)
        self._tasks = Group()
        self._drain_until: float | None = None
        self.max_sockets = allow_files(self._capacity * (1 + SPARE_SOCKETS) + MAX_HANDSHAKES) - MAX_HANDSHAKES

    @property
    def url(self) -> str:
        """Where FreeSWITCH connects, once started."""
        host, port = self._door.address
        return f"ws://{host}:{port}/amd"

    @property
    def model_version(self) -> str:
        """The model that new streams get."""
        return self._model.version

    @property
    def capacity(self) -> int:
        """Streams under analysis at once."""
        return self._capacity

    def start(self) -> None:
        """Bind and listen. Raises OSError when the address cannot be had."""
        self._door.open(self._settings.host, self._settings.port)
        self._keeper.start()

    def run(self) -> None:
        """Sweep until drained. Raises what ended the accepting."""
        self._door.start()
        try:
            while not self._drained():
                self._door.check()
                self._slot()
                gevent.sleep(self._timetable.wait(self._clock()))
        finally:
            self.close()

    def close(self) -> None:
        """End everything at once, without ceremony, but for recordings that wait to be written."""
        self._tasks.kill()
        self._door.close()
        self._sweep.abandon()
        if self._desk is not None:
            self._desk.close()
        self._keeper.close()

    def drain(self) -> None:
        """Take no new streams, finish those under analysis within `drain_s`, then let `run` return."""
        if self._drain_until is None:
            self._drain_until = self._clock() + self._settings.drain_s
            log.info("amd_draining", streams=self._sweep.active, within_s=self._settings.drain_s)

    def reload(self) -> bool:
        """Load the weights again for new streams, the shadow's too.

        Weights that cannot be used are refused and the old ones kept, of either model; returns whether everything
        that was loaded serves.
        """
        model = self._loaded(self._load, self._model)
        shadow = None if self._load_shadow is None else self._loaded(self._load_shadow, self._shadow)
        if model is not None or shadow is not None:
            before = self._model.version
            self._model, self._shadow = model or self._model, shadow or self._shadow
            self._engine = self._new_engine(self._model)
            self.metrics.reloads.labels("done").inc()
            beside = None if self._shadow is None else self._shadow.version
            log.info("amd_reloaded", model=self._model.version, before=before, shadow=beside)
        return model is not None and (shadow is not None or self._load_shadow is None)

    def _loaded(self, load: Callable[[], LoadedModel], kept: LoadedModel | None) -> LoadedModel | None:
        """What was loaded; None, told, if it cannot be used."""
        try:
            return load()
        except (CheckpointError, OSError) as error:
            self.metrics.reloads.labels("refused").inc()
            log.error("amd_reload_refused", error=str(error), kept=kept and kept.version)
            return None

    def interrupt(self) -> None:
        """For a person's Ctrl-C: drain; at the second one, stop without waiting for streams."""
        if self._drain_until is None:
            self.drain()
        else:
            self._drain_until = self._clock()

    def drain_at_end_of(self, fd: int) -> None:
        """Drain when a pipe ends: our parent holds its other end, and has died if it did not stop us first."""
        self._tasks.spawn(self._watch_parent, fd)

    def health(self) -> dict[str, object]:
        """What GET /healthz says; `accepting` is False when a new stream would be refused, `refusing` says why."""
        refusal = self._refusal()
        return {
            "streams": self._sweep.active,
            "capacity": self._capacity,
            "model": self._model.version,
            "lag_ms": round(self._timetable.lag_s * 1000, 1),
            "busy": round(min(self._timetable.busy, 1.0), 3),
            "draining": self._drain_until is not None,
            "accepting": refusal is None,
            "refusing": refusal or "",
            "words": "off" if self._desk is None else "ready" if self._desk.ready else "starting",
        }

    # --- the sweep -----------------------------------------------------------------------------------------------

    def _slot(self) -> None:
        started = self._clock()
        ticks = self._sweep.turn()
        ended = self._clock()
        self._timetable.ran(started, ended, self._sweep.active)
        self.metrics.ticks.inc(ticks)
        self.metrics.busy.inc(ended - started)

    def _drained(self) -> bool:
        """True when draining is over; closes the streams that need no more of us."""
        if self._drain_until is None:
            return False
        left = self._drain_until - self._clock()
        self._sweep.close_all(frames.GOING_AWAY, "the worker stops", only_finished=left > 0)
        idle = not self._sweep.active and not self._sweep.draining and not self._door.handshakes
        return idle or left < -2 * CLOSING_S

    def _watch_parent(self, fd: int) -> None:
        make_nonblocking(fd)
        while nb_read(fd, 4_096):
            pass
        self.drain()

    def _new_engine(self, model: LoadedModel) -> BatchEngine:
        engine = BatchEngine(model, self._capacity, self._shadow, words=self._desk is not None)
        engine.warm_up()
        return engine

    # --- behind the door -----------------------------------------------------------------------------------------

    def reserve(self, request: Request) -> _Place | str:
        """A place for a new stream, or one word on why there is none."""
        reason = self._refusal()
        if not reason and self._sweep.active >= self._capacity:
            self._sweep.make_room()
        analysis = None if reason else self._engine.open()
        if analysis is None:
            return reason or "full"
        return _Place(self._sweep, self._engine, analysis, request.path[:MAX_NAME])

    def page(self, request: Request) -> bytes:
        """The answer to a plain HTTP request."""
        if request.method != "GET":
            return http_response(HTTPStatus.METHOD_NOT_ALLOWED, "only GET\n", headers=(("Allow", "GET"),))
        path = request.path
        if path == "/healthz":
            status = HTTPStatus.OK if self._drain_until is None else HTTPStatus.SERVICE_UNAVAILABLE
            return http_response(status, json.dumps(self.health()) + "\n", "application/json")
        if path == "/metrics":
            self.metrics.streams.labels("analysis").set(self._sweep.active)
            self.metrics.streams.labels("verdict").set(self._sweep.draining)
            self.metrics.lag.set(self._timetable.lag_s)
            self.metrics.words.set(self._desk is not None and self._desk.ready)
            text = self.metrics.text()
            return http_response(HTTPStatus.OK, text, CONTENT_TYPE_LATEST)
        return http_response(HTTPStatus.NOT_FOUND, "an audio WebSocket (any path), GET /healthz or GET /metrics\n")

    def _refusal(self) -> str | None:
        """Why a new stream is refused now; None when it is welcome."""
        if self._drain_until is not None:
            return "draining"
        if self._sweep.active >= self._capacity and not self._sweep.has_slack():
            return "full"
        if self._sweep.active + self._sweep.draining >= self.max_sockets:
            return "sockets"
        return "overloaded" if self._timetable.overloaded(self._sweep.active) else None
