"""Small raw-socket peers for the event-socket client: one script a connection, misbehaving by name.

A peer listens on a free port and runs its script on each connection it accepts. It speaks with its own bytes, not
with ours, so that a fault of `fsbridge.esl` is not made twice.
"""

from __future__ import annotations

import socket as plain
from collections.abc import Callable

import gevent
from gevent import socket
from gevent.event import Event as Flag

from fsbridge.supervise import Supervisor

PATIENCE_S = 5.0
"""How long a test waits for what has to happen; far above what it takes."""


class PeerClosed(Exception):
    """The client has closed its side."""


class Connection:
    """One accepted connection, as FreeSWITCH sees it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.commands: list[str] = []
        self._buffer = b""

    def send(self, data: bytes, step: int | None = None) -> None:
        """All of it, or in pieces of `step` bytes, each its own segment."""
        if step is None:
            self.sock.sendall(data)
            return
        for at in range(0, len(data), step):
            self.sock.sendall(data[at : at + step])
            gevent.sleep(0)

    def command(self) -> str:
        """The next command of the client. Raises PeerClosed."""
        while b"\n\n" not in self._buffer:
            data = self.sock.recv(65_536)
            if not data:
                raise PeerClosed
            self._buffer += data
        raw, _, self._buffer = self._buffer.partition(b"\n\n")
        self.commands.append(raw.decode())
        return self.commands[-1]

    def greet(self) -> None:
        self.send(b"Content-Type: auth/request\n\n")

    def reply(self, text: str) -> None:
        self.send(f"Content-Type: command/reply\nReply-Text: {text}\n\n".encode())

    def log_in(self, answer: str = "+OK accepted") -> None:
        """Greet, read the password, answer."""
        self.greet()
        self.command()
        self.reply(answer)

    def serve(self, answer: Callable[[str], bytes | None]) -> None:
        """Answer commands by a function until the client goes; None answers nothing."""
        while True:
            data = answer(self.command())
            if data is not None:
                self.send(data)

    def until_closed(self) -> None:
        """Wait for the client to go, reading nothing else."""
        while self.sock.recv(65_536):
            pass


class Peer:
    """A listener; `connections` holds every connection so far, `ended` is set when a script has run out."""

    def __init__(self, script: Callable[[Connection], None], supervisor: Supervisor, backlog: int = 16) -> None:
        self.connections: list[Connection] = []
        self.ended = Flag()
        self._script = script
        self._supervisor = supervisor
        self._listener = socket.socket()
        self._listener.setsockopt(plain.SOL_SOCKET, plain.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(backlog)
        self.port: int = self._listener.getsockname()[1]

    def start(self) -> Peer:
        self._supervisor.spawn("peer", self._accept)
        return self

    def close(self) -> None:
        """Listen no more and drop everybody."""
        self._listener.close()
        for connection in self.connections:
            connection.sock.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            connection = Connection(sock)
            self.connections.append(connection)
            self._supervisor.spawn("peer.script", self._run, connection)

    def _run(self, connection: Connection) -> None:
        try:
            self._script(connection)
        except (PeerClosed, OSError):
            pass  # the client went, or the test has closed this side
        finally:
            connection.sock.close()
            self.ended.set()


def printed(text: str) -> bytes:
    """What an api command printed."""
    body = text.encode()
    return b"Content-Type: api/response\nContent-Length: %d\n\n" % len(body) + body


def event(name: str, body: str = "", **headers: str) -> bytes:
    """An event in plain form; underscores in names stand for hyphens."""
    lines = [f"Event-Name: {name}", *(f"{key.replace('_', '-')}: {value}" for key, value in headers.items())]
    if body:
        lines.append(f"Content-Length: {len(body.encode())}")
    inner = ("\n".join(lines) + "\n\n" + body).encode()
    return b"Content-Length: %d\nContent-Type: text/event-plain\n\n" % len(inner) + inner


def eventually(condition: Callable[[], object], what: str = "the condition") -> None:
    """Wait until the condition holds; fails after PATIENCE_S."""
    with gevent.Timeout(PATIENCE_S, AssertionError(f"{what} did not come true")):
        while not condition():
            gevent.sleep(0.002)
