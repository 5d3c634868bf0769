"""One connection under gevent.pywsgi: bounds on everything a stranger controls.

Bounded: silence on an open connection, the time and the size of a request's line and headers, the time to write a
response, the bytes read off after one. When all places are taken, or all of an address, a silent connection makes room
for one that asks (`api.http.crowd`). Bodies are bounded in `api.http.edge`, connections in `api.http.server`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any
from urllib.parse import unquote_to_bytes

import gevent
import structlog
from gevent import socket
from gevent.event import Event
from gevent.pool import Pool
from gevent.pywsgi import Input, WSGIHandler, WSGIServer

from api.contract.errors import ApiError, ErrorCode
from api.http.crowd import Crowd
from api.http.edge import WsgiApp
from api.http.headers import HeaderError, Headers, read_headers
from api.http.target import check_host, split

log = structlog.get_logger(__name__)

MAX_REQUEST_LINE = 8_192


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Patience with one connection, in seconds, and how much of an unread body is read off before it is closed.

    `first_s`: until the first byte of the first request; `silence_s`: until that of a further one.
    """

    first_s: float = 10.0
    silence_s: float = 60.0
    header_s: float = 10.0
    linger_s: float = 1.0
    linger_bytes: int = 262_144


class HttpServer(WSGIServer):
    """The connections that are open, and whether new requests are still taken on them."""

    max_accept = 1  # so that `full` is asked for each connection that waits, and only then

    def __init__(
        self,
        listener: Any,
        app: WsgiApp,
        pool: Pool,
        name: str,
        limits: ConnectionLimits,
        crowd: Crowd[Connection],
    ) -> None:
        # SERVER_NAME is given: pywsgi would ask the DNS for it.
        super().__init__(
            listener, app, spawn=pool, log=None, error_log=None, handler_class=Connection, environ={"SERVER_NAME": name}
        )
        self.limits = limits
        self.crowd = crowd
        self.handlers: set[Connection] = set()
        self.draining = False
        self.ended = Event()

        self.__dict__.pop("full", None)  # gevent puts the pool's own there

    def full(self) -> bool:
        """Asked while somebody waits to be accepted: whoever is silent makes room."""
        assert self.pool is not None
        if not self.pool.full():
            return False
        if (silent := self.crowd.expendable(_is_idle)) is not None:
            silent.hang_up()
        return True

    def close(self) -> None:
        super().close()
        self.ended.set()


class _Input(Input):
    """A body. What the application left unread is read off within bounds, else the connection closes.

    Reading some of it lets the client see an early answer (413, 401) rather than a reset connection.
    """

    __slots__ = ("_handler",)

    def __init__(self, handler: Connection, chunked: bool) -> None:
        awaited = handler.headers.get("expect", "").lower() == "100-continue"
        super().__init__(handler.rfile, handler.content_length, handler.socket if awaited else None, chunked)
        self._handler = handler

    def _discard(self) -> None:
        if not self.chunked_input and self.position >= (self.content_length or 0):
            return
        limits = self._handler.server.limits
        self.send_100_continue_enabled = False
        left = limits.linger_bytes
        try:
            with gevent.Timeout(limits.linger_s, TimeoutError):
                while left > 0:
                    data = self.read(min(16_384, left))
                    if not data:
                        return
                    left -= len(data)
        except OSError:
            pass
        self._handler.close_connection = True


