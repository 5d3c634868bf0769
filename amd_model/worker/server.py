"""The worker: a listener, the sweep's timetable, health and metrics, reload and drain.

One process, one core, one thread: the greenlet that calls `run` sweeps the sockets and runs the network inline
(nothing else in this process is in a hurry); accepting and handshakes are greenlets beside it. Rules:

* Every upgrade is answered at once. One that is too much gets 503, so that the caller can go elsewhere:
  FreeSWITCH would wait for ever, silently, for a server that accepts and says nothing.
* Too much is: no free place, no file descriptor to spare, draining, or a timetable that is not kept. A new
  stream is refused rather than every stream's verdict made late.
* A new model serves new streams; streams under way end with the one they began with.
"""

from __future__ import annotations

import json
import resource
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import gevent
import structlog
from gevent import monkey
from gevent import socket as green
from gevent.os import make_nonblocking, nb_read
from gevent.pool import Group, Pool
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from amd_model.detector.checkpoint import CheckpointError, LoadedModel
from amd_model.worker import websocket
from amd_model.worker.batch import BatchEngine
from amd_model.worker.keep import Keeper
from amd_model.worker.sweep import CLOSING_S, Sweep
from amd_model.worker.timetable import Timetable

HANDSHAKE_S = 5.0
MAX_HANDSHAKES = 1_024
BACKLOG = 1_024
SPARE_SOCKETS = 3
"""Open sockets for each place in the batch: streams with a verdict stay connected while their call lives."""
SPARE_FILES = 64
RECEIVE_BUFFER = 131_072
SEND_BUFFER = 16_384
MAX_NAME = 80
ACCEPT_PAUSE_S = 0.1

_RawSocket: type[socket.socket] = monkey.get_original("socket", "socket")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """How one worker runs; `capacity` is the number of streams under analysis at once.

    `keep_dir` is where recordings go that calls ask for; None makes none.
    """

    host: str = "127.0.0.1"
    port: int = 9201
    capacity: int = 1_500
    drain_s: float = 35.0
    keep_dir: Path | None = None


