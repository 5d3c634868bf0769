"""Listens on the node's event socket, and gives each connection its two tasks."""

from __future__ import annotations

import gevent.socket

from fsbridge.simulator.socket.connection import Connection
from fsbridge.simulator.switch.node import Node
from fsbridge.supervise import Supervisor


class EventSocketServer:
    """`port` is known once it has started."""

    def __init__(self, node: Node, supervisor: Supervisor) -> None:
        self._node = node
        self._supervisor = supervisor
        self._socket: gevent.socket.socket | None = None
        self._connections: set[Connection] = set()
        self._stopped = False
        self.port = 0

    def start(self) -> None:
        """Bind and accept. Raises OSError when the address is taken."""
        self._node.on_cut = self._cut
        self._listen(self._node.settings.port)

    def _listen(self, port: int) -> None:
        settings = self._node.settings
        family = gevent.socket.AF_INET6 if ":" in settings.host else gevent.socket.AF_INET
        sock = gevent.socket.socket(family, gevent.socket.SOCK_STREAM)
        try:
            sock.setsockopt(gevent.socket.SOL_SOCKET, gevent.socket.SO_REUSEADDR, 1)
            sock.bind((settings.host, port))
            sock.listen(128)
        except OSError:
            sock.close()
            raise
        self._socket = sock
        self.port = sock.getsockname()[1]
        self._supervisor.spawn_essential("simulator.accept", self._accept, sock)

    def _accept(self, listening: gevent.socket.socket) -> None:
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            if len(self._connections) >= self._node.settings.max_listeners:
                sock.close()
                continue
            sock.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
            connection = Connection(self._node, sock)
            self._connections.add(connection)
            self._supervisor.spawn("simulator.read", connection.read)
            self._supervisor.spawn("simulator.write", self._write, connection)

    def _write(self, connection: Connection) -> None:
        try:
            connection.write()
        finally:
            self._connections.discard(connection)

    def stop(self) -> None:
        """Close everything at once, as a node that is shut down does (tests/traces/node_shut_down.jsonl)."""
        self._stopped = True
        self._close()

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        for connection in list(self._connections):
            connection.cut()

    def _cut(self, seconds: float) -> None:
        self._close()
        self._node.scheduler.call_later(seconds, self._come_back)

    def _come_back(self) -> None:
        if not self._stopped and self._socket is None:
            self._listen(self.port)
