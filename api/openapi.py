"""The OpenAPI 3.1 document, made of the same models that validate and render, and the same routes that route. Pure."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema
from pydantic_core import core_schema

from api import routes
from api.errors import STATUS, ErrorCode
from api.schemas import UUID_PATTERN, CallResource, ErrorBody, Health, PlaceCall, Readiness

Doc = dict[str, Any]

_INTRODUCTION = """\
Outbound calls on your own FreeSWITCH: place a call, know who answered, run a flow on it, learn the outcome.

**Modes.** `poll`: 201 at once; GET the call at your own pace. `sync`: the response is held until the call has ended;
after 30 s (as configured) 504 `SYNC_TIMEOUT` with the `sessionId`, and the call goes on. `webhook`: 201 at once;
signed POSTs to `webhookUrl` tell `call.answered`, `call.failed` and `call.completed`.

**Errors.** Every error is `{"error": {"code", "message"}}`; the message names the field and says what to do. Checks
come in this order: key, permission, rate, organization, the path's UUIDs, body, flow.

**Bodies.** JSON in UTF-8. Refused with 400: unknown fields, duplicate keys, NaN, integers beyond 64 bits, unpaired
surrogates, nesting beyond 32 levels. A body over the limit is 413, one that arrives too slowly 408, both with code
`INVALID_REQUEST`.

**Operations.** `/healthz`, `/readyz` and `/metrics` need no key: keep them off the public network.
"""

_TEXT: dict[ErrorCode, str] = {
    ErrorCode.INVALID_REQUEST: "malformed body, missing, unknown or wrong field, malformed UUID, or an invalid flow",
    ErrorCode.INVALID_DESTINATION: "`destinationNumber` is neither E.164 nor a SIP URI that may be dialled",
    ErrorCode.INVALID_WEBHOOK_URL: "`webhookUrl` is missing in mode `webhook`, not https, or not allowed",
    ErrorCode.AUTH_HEADER_MISSING: "no Authorization header",
    ErrorCode.INVALID_TOKEN: "wrong, revoked or expired key",
    ErrorCode.PERMISSION_DENIED: "the organization may not place calls, or the key belongs to another one",
    ErrorCode.NOT_FOUND: "no such flow or call in this organization",
    ErrorCode.RATE_LIMIT_EXCEEDED: "too many requests of this organization",
    ErrorCode.SERVICE_UNAVAILABLE: "no call can be taken now",
    ErrorCode.SYNC_TIMEOUT: "mode `sync`: the call has not ended in time and goes on; `error.sessionId` names it",
    ErrorCode.INTERNAL_ERROR: "a fault of the service",
}

_COMMON = (
    ErrorCode.INVALID_REQUEST,
    ErrorCode.AUTH_HEADER_MISSING,
    ErrorCode.INVALID_TOKEN,
    ErrorCode.PERMISSION_DENIED,
    ErrorCode.NOT_FOUND,
    ErrorCode.RATE_LIMIT_EXCEEDED,
    ErrorCode.INTERNAL_ERROR,
    ErrorCode.SERVICE_UNAVAILABLE,
)
_RETRY_AFTER: Doc = {
    "Retry-After": {"description": "Seconds to wait.", "required": True, "schema": {"type": "integer", "minimum": 1}}
}
_LOCATION: Doc = {
    "Location": {
        "description": "The call's path.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    }
}
_CHALLENGE: Doc = {"WWW-Authenticate": {"description": "Bearer.", "required": True, "schema": {"type": "string"}}}
_HEADERS: dict[int, Doc] = {401: _CHALLENGE, 429: _RETRY_AFTER, 503: _RETRY_AFTER, 504: _LOCATION}


def document(max_body_bytes: int) -> Doc:
    """The document as a JSON-ready value; the limit is told in it."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fsbridge outbound calling",
            "version": _version(),
            "description": _INTRODUCTION + f"\nThe body limit here is {max_body_bytes} bytes.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "tags": [{"name": "calls"}, {"name": "operations"}],
        "security": [{"apiKey": []}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer", "description": "An API key: fsb_…"}},
            "schemas": _schemas(),
        },
    }