class Connection(WSGIHandler):
    """One connection. `idle` while it waits for a request; then it may be hung up at any time."""

    server: HttpServer
    headers: Any  # Headers: pywsgi's own type is an e-mail message
    authority: str | None = None
    idle = False
    fresh = True

    def handle(self) -> None:
        # Bounds every recv and every sendall; each costs a timer only where it has to wait.
        self.socket.settimeout(self.server.limits.first_s)
        address, crowd = str(self.client_address[0]), self.server.crowd
        self.server.handlers.add(self)
        crowd.enter(address, self)
        try:
            super().handle()
        finally:
            self.server.handlers.discard(self)
            crowd.leave(address, self)

    def hang_up(self) -> None:
        """End the wait for a request; what has already arrived is still read and answered."""
        self.idle = False
        try:
            self.socket.shutdown(socket.SHUT_RD)
        except OSError as error:
            log.debug("hang_up_failed", error=str(error))

    def handle_one_request(self) -> Any:
        """pywsgi's protocol: None ends the connection, True goes on, (status, bytes) is sent and ends it."""
        if self.rfile.closed:
            return None
        if self.fresh and not self._welcome():
            words = "too many connections from this address; use those that are open again"
            return _bare(429, words, ErrorCode.RATE_LIMIT_EXCEEDED, "Retry-After: 1")
        if not self._request_waits():
            return None
        try:
            with gevent.Timeout(self.server.limits.header_s, _TooSlow):
                refusal = self._read_head()
        except _TooSlow:
            return _bare(408, "the request's headers did not arrive in time")
        except HeaderError as error:
            return _bare(400, f"malformed request: {error}")
        except (OSError, EOFError):
            return None
        if refusal is not None:
            return refusal
        self.environ = self.get_environ()
        self.application = self.server.application
        self.close_connection = self.close_connection or self.server.draining
        self.handle_one_response()
        return None if self.close_connection or self.server.draining or self.rfile.closed else True

    def _welcome(self) -> bool:
        """Whether its address may have one more; a silent one of the same address makes room."""
        address, crowd = str(self.client_address[0]), self.server.crowd
        if not crowd.crowded(address):
            return True
        if (silent := crowd.oldest(address, _is_idle)) is None:
            return False
        silent.hang_up()
        return True

    def _request_waits(self) -> bool:
        self.idle = True
        try:
            return bool(self.rfile.peek(1))
        except OSError:
            return False
        finally:
            self.idle = False
            if self.fresh:
                self.fresh = False
                self.socket.settimeout(self.server.limits.silence_s)

    def _read_head(self) -> tuple[str, bytes] | None:
        self.response_length = 0
        raw = self.rfile.readline(MAX_REQUEST_LINE)
        if not raw.endswith(b"\n"):
            if len(raw) >= MAX_REQUEST_LINE:
                return _bare(414, f"the request line is longer than {MAX_REQUEST_LINE} bytes")
            raise EOFError
        self.requestline = raw.decode("latin-1").rstrip("\r\n")
        words = self.requestline.split(" ")
        if len(words) != 3 or not words[0].isalpha() or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
            return _bare(400, "malformed request line: it must be METHOD PATH HTTP/1.1")
        self.command, target, self.request_version = words
        headers = self.headers = read_headers(self.rfile)
        check_host(headers.get("host"), self.request_version)
        self.path, self.authority = split(self.command, target)
        length = headers.get("content-length")
        self.content_length = None if length is None else int(length)  # type: ignore[assignment]
        connection = (headers.get("connection") or "").lower()
        keep = connection == "keep-alive" if self.request_version == "HTTP/1.0" else connection != "close"
        self.close_connection = not keep
        return None

    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = self.server.get_environ()
        path, _, query = (self.path or "").partition("?")
        environ["REQUEST_METHOD"] = self.command
        environ["SCRIPT_NAME"] = ""
        environ["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1") if "%" in path else path
        environ["QUERY_STRING"] = query
        environ["SERVER_PROTOCOL"] = self.request_version
        environ["REMOTE_ADDR"] = str(self.client_address[0])
        headers: Headers = self.headers
        for name, key in (("content-type", "CONTENT_TYPE"), ("content-length", "CONTENT_LENGTH")):
            if (value := headers.get(name)) is not None:
                environ[key] = value
        for key, value in headers.environ():
            environ[key] = f"{environ[key]},{value}" if key in environ else value
        if self.authority is not None:
            environ["HTTP_HOST"] = self.authority
        self.wsgi_input = environ["wsgi.input"] = _Input(self, headers.get("transfer-encoding") is not None)
        environ["wsgi.input_terminated"] = True
        return environ

    def _connection_upgrade_requested(self) -> bool:
        # Nothing here is upgraded; pywsgi would hand the raw socket to the application.
        return False

    def _sendall(self, data: bytes) -> None:
        try:
            super()._sendall(data)  # type: ignore[misc]
        except TimeoutError as error:
            raise BrokenPipeError(errno.EPIPE, "the peer does not read") from error

    def log_request(self) -> None:
        """Nothing: `api.http.edge` writes the access line."""

    def handle_error(self, t: type[BaseException] | None, v: BaseException | None, tb: TracebackType | None) -> None:
        """What escaped the application: a request cut by `stop`, or a fault of ours."""
        self.close_connection = True
        cut = isinstance(v, gevent.GreenletExit)
        if not cut:
            log.error("request_broken", exc_info=(t, v, tb))
        if not self.response_length:
            code = ErrorCode.SERVICE_UNAVAILABLE if cut else ErrorCode.INTERNAL_ERROR
            error = ApiError(code, "the service is stopping; try again" if cut else "something broke here")
            try:
                self._sendall(_bare(error.status, error.message, code)[1])
            except OSError as failure:
                log.debug("answer_unsent", error=str(failure))


def _is_idle(connection: Connection) -> bool:
    return connection.idle


class _TooSlow(Exception):
    pass


def _bare(status: int, message: str, code: ErrorCode = ErrorCode.INVALID_REQUEST, *more: str) -> tuple[str, bytes]:
    """A whole response for a request that never reached the application; `more` are header lines."""
    body = ApiError(code, message).body()
    lines: Iterator[str] = iter(
        (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "Cache-Control: no-store",
            *more,
            "Connection: close",
            "",
            "",
        )
    )
    return str(status), "\r\n".join(lines).encode() + body
