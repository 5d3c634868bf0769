"""What machines ask: alive, ready, metrics, the OpenAPI document. Without keys.

`/metrics` and `/readyz` tell a stranger how the service is doing: give them an address of their own
(`service.probe_listen`, with `probes_on_listen = false`) on a private network, or let the proxy in front pass ``/cgw/``
only.
"""

from __future__ import annotations

import orjson
from gevent.lock import Semaphore

from api.contract.health import Health, Readiness
from api.contract.shapes import to_json
from api.http.edge import Request, Response
from api.openapi.document import document
from api.rest.ports import CallService
from fsbridge.clock import Clock

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
READY_FOR_S = 1.0
"""How long an answer about readiness is good for: to find one writes to the store, and strangers may ask."""


class OpsHandlers:
    """Handlers of the operational routes."""

    def __init__(self, service: CallService, clock: Clock, max_body_bytes: int = 0, *, probes: bool = True) -> None:
        self._service = service
        self._clock = clock
        self._openapi = orjson.dumps(document(max_body_bytes, probes=probes))
        self._asking = Semaphore()
        self._asked_at = float("-inf")
        self._reasons: list[str] = []

    def health(self, request: Request) -> Response:
        """Always 200: that it is answered is the message."""
        return Response(200, to_json(Health(status="ok")))

    def ready(self, request: Request) -> Response:
        """200, or 503 with the reasons; who asks at the same time is told the same."""
        with self._asking:
            if self._clock.monotonic() - self._asked_at >= READY_FOR_S:
                self._reasons = self._service.ready()
                self._asked_at = self._clock.monotonic()
        reasons = self._reasons
        body = to_json(Readiness(status="not_ready" if reasons else "ready", reasons=reasons))
        return Response(503 if reasons else 200, body)

    def metrics(self, request: Request) -> Response:
        """Prometheus text."""
        return Response(200, self._service.metrics(), METRICS_TYPE)

    def openapi(self, request: Request) -> Response:
        """OpenAPI 3.1."""
        return Response(200, self._openapi)