def _paths() -> Doc:
    place = {
        "operationId": routes.PLACE_CALL.operation,
        "tags": ["calls"],
        "summary": "Place a call and run the flow on it",
        "parameters": [_parameter("orgId"), _parameter("flowId")],
        "requestBody": {"required": True, "content": {"application/json": {"schema": _ref(PlaceCall)}}},
        "responses": {
            "200": _response("Mode `sync`: the call has ended; `Failed` is a 200 too.", CallResource, _LOCATION),
            "201": _response("Mode `poll` or `webhook`: the call is queued.", CallResource, _LOCATION),
            **_errors(*_COMMON, ErrorCode.INVALID_DESTINATION, ErrorCode.INVALID_WEBHOOK_URL, ErrorCode.SYNC_TIMEOUT),
            "408": _response("`INVALID_REQUEST`: the body came too slowly.", ErrorBody),
            "413": _response("`INVALID_REQUEST`: the body is too large.", ErrorBody),
        },
    }
    get = {
        "operationId": routes.GET_CALL.operation,
        "tags": ["calls"],
        "summary": "Status of a call, live or ended",
        "parameters": [_parameter("orgId"), _parameter("sessionId")],
        "responses": {"200": _response("The call.", CallResource), **_errors(*_COMMON)},
    }
    text = {"content": {"text/plain": {"schema": {"type": "string"}}}}
    anything = {"content": {"application/json": {"schema": {"type": "object"}}}}
    return {
        routes.PLACE_CALL.path: {"post": place},
        routes.GET_CALL.path: {"get": get},
        routes.HEALTH.path: {
            "get": _operation(routes.HEALTH, "Is the process alive", {"200": _response("It is.", Health)})
        },
        routes.READY.path: {
            "get": _operation(
                routes.READY,
                "Should calls be sent here",
                {"200": _response("Yes.", Readiness), "503": _response("No; `reasons` say why.", Readiness)},
            )
        },
        routes.METRICS.path: {
            "get": _operation(
                routes.METRICS, "Prometheus metrics", {"200": {"description": "Text format 0.0.4.", **text}}
            )
        },
        routes.OPENAPI.path: {
            "get": _operation(
                routes.OPENAPI, "This document", {"200": {"description": "OpenAPI 3.1 as JSON.", **anything}}
            )
        },
    }


def _operation(route: routes.Route, summary: str, responses: Doc) -> Doc:
    return {
        "operationId": route.operation,
        "tags": ["operations"],
        "summary": summary,
        "security": [],
        "responses": {**responses, **_errors(ErrorCode.INTERNAL_ERROR)},
    }


def _parameter(name: str) -> Doc:
    schema = {"type": "string", "format": "uuid", "pattern": UUID_PATTERN}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _errors(*codes: ErrorCode) -> Doc:
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(STATUS[code], []).append(f"`{code}`: {_TEXT[code]}.")
    return {
        str(status): _response(" ".join(words), ErrorBody, _HEADERS.get(status))
        for status, words in sorted(by_status.items())
    }


def _response(description: str, model: type[BaseModel], headers: Doc | None = None) -> Doc:
    result: Doc = {"description": description, "content": {"application/json": {"schema": _ref(model)}}}
    if headers:
        result["headers"] = headers
    return result


def _ref(model: type[BaseModel]) -> Doc:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


class _Plain(GenerateJsonSchema):
    """Without a title on every field: they only repeat the field's name in another spelling."""

    def field_title_should_be_set(self, schema: core_schema.CoreSchema | Any) -> bool:
        return False


def _schemas() -> Doc:
    modes: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        (PlaceCall, "validation"),
        (CallResource, "serialization"),
        (ErrorBody, "serialization"),
        (Health, "serialization"),
        (Readiness, "serialization"),
    ]
    _, definitions = models_json_schema(modes, ref_template="#/components/schemas/{model}", schema_generator=_Plain)
    schemas: Doc = definitions["$defs"]
    return schemas


def _version() -> str:
    try:
        return version("fsbridge")
    except PackageNotFoundError:
        return "0"
