"""The OpenAPI document's building blocks: responses, errors, parameters, as JSON-ready values. Pure."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel

from api.contract.error_body import ErrorBody
from api.contract.errors import STATUS, ErrorCode
from api.contract.routes import Route
from api.contract.shapes import UUID_PATTERN

Doc = dict[str, Any]

_TEXT: dict[ErrorCode, str] = {
    ErrorCode.INVALID_REQUEST: "malformed body, missing, unknown or wrong field, malformed UUID, or an invalid flow",
    ErrorCode.INVALID_DESTINATION: "`destinationNumber` is neither E.164 nor a SIP URI that may be dialled",
    ErrorCode.INVALID_WEBHOOK_URL: "`webhookUrl` is missing in mode `webhook`, not https, or not allowed",
    ErrorCode.AUTH_HEADER_MISSING: "no Authorization header",
    ErrorCode.INVALID_TOKEN: "wrong, revoked or expired key",
    ErrorCode.PERMISSION_DENIED: "the organization may not place calls, or the key belongs to another one",
    ErrorCode.NOT_FOUND: "no such flow or call in this organization",
    ErrorCode.RATE_LIMIT_EXCEEDED: "too many requests of this organization",
    ErrorCode.SERVICE_UNAVAILABLE: "the service cannot do this now",
    ErrorCode.SYNC_TIMEOUT: "mode `sync`: the call has not ended in time and goes on; `error.sessionId` names it",
    ErrorCode.PRECONDITION_FAILED: "the flow is not in the version that `If-Match` names, or is there already",
    ErrorCode.PRECONDITION_REQUIRED: "the flow is there: `If-Match` must name the version that is meant",
    ErrorCode.TOO_MANY_FLOWS: "the organization has as many flows as it may have",
    ErrorCode.INTERNAL_ERROR: "a fault of the service",
}

COMMON = (
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
LOCATION: Doc = {
    "Location": {
        "description": "The path of the call or flow.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    }
}
ETAG: Doc = {
    "ETag": {"description": "The document's version in quotes.", "required": True, "schema": {"type": "string"}}
}
_CHALLENGE: Doc = {"WWW-Authenticate": {"description": "Bearer.", "required": True, "schema": {"type": "string"}}}
_HEADERS: dict[int, Doc] = {401: _CHALLENGE, 429: _RETRY_AFTER, 503: _RETRY_AFTER, 504: LOCATION}


def operation(route: Route, tag: str, summary: str, responses: Doc, *inputs: Doc, **more: Any) -> Doc:
    """One route: the UUIDs in its path, other inputs (headers, query), what it answers, and OpenAPI's other keys."""
    described: Doc = {"operationId": route.operation, "tags": [tag], "summary": summary, **more}
    parameters = [*(_path_uuid(name) for name in re.findall(r"\{(\w+)\}", route.path)), *inputs]
    return {**described, **({"parameters": parameters} if parameters else {}), "responses": responses}


def parameter(place: str, name: str, description: str, schema: Doc) -> Doc:
    """An optional input in the query or in a header."""
    return {"name": name, "in": place, "required": False, "description": description, "schema": schema}


def _path_uuid(name: str) -> Doc:
    schema = {"type": "string", "format": "uuid", "pattern": UUID_PATTERN}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def errors(*codes: ErrorCode) -> Doc:
    """The error responses of an operation, by status."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(STATUS[code], []).append(f"`{code}`: {_TEXT[code]}.")
    return {
        str(status): response(" ".join(words), ErrorBody, _HEADERS.get(status))
        for status, words in sorted(by_status.items())
    }


def body_errors() -> Doc:
    """What a body can meet before it is looked at."""
    return {
        "408": response("`INVALID_REQUEST`: the body came too slowly.", ErrorBody),
        "413": response("`INVALID_REQUEST`: the body is too large.", ErrorBody),
    }


def response(description: str, model: type[BaseModel], headers: Doc | None = None) -> Doc:
    """An answer with a model's JSON."""
    result: Doc = {"description": description, "content": {"application/json": {"schema": ref(model)}}}
    if headers:
        result["headers"] = headers
    return result


def other(description: str, content_type: str, schema: Doc) -> Doc:
    """An answer that is none of our models."""
    return {"description": description, "content": {content_type: {"schema": schema}}}


def ref(model: type[BaseModel]) -> Doc:
    """Where the model's schema stands in the document."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}
