"""What machines ask: alive, ready, metrics, the OpenAPI document. Without keys.

`/metrics` and `/readyz` tell a stranger how the service is doing: bind the listening address to a private network,
or let the proxy in front pass ``/cgw/`` only.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from api.contract.health import Health, Readiness
from api.contract.shapes import to_json
from api.http.edge import Request, Response
from api.openapi.document import document
from api.rest.ports import CallService

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class OpsHandlers:
    """Handlers of the operational routes."""

    service: CallService
    openapi_json: bytes

    @classmethod
    def of(cls, service: CallService, max_body_bytes: int) -> OpsHandlers:
        """With the OpenAPI document rendered once."""
        return cls(service, orjson.dumps(document(max_body_bytes)))

    def health(self, request: Request) -> Response:
        """Always 200: that it is answered is the message."""
        return Response(200, to_json(Health(status="ok")))

    def ready(self, request: Request) -> Response:
        """200, or 503 with the reasons."""
        reasons = self.service.ready()
        body = to_json(Readiness(status="not_ready" if reasons else "ready", reasons=reasons))
        return Response(503 if reasons else 200, body)

    def metrics(self, request: Request) -> Response:
        """Prometheus text."""
        return Response(200, self.service.metrics(), METRICS_TYPE)

    def openapi(self, request: Request) -> Response:
        """OpenAPI 3.1."""
        return Response(200, self.openapi_json)
