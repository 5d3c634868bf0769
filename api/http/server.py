"""The HTTP server: where it listens, how many connections it takes, and how it stops.

TCP_NODELAY is set on the listening socket, whose connections inherit it: pywsgi writes headers and body apart, and with
Nagle's algorithm the second would wait for the peer's delayed ACK.
"""

from __future__ import annotations

from gevent import socket
from gevent.pool import Pool

from api.http.connection import ConnectionLimits, HttpServer
from api.http.edge import WsgiApp
from fsbridge.errors import FsbridgeError
from fsbridge.settings.service import ServiceSettings
from fsbridge.supervise import Supervisor

BACKLOG = 1_024


class ServeError(FsbridgeError):
    """The address cannot be listened on, or the server has ended by itself."""


class ApiServer:
    """Serves one application on `settings.listen` from `serve` to `stop`."""

    def __init__(
        self,
        app: WsgiApp,
        settings: ServiceSettings,
        supervisor: Supervisor,
        limits: ConnectionLimits | None = None,
    ) -> None:
        self._app = app
        self._settings = settings
        self._supervisor = supervisor
        self._limits = limits or ConnectionLimits()
        self._listener: socket.socket | None = None
        self._server: HttpServer | None = None

    def listen(self) -> None:
        """Take the address; who connects waits until `serve`. Raises ServeError with the system's reason."""
        host, port = self._settings.address
        try:
            self._listener = _listen(host, port)
        except OSError as error:
            raise ServeError(
                f"cannot listen on {self._settings.listen}: {error.strerror or error}; "
                "change service.listen or stop what uses that address"
            ) from error

    def serve(self) -> None:
        """Answer, from now on; `listen` first."""
        if self._listener is None:
            raise ServeError("there is no address to serve on yet")
        host, _ = self._settings.address
        listener, self._listener = self._listener, None
        server = HttpServer(listener, self._app, Pool(self._settings.max_connections), host, self._limits)
        server.start()
        self._server = server
        self._supervisor.spawn_essential("http", self._watch, server)

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
