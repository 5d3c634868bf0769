"""The edge between WSGI and the handlers: the only module that knows Bottle.

A handler takes a `Request` and returns a `Response`, or raises `ApiError`. The edge routes, bounds and times the
reading of bodies, turns every error (unknown paths and unforeseen exceptions too) into the contract's JSON,
numbers each request (`X-Request-Id`) and writes one access line about it: method, path template, status,
milliseconds; never a body, a key or a query.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import bottle
import gevent
import structlog

from api.contract.errors import ApiError, ErrorCode
from api.contract.routes import Route
from fsbridge.clock import Clock
from fsbridge.model.ids import new_uuid

log = structlog.get_logger("api.access")

JSON = "application/json"
Environ: TypeAlias = dict[str, Any]
WsgiApp: TypeAlias = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CLOSE = (("Connection", "close"),)
_UNMATCHED = "(no such path)"


@dataclass(frozen=True, slots=True)
class Response:
    """What goes back; the edge adds the headers that every response has."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What a body may cost: bytes, and seconds until its last byte."""

    body_bytes: int = 65_536
    body_seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request as handlers see it. `params` are the path's, as text, unchecked."""

    params: Mapping[str, str]
    authorization: str | None
    request_id: str
    environ: Environ = field(repr=False)
    limits: Limits = field(repr=False)

    def header(self, name: str) -> str | None:
        """A header's value; the name as it is written in HTTP."""
        key = name.upper().replace("-", "_")
        value = self.environ.get(key if key == "CONTENT_TYPE" else f"HTTP_{key}")
        return None if value is None else str(value)

    def query(self, *known: str) -> dict[str, str]:
        """The query's parameters. Raises ApiError 400 for one that is not known, stands twice or is no UTF-8."""
        try:
            pairs = parse_qsl(
                self.environ.get("QUERY_STRING", ""), keep_blank_values=True, errors="strict", max_num_fields=20
            )
        except ValueError as error:
            raise ApiError(ErrorCode.INVALID_REQUEST, "query: cannot be read; encode it as UTF-8") from error
        values: dict[str, str] = {}
        for name, value in pairs:
            if name not in known:
                words = f"known are {', '.join(known)}" if known else "this path takes none"
                raise ApiError(ErrorCode.INVALID_REQUEST, f"query: unknown parameter {name[:64]!a}; {words}")
            if name in values:
                raise ApiError(ErrorCode.INVALID_REQUEST, f"{name}: stands twice in the query; send it once")
            values[name] = value
        return values

    def body(self, limit: int | None = None) -> bytes:
        """The whole body, read now; `limit` bytes at most, else the service's own limit.

        Raises ApiError: 413 over the limit, 408 too slow, 400 broken framing.
        """
        length = self.environ.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal():
            raise ApiError(ErrorCode.INVALID_REQUEST, "Content-Length: must be a number", headers=_CLOSE)
        limit = self.limits.body_bytes if limit is None else limit
        # Told before reading: a client that waits for 100-continue need not send it at all.
        if len(length) > 18 or int(length) > limit:
            raise _too_large(limit)
        timeout = gevent.Timeout(self.limits.body_seconds)
        try:
            with timeout:
                data: bytes = self.environ["wsgi.input"].read(limit + 1)
        except gevent.Timeout as fired:
            if fired is not timeout:
                raise
            raise ApiError(
                ErrorCode.INVALID_REQUEST,
                f"body: did not arrive whole within {self.limits.body_seconds:g} s; check Content-Length and try again",
                status=408,
                headers=_CLOSE,
            ) from fired
        except OSError as error:
            raise ApiError(
                ErrorCode.INVALID_REQUEST,
                "body: ended early or its chunked encoding is broken; check Content-Length and Transfer-Encoding",
                headers=_CLOSE,
            ) from error
        if len(data) > limit:
            raise _too_large(limit)
        return data


Handler: TypeAlias = Callable[[Request], Response]


def build_wsgi(routes: Sequence[tuple[Route, Handler]], clock: Clock, limits: Limits) -> WsgiApp:
    """A WSGI application of these routes; every error is answered, none is raised to the server."""
    app = bottle.Bottle()
    app.config["catchall"] = False
    edge = _Edge(clock, limits)
    for route, handler in routes:
        path = route.path.replace("{", "<").replace("}", ">")
        app.route(path, method=route.method, callback=edge.callback(route, handler))
    app.default_error_handler = edge.unrouted
    wsgi: WsgiApp = app.wsgi
    return wsgi


class _Edge:
    def __init__(self, clock: Clock, limits: Limits) -> None:
        self._clock = clock
        self._limits = limits

    def callback(self, route: Route, handler: Handler) -> Callable[..., bytes]:
        """Bottle's callback for one route."""
        quiet = not route.path.startswith("/cgw/")

        def answer(**params: str) -> bytes:
            started = self._clock.monotonic()
            environ: Environ = bottle.request.environ
            request_id = _request_id(environ)
            request = Request(params, environ.get("HTTP_AUTHORIZATION"), request_id, environ, self._limits)
            try:
                response = handler(request)
            except ApiError as error:
                response = _refusal(error)
            except Exception:
                log.exception("request_failed", request_id=request_id, path=route.path)
                response = _refusal(
                    ApiError(
                        ErrorCode.INTERNAL_ERROR,
                        f"something broke here; tell the operator of this service the request id {request_id}",
                    )
                )
            return self._finish(environ["REQUEST_METHOD"], route.path, request_id, response, started, quiet)

        return answer

    def unrouted(self, refused: Any) -> bytes:
        """Bottle found no callback: an unknown path, or a method that the path does not have."""
        environ: Environ = bottle.request.environ
        if refused.status_code == 405:
            methods = refused.get_header("Allow", "")
            error = ApiError(ErrorCode.METHOD_NOT_ALLOWED, f"method: this path has {methods} only")
        else:
            error = ApiError(ErrorCode.NOT_FOUND, "path: there is nothing here; GET /openapi.json lists the paths")
        started = self._clock.monotonic()
        return self._finish(
            environ["REQUEST_METHOD"], _UNMATCHED, _request_id(environ), _refusal(error), started, False
        )

    def _finish(
        self, method: str, path: str, request_id: str, response: Response, started: float, quiet: bool
    ) -> bytes:
        out = bottle.response
        out.status = response.status
        out.content_type = response.content_type
        out.set_header("Cache-Control", "no-store")
        out.set_header("X-Request-Id", request_id)
        for name, value in response.headers:
            out.set_header(name, value)
        elapsed = round((self._clock.monotonic() - started) * 1000, 1)
        # Probes come every second and say nothing new: they are for the debugging eye only.
        tell = log.debug if quiet and response.status < 400 else log.info
        tell("request", method=method, path=path, status=response.status, ms=elapsed, request_id=request_id)
        return response.body


def retry_after(seconds: float) -> tuple[str, str]:
    """The header that says when to try again, in whole seconds, at least one."""
    return "Retry-After", str(max(1, math.ceil(seconds)))


def _refusal(error: ApiError) -> Response:
    return Response(error.status, error.body(), headers=error.headers)


def _too_large(limit: int) -> ApiError:
    return ApiError(
        ErrorCode.INVALID_REQUEST, f"body: larger than the limit of {limit} bytes", status=413, headers=_CLOSE
    )


def _request_id(environ: Environ) -> str:
    given: str = environ.get("HTTP_X_REQUEST_ID", "")
    return given if _REQUEST_ID.fullmatch(given) else new_uuid()
