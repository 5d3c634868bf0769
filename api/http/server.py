"""The HTTP server: where it listens, how many connections it takes, and how it stops.

TCP_NODELAY is set on the listening socket, whose connections inherit it: pywsgi writes headers and body apart, and with
Nagle's algorithm the second would wait for the peer's delayed ACK.
"""

from __future__ import annotations

from dataclasses import dataclass

from gevent import socket
from gevent.pool import Pool

from api.http.connection import Connection, ConnectionLimits, HttpServer
from api.http.crowd import Crowd
from api.http.edge import WsgiApp
from fsbridge.errors import FsbridgeError
from fsbridge.settings.addresses import host_and_port
from fsbridge.settings.service import ServiceSettings
from fsbridge.supervise import Supervisor

BACKLOG = 1_024
PROBES = 64
"""Connections of probes at their own place: they come one by one and say little."""


class ServeError(FsbridgeError):
    """The address cannot be listened on, or the server has ended by itself."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server listens (`listen`, by the name of its setting), and how many connections it takes."""

    listen: str
    connections: int
    per_address: int
    proxies: tuple[str, ...] = ()
    setting: str = "service.listen"

    @classmethod
    def main(cls, settings: ServiceSettings) -> Place:
        """Everybody's."""
        return cls(settings.listen, settings.max_connections, settings.max_connections_per_address, settings.proxies)

    @classmethod
    def probes(cls, settings: ServiceSettings) -> Place | None:
        """That of the probes, if they have one of their own."""
        if settings.probe_listen is None:
            return None
        return cls(settings.probe_listen, PROBES, PROBES, setting="service.probe_listen")


class ApiServer:
    """Serves one application at one place from `serve` to `stop`."""

    def __init__(
        self, app: WsgiApp, place: Place, supervisor: Supervisor, limits: ConnectionLimits | None = None
    ) -> None:
        self._app = app
        self._place = place
        self._supervisor = supervisor
        self._limits = limits or ConnectionLimits()
        self._listener: socket.socket | None = None
        self._server: HttpServer | None = None

    def listen(self) -> None:
        """Take the address; who connects waits until `serve`. Raises ServeError with the system's reason."""
        place = self._place
        try:
            self._listener = _listen(*host_and_port(place.listen))
        except OSError as error:
            raise ServeError(
                f"cannot listen on {place.listen}: {error.strerror or error}; "
                f"change {place.setting} or stop what uses that address"
            ) from error

    def serve(self) -> None:
        """Answer, from now on; `listen` first."""
        if self._listener is None:
            raise ServeError("there is no address to serve on yet")
        place = self._place
        host, _ = host_and_port(place.listen)
        listener, self._listener = self._listener, None
        crowd = Crowd[Connection](place.per_address, place.proxies)
        server = HttpServer(listener, self._app, Pool(place.connections), host, self._limits, crowd)
        server.start()
        self._server = server
        self._supervisor.spawn_essential(f"http {place.listen}", self._watch, server)

    def start(self) -> None:
        """`listen` and `serve` at once."""
        self.listen()
        self.serve()

    @property
    def port(self) -> int:
        """The port that is served, which the system chose if the configuration says 0."""
        if self._server is None:
            raise ServeError("the server has not been started")
        return self._server.server_port or 0

    @property
    def connections(self) -> int:
        """Open connections, idle ones among them."""
        return 0 if self._server is None else len(self._server.handlers)

    def stop(self, drain_s: float) -> None:
        """Accept nothing more, let requests in progress finish for `drain_s` seconds, then cut what is left.

        A request that is cut is told 503.
        """
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        server = self._server
        if server is None:
            return
        server.draining = True
        server.close()
        for handler in [h for h in server.handlers if h.idle]:
            handler.hang_up()
        server.stop(timeout=drain_s)

    @staticmethod
    def _watch(server: HttpServer) -> None:
        server.ended.wait()
        if not server.draining:
            raise ServeError("the HTTP server has ended by itself")


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