class Metrics:
    """The worker's numbers, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        new = self.registry
        self.streams = Gauge("amd_streams", "Audio streams open now", ["state"], registry=new)
        self.accepted = Counter("amd_streams_accepted", "Upgrades answered with 101", registry=new)
        self.refused = Counter("amd_streams_refused", "Upgrades answered with 503", ["reason"], registry=new)
        self.finished = Counter("amd_streams_ended", "How streams left the analysis", ["how"], registry=new)
        self.verdicts = Counter("amd_verdicts", "Events that carried a result", ["result"], registry=new)
        self.metadata = Counter("amd_bad_metadata", "Streams whose options could not be read", registry=new)
        self.ticks = Counter("amd_ticks", "Ticks of 100 ms analysed", registry=new)
        self.busy = Counter("amd_busy_seconds", "Time spent in the sweep's slots", registry=new)
        self.lag = Gauge("amd_lag_seconds", "Latest end of a slot after its time, in the last second", registry=new)
        self.shadow = Counter("amd_shadow", "Verdicts beside the shadow model's", ["agree"], registry=new)
        self.recordings = Counter("amd_recordings", "Answers to be kept", ["outcome"], registry=new)
        self.reloads = Counter("amd_reloads", "Model reloads", ["outcome"], registry=new)

    def verdict(self, result: str) -> None:
        self.verdicts.labels(result).inc()

    def ended(self, how: str) -> None:
        self.finished.labels(how).inc()

    def bad_metadata(self) -> None:
        self.metadata.inc()

    def compared(self, agree: bool) -> None:
        self.shadow.labels("yes" if agree else "no").inc()


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
        self._engine = self._new_engine(model)
        self.metrics = Metrics()
        self._keeper = Keeper(settings.keep_dir, self.metrics.recordings)
        self._sweep = Sweep(self.metrics, clock, self._keeper)
        self._timetable = Timetable(clock())
        self._handshakes = Pool(MAX_HANDSHAKES)
        self._tasks = Group()
        self._listener: green.socket | None = None
        self._drain_until: float | None = None
        self.max_sockets = _allow_files(self._capacity * (1 + SPARE_SOCKETS) + MAX_HANDSHAKES) - MAX_HANDSHAKES

    @property
    def url(self) -> str:
        """Where FreeSWITCH connects, once started."""
        assert self._listener is not None
        host, port = self._listener.getsockname()[:2]
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
        listener = green.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Inherited by what is accepted. Buffers are bounded so that a peer that floods, or never reads, holds
        # a little of the kernel's memory and not what autotuning would give it.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        try:
            listener.bind((self._settings.host, self._settings.port))
        except OSError:
            listener.close()
            raise
        listener.listen(BACKLOG)
        self._listener = listener
        self._keeper.start()

    def run(self) -> None:
        """Sweep until drained. An error of the accepting greenlet ends the worker: one that accepts nothing is dead."""
        accepting = self._tasks.spawn(self._accept)
        try:
            while not self._drained():
                if accepting.ready():
                    accepting.get()
                self._slot()
                gevent.sleep(self._timetable.wait(self._clock()))
        finally:
            self.close()

    def close(self) -> None:
        """End everything at once, without ceremony, but for recordings that wait to be written."""
        self._tasks.kill()
        self._handshakes.kill()
        self._sweep.abandon()
        if self._listener is not None:
            self._listener.close()
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
        """What GET /healthz says; `accepting` is False when a new stream would be refused."""
        return {
            "streams": self._sweep.active,
            "capacity": self._capacity,
            "model": self._model.version,
            "lag_ms": round(self._timetable.lag_s * 1000, 1),
            "busy": round(min(self._timetable.busy, 1.0), 3),
            "draining": self._drain_until is not None,
            "accepting": self._refusal() is None,
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
        self._sweep.close_all(websocket.GOING_AWAY, "the worker stops", only_finished=left > 0)
        idle = not self._sweep.active and not self._sweep.draining and not len(self._handshakes)
        return idle or left < -2 * CLOSING_S

    def _watch_parent(self, fd: int) -> None:
        make_nonblocking(fd)
        while nb_read(fd, 4_096):
            pass
        self.drain()

    def _new_engine(self, model: LoadedModel) -> BatchEngine:
        engine = BatchEngine(model, self._capacity, self._shadow)
        engine.warm_up()
        return engine

    # --- accepting -----------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        assert self._listener is not None
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError as error:
                # Out of file descriptors, or the peer was gone before we looked: neither is ours to die of.
                log.warning("amd_accept_failed", error=str(error))
                gevent.sleep(ACCEPT_PAUSE_S)
                continue
            if self._handshakes.full():
                self._refuse(sock, "handshakes")
                continue
            self._handshakes.spawn(self._greet, sock)

    def _refuse(self, sock: green.socket, reason: str) -> None:
        """Answer 503 without reading the request, without waiting."""
        self.metrics.refused.labels(reason).inc()
        try:
            sock.settimeout(0.0)
            sock.send(_busy(reason).response)
        except OSError:
            pass
        finally:
            sock.close()

    def _greet(self, sock: green.socket) -> None:
        """One connection's handshake; afterwards the socket belongs to the sweep, or is closed."""
        try:
            with gevent.Timeout(HANDSHAKE_S):
                request, rest = _read_request(sock)
                if request is None:
                    return
                if websocket.wants_upgrade(request):
                    self._open(sock, request, rest)
                    return
            _send_last(sock, self._page(request))
        except websocket.Refusal as refusal:
            _send_last(sock, refusal.response)
        except (gevent.Timeout, OSError):
            self.metrics.finished.labels("handshake").inc()
        finally:
            sock.close()

    def _open(self, sock: green.socket, request: websocket.Request, rest: bytes) -> None:
        response = websocket.upgrade(request)
        reason = self._refusal()
        analysis = None if reason else self._engine.open()
        if analysis is None:
            reason = reason or "full"
            self.metrics.refused.labels(reason).inc()
            raise _busy(reason)
        try:
            sock.sendall(response)
            raw = _RawSocket(fileno=sock.detach())
        except (OSError, gevent.Timeout):
            self._engine.close(analysis)
            raise
        raw.setblocking(False)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._sweep.add(request.path.partition("?")[0][:MAX_NAME], raw, self._engine, analysis, rest)
        self.metrics.accepted.inc()

    def _refusal(self) -> str | None:
        """Why a new stream is refused now; None when it is welcome."""
        if self._drain_until is not None:
            return "draining"
        if self._sweep.active >= self._capacity:
            return "full"
        if self._sweep.active + self._sweep.draining >= self.max_sockets:
            return "sockets"
        return "overloaded" if self._timetable.overloaded(self._sweep.active) else None

    def _page(self, request: websocket.Request) -> bytes:
        """The answer to a plain HTTP request."""
        if request.method != "GET":
            return websocket.http_response(HTTPStatus.METHOD_NOT_ALLOWED, "only GET\n", headers=(("Allow", "GET"),))
        path = request.path.partition("?")[0]
        if path == "/healthz":
            status = HTTPStatus.OK if self._drain_until is None else HTTPStatus.SERVICE_UNAVAILABLE
            return websocket.http_response(status, json.dumps(self.health()) + "\n", "application/json")
        if path == "/metrics":
            self.metrics.streams.labels("analysis").set(self._sweep.active)
            self.metrics.streams.labels("verdict").set(self._sweep.draining)
            self.metrics.lag.set(self._timetable.lag_s)
            text = generate_latest(self.metrics.registry).decode()
            return websocket.http_response(HTTPStatus.OK, text, CONTENT_TYPE_LATEST)
        return websocket.http_response(
            HTTPStatus.NOT_FOUND, "an audio WebSocket (any path), GET /healthz or GET /metrics\n"
        )


def _read_request(sock: green.socket) -> tuple[websocket.Request | None, bytes]:
    """The request head and what follows; None when the peer left first. Raises Refusal, OSError."""
    data = b""
    while (parsed := websocket.parse_request(data)) is None:
        more = sock.recv(4_096)
        if not more:
            return None, b""
        data += more
    return parsed


def _send_last(sock: green.socket, response: bytes) -> None:
    """Answer and let the peer read it: closing over unread bytes would reset the connection."""
    try:
        with gevent.Timeout(1.0):
            sock.sendall(response)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(4_096):
                pass
    except (OSError, gevent.Timeout):
        return


def _busy(reason: str) -> websocket.Refusal:
    return websocket.Refusal(HTTPStatus.SERVICE_UNAVAILABLE, f"no new streams: {reason}", (("Retry-After", "1"),))


def _allow_files(wanted: int) -> int:
    """Raise this process's limit of open files towards `wanted`; returns how many sockets that leaves."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = wanted + SPARE_FILES
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    if soft == resource.RLIM_INFINITY or soft >= limit:
        return wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit - SPARE_FILES
