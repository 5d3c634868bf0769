"""The demo's webhook receiver: a real HTTP server that verifies each signature before it believes a callback."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import orjson
from gevent.pywsgi import WSGIServer

from fsbridge.clock import SystemClock
from fsbridge.webhook.signing import SignatureError, verify

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class Receiver:
    """Listens on a free loopback port; `events` holds what arrived with a valid signature, by session, in order."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._clock = SystemClock()
        self._server = WSGIServer(("127.0.0.1", 0), self._application, log=None, error_log=None)
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.rejected = 0

    def start(self) -> None:
        """Begin to listen."""
        self._server.start()

    def stop(self) -> None:
        """Stop listening."""
        self._server.stop(timeout=1)

    @property
    def url(self) -> str:
        """Where callbacks shall go."""
        return f"http://127.0.0.1:{self._server.server_port}/callbacks"

    def names(self, session_id: str) -> tuple[str, ...]:
        """The events of a session in the order in which they arrived."""
        return tuple(str(event["event"]) for event in self.events.get(session_id, []))

    def _application(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(1_000_000)
        headers = {
            name.removeprefix("HTTP_").replace("_", "-").lower(): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        try:
            verify(headers, body, self._secret, self._clock.wall())
        except SignatureError:
            self.rejected += 1
            start_response("401 Unauthorized", [("Content-Length", "0")])
            return [b""]
        event = orjson.loads(body)
        self.events.setdefault(event["sessionId"], []).append(event)
        start_response("204 No Content", [])
        return [b""]
