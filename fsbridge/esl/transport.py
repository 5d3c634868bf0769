"""One TCP connection: opened, read and written within deadlines, and a clock of how long it was listened to. Shell.

Every wait for the peer is in that clock's time (`esl.attention`): the loop that we run in may be late, and a timer that
fires late would take our own absence for the peer's silence.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import socket as plain_socket
import struct
import termios
from collections.abc import Callable
from typing import Any

import gevent
from gevent import socket
from gevent.event import AsyncResult
from gevent.event import Event as Flag

from fsbridge.clock import Clock
from fsbridge.esl.attention import Attention
from fsbridge.supervise import Supervisor

READ_BYTES = 65_536
READ_BUDGET_S = 0.005
"""How long the reader may run without letting others: FreeSWITCH drops a listener that lags, so no longer pause."""
READ_PAUSE_S = 0.0001

TURN_S = 0.05
"""How often we look whether we have listened, and so how much of a late hub may be taken for the peer's silence."""

KEEPALIVE = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))


class Transport:
    """`closed` is set at the end; the object is done with then."""

    def __init__(self, host: str, port: int, supervisor: Supervisor, clock: Clock) -> None:
        self.sock: socket.socket | None = None
        self.closed = Flag()
        self._host, self._port = host, port
        self._supervisor = supervisor
        self._clock = clock
        self._attention = Attention()
        self._bytes_read = 0

    @property
    def listened_s(self) -> float:
        """For how many seconds the peer has been listened to."""
        return self._attention.listened_s

    def attend(self) -> None:
        """Keep the clock, until the connection is closed: the body of a task without which no wait would end."""
        since = self._clock.monotonic()
        while not self.closed.wait(TURN_S):
            now = self._clock.monotonic()
            self._attention = self._attention.turn(now - since, TURN_S, self._bytes_read, _unread(self.sock))
            since = now

    def wait(self, what: AsyncResult[Any] | Flag, seconds: float) -> bool:
        """Whether it was there before the peer had been listened to for so long, or the connection was closed."""
        until = self.listened_s + seconds
        left = seconds
        while not what.ready() and left > 0 and not self.closed.is_set():
            what.wait(max(left, TURN_S / 2))
            left = until - self.listened_s
        return what.ready()

    def open(self, seconds: float) -> None:
        """Connect, the look-up of the name included.

        Raises OSError (TimeoutError when it takes too long), UnicodeError for a host that is no name.
        """
        opened: AsyncResult[socket.socket | Exception] = AsyncResult()
        # A greenlet of its own: a wait for it is in our time, and its end bounds the look-up and all addresses.
        opener = self._supervisor.spawn(f"esl.connect {self._host}:{self._port}", self._create, opened)
        try:
            self.wait(opened, seconds)
            result = opened.get() if opened.ready() else TimeoutError(errno.ETIMEDOUT, "timed out")
            if isinstance(result, socket.socket) and not self.closed.is_set():
                _keep_alive(result)
                self.sock = result
        finally:
            opener.kill(block=False)
            if self.sock is None:
                opened.rawlink(_close)
        if self.sock is None:
            raise result if isinstance(result, Exception) else ConnectionAbortedError("closed while it was opened")

    def read(self, take: Callable[[bytes], None]) -> None:
        """Hand on what comes, until the peer closes: the body of the reader's task. Raises OSError."""
        sock = self.sock
        if sock is None:
            return
        since = self._clock.monotonic()
        while data := sock.recv(READ_BYTES):
            take(data)
            self._bytes_read += len(data)
            if self._clock.monotonic() - since > READ_BUDGET_S:
                gevent.sleep(READ_PAUSE_S)
                since = self._clock.monotonic()

    def write(self, data: bytes, seconds: float) -> None:
        """All of it. Raises OSError; TimeoutError when the peer has taken nothing for so long."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._send(rest, seconds) :]

    def close(self) -> None:
        """End the connection; whoever waits finds out by `closed`."""
        self.closed.set()
        if self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.shutdown(plain_socket.SHUT_RDWR)
            self.sock.close()

    # --- inside ------------------------------------------------------------------------------------------

    def _create(self, opened: AsyncResult[socket.socket | Exception]) -> None:
        try:
            opened.set(socket.create_connection((self._host, self._port)))
        except (OSError, UnicodeError) as error:
            opened.set(error)

    def _send(self, data: memoryview, seconds: float) -> int:
        """As much as the socket takes; at least one byte."""
        if self.sock is None:
            raise ConnectionAbortedError("not connected")
        until = self.listened_s + seconds
        left = seconds
        while True:
            limit = gevent.Timeout(max(left, TURN_S / 2))
            try:
                with limit:
                    sent: int = self.sock.send(data)
                    return sent
            except gevent.Timeout as timeout:
                if timeout is not limit:
                    raise
            left = until - self.listened_s
            if left <= 0:
                raise TimeoutError("the socket takes no more bytes")


def _unread(sock: socket.socket | None) -> int:
    """Bytes that have arrived and were not read."""
    if sock is None or sock.fileno() < 0:
        return 0
    try:
        found: int = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.FIONREAD, bytes(4)))[0]
    except OSError:
        return 0
    return found


def _close(opened: AsyncResult[socket.socket | Exception]) -> None:
    if isinstance(opened.value, socket.socket):
        opened.value.close()


def _keep_alive(sock: socket.socket) -> None:
    sock.setsockopt(plain_socket.IPPROTO_TCP, plain_socket.TCP_NODELAY, 1)
    sock.setsockopt(plain_socket.SOL_SOCKET, plain_socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE:
        option = getattr(plain_socket, name, None)
        if option is not None:
            sock.setsockopt(plain_socket.IPPROTO_TCP, option, value)
