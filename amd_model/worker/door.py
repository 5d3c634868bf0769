"""The worker's door: its listener, and the handshake of whoever comes.

Every upgrade is answered at once. One that is too much gets 503, so that the caller can go elsewhere: FreeSWITCH
would wait for ever, silently, for a server that accepts and says nothing. What a taken stream becomes, and what the
pages show, is the house's business (`House`); accepting and each handshake are greenlets beside the sweep. Rules:

* Who stands in the door (`amd_model.worker.visitors`) is bounded, in all and for each address, so that nobody who
  opens connections and says nothing keeps others out. A stream stands there no more: a node may have thousands.
* Who says nothing for `FIRST_BYTE_S`, or has not said what it wants after `HANDSHAKE_S`, is sent away. Where a bound
  is reached, who has been slow for a moment has to go sooner.
"""

from __future__ import annotations

import resource
import socket
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from itertools import count
from typing import Protocol

import gevent
import structlog
from gevent import monkey
from gevent import socket as green
from gevent.pool import Group

from amd_model.websocket import handshake
from amd_model.websocket.handshake import Request
from amd_model.worker.metrics import Metrics
from amd_model.worker.visitors import Visitors

FIRST_BYTE_S = 2.0
HANDSHAKE_S = 5.0
MAX_HANDSHAKES = 1_024
HANDSHAKES_PER_ADDRESS = 512
"""A node opens as many at once as calls are answered in a moment; half of all is left for others."""
BACKLOG = 1_024
SPARE_FILES = 64
RECEIVE_BUFFER = 131_072
SEND_BUFFER = 16_384
ACCEPT_PAUSE_S = 0.1
LAST_WORDS_S = 1.0
ACCEPTS_AT_ONCE = 32

_RawSocket: type[socket.socket] = monkey.get_original("socket", "socket")

log = structlog.get_logger(__name__)


class Place(Protocol):
    """A stream's place in the house, reserved."""

    def take(self, sock: socket.socket, rest: bytes) -> None:
        """Own the non-blocking socket whose upgrade was answered; `rest` is what came behind its handshake."""

    def give_back(self) -> None:
        """The stream did not come."""


class House(Protocol):
    """Who lives behind the door."""

    def reserve(self, request: Request) -> Place | str:
        """A place for a new stream, or one word on why there is none."""

    def page(self, request: Request) -> bytes:
        """The answer to a plain HTTP request."""


