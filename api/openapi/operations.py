"""The endpoints for whoever operates the service, in the OpenAPI document; none needs a key. Pure."""

from __future__ import annotations

from api.contract import routes
from api.contract.errors import ErrorCode
from api.contract.health import Health, Readiness
from api.openapi.parts import Doc, errors, operation, other, response


def health() -> Doc:
    """`/healthz`."""
    return _open(routes.HEALTH, "Is the process alive", {"200": response("It is.", Health)})


def ready() -> Doc:
    """`/readyz`."""
    answers = {"200": response("Yes.", Readiness), "503": response("No; `reasons` say why.", Readiness)}
    return _open(routes.READY, "Should calls be sent here", answers)


def metrics() -> Doc:
    """`/metrics`."""
    return _open(
        routes.METRICS, "Prometheus metrics", {"200": other("Text format 0.0.4.", "text/plain", {"type": "string"})}
    )


def openapi() -> Doc:
    """`/openapi.json`."""
    answer = other("OpenAPI 3.1 as JSON.", "application/json", {"type": "object"})
    return _open(routes.OPENAPI, "This document", {"200": answer})


def _open(route: routes.Route, summary: str, responses: Doc) -> Doc:
    return operation(route, "operations", summary, {**responses, **errors(ErrorCode.INTERNAL_ERROR)}, security=[])