class Door:
    """One listener. `open` binds, `start` accepts; a greenlet a handshake."""

    def __init__(self, house: House, metrics: Metrics, most_of_one: int, clock: Callable[[], float]) -> None:
        self._house = house
        self._metrics = metrics
        self._clock = clock
        self._visitors: Visitors[gevent.Greenlet[[green.socket], None]] = Visitors(MAX_HANDSHAKES, most_of_one)
        self._handshakes = Group()
        self._tasks = Group()
        self._accepting: gevent.Greenlet[[], None] | None = None
        self._listener: green.socket | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, once open."""
        assert self._listener is not None
        host, port = self._listener.getsockname()[:2]
        return str(host), int(port)

    @property
    def handshakes(self) -> int:
        """Connections that are neither streams nor closed yet."""
        return len(self._visitors)

    def open(self, host: str, port: int) -> None:
        """Bind and listen. Raises OSError when the address cannot be had."""
        listener = green.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Inherited by what is accepted. Buffers are bounded so that a peer that floods, or never reads, holds
        # a little of the kernel's memory and not what autotuning would give it.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        try:
            listener.bind((host, port))
        except OSError:
            listener.close()
            raise
        listener.listen(BACKLOG)
        self._listener = listener

    def start(self) -> None:
        """Accept from now on."""
        self._accepting = self._tasks.spawn(self._accept)

    def check(self) -> None:
        """Raise the error that ended the accepting: a worker that accepts nothing is dead."""
        if self._accepting is not None and self._accepting.ready():
            self._accepting.get()

    def close(self) -> None:
        """End everything at once."""
        self._tasks.kill()
        self._handshakes.kill()
        if self._listener is not None:
            self._listener.close()

    def _accept(self) -> None:
        assert self._listener is not None
        for number in count(1):
            if not number % ACCEPTS_AT_ONCE:
                gevent.sleep(0)  # while connections wait, accepting them waits for nothing: others must have their turn
            try:
                sock, (host, *_) = self._listener.accept()
            except OSError as error:
                # Out of file descriptors, or the peer was gone before we looked: neither is ours to die of.
                log.warning("amd_accept_failed", error=str(error))
                gevent.sleep(ACCEPT_PAUSE_S)
                continue
            now = self._clock()
            full, slow = self._visitors.make_room(host, now)
            if full:
                self._refuse(sock, full)
                continue
            if slow is not None:
                self._metrics.finished.labels("handshake").inc()
                slow.kill(block=False)
            greeting = self._handshakes.spawn(self._greet, sock)
            self._visitors.come(greeting, host, now)
            greeting.rawlink(partial(self._left, sock))

    def _left(self, sock: green.socket, greeting: gevent.Greenlet[[green.socket], None]) -> None:
        """A handshake is over, be it before it began."""
        self._visitors.leave(greeting)
        sock.close()

    def _refuse(self, sock: green.socket, reason: str) -> None:
        """Answer 503 without reading the request, without waiting."""
        self._metrics.refused.labels(reason).inc()
        try:
            sock.settimeout(0.0)
            sock.send(_busy(reason).response)
        except OSError:
            pass
        finally:
            sock.close()

    def _greet(self, sock: green.socket) -> None:
        """One connection's handshake; afterwards the socket belongs to the house, or is closed."""
        try:
            with gevent.Timeout(HANDSHAKE_S):
                request, rest = _read_request(sock)
                if request is None:
                    return
                if handshake.wants_upgrade(request):
                    self._let_in(sock, request, rest)
                    return
            _send_last(sock, self._house.page(request))
        except handshake.Refusal as refusal:
            _send_last(sock, refusal.response)
        except (gevent.Timeout, OSError):
            self._metrics.finished.labels("handshake").inc()

    def _let_in(self, sock: green.socket, request: Request, rest: bytes) -> None:
        response = handshake.upgrade(request)
        place = self._house.reserve(request)
        if isinstance(place, str):
            self._metrics.refused.labels(place).inc()
            raise _busy(place)
        try:
            sock.sendall(response)
            raw = _RawSocket(fileno=sock.detach())
        except (OSError, gevent.Timeout, gevent.GreenletExit):
            place.give_back()
            raise
        raw.setblocking(False)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        place.take(raw, rest)
        self._metrics.accepted.inc()


def allow_files(wanted: int) -> int:
    """Raise this process's limit of open files towards `wanted`; returns how many sockets that leaves."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = wanted + SPARE_FILES
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    if soft == resource.RLIM_INFINITY or soft >= limit:
        return wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit - SPARE_FILES


def _read_request(sock: green.socket) -> tuple[Request | None, bytes]:
    """The request head and what follows; None when the peer left first. Raises Refusal, OSError."""
    data = _first_bytes(sock)
    while (parsed := handshake.parse_request(data)) is None:
        more = sock.recv(4_096) if data else b""
        if not more:
            return None, b""
        data += more
    return parsed


def _first_bytes(sock: green.socket) -> bytes:
    sock.settimeout(FIRST_BYTE_S)
    try:
        return sock.recv(4_096)
    except TimeoutError:
        # Time has passed while a model was loaded, too: what came meanwhile is there.
        sock.settimeout(0.0)
        return sock.recv(4_096)
    finally:
        sock.settimeout(None)  # the whole has a deadline of its own


def _send_last(sock: green.socket, response: bytes) -> None:
    """Answer and let the peer read it: closing over unread bytes would reset the connection."""
    try:
        with gevent.Timeout(LAST_WORDS_S):
            sock.sendall(response)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(4_096):
                pass
    except (OSError, gevent.Timeout):
        return


def _busy(reason: str) -> handshake.Refusal:
    return handshake.Refusal(HTTPStatus.SERVICE_UNAVAILABLE, f"no new streams: {reason}", (("Retry-After", "1"),))
