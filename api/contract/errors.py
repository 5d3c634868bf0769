"""What a caller is told when a request is refused: one closed set of codes, one body shape. Pure.

Handlers raise `ApiError`; the edge (`api.http.edge`) renders it. Every body is ``{"error": {"code", "message"}}``,
and the message names the field, if one is at fault, and says what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import orjson


class ErrorCode(StrEnum):
    """The REST contract's codes; those after SYNC_TIMEOUT are for what the contract leaves open."""

    INVALID_REQUEST = "INVALID_REQUEST"
    INVALID_DESTINATION = "INVALID_DESTINATION"
    INVALID_WEBHOOK_URL = "INVALID_WEBHOOK_URL"
    AUTH_HEADER_MISSING = "AUTH_HEADER_MISSING"
    INVALID_TOKEN = "INVALID_TOKEN"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    NOT_FOUND = "NOT_FOUND"
    RATE_LIMIT_EXCEEDED = "RATE_LIMIT_EXCEEDED"
    SYNC_TIMEOUT = "SYNC_TIMEOUT"
    PRECONDITION_FAILED = "PRECONDITION_FAILED"
    PRECONDITION_REQUIRED = "PRECONDITION_REQUIRED"
    TOO_MANY_FLOWS = "TOO_MANY_FLOWS"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"
    INTERNAL_ERROR = "INTERNAL_ERROR"


STATUS: Mapping[ErrorCode, int] = {
    ErrorCode.INVALID_REQUEST: 400,
    ErrorCode.INVALID_DESTINATION: 400,
    ErrorCode.INVALID_WEBHOOK_URL: 400,
    ErrorCode.AUTH_HEADER_MISSING: 401,
    ErrorCode.INVALID_TOKEN: 401,
    ErrorCode.PERMISSION_DENIED: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.METHOD_NOT_ALLOWED: 405,
    ErrorCode.TOO_MANY_FLOWS: 409,
    ErrorCode.PRECONDITION_FAILED: 412,
    ErrorCode.PRECONDITION_REQUIRED: 428,
    ErrorCode.RATE_LIMIT_EXCEEDED: 429,
    ErrorCode.INTERNAL_ERROR: 500,
    ErrorCode.SERVICE_UNAVAILABLE: 503,
    ErrorCode.SYNC_TIMEOUT: 504,
}
"""The HTTP status of each code, where the error itself names no other (406, 408, 413 and 415 are INVALID_REQUEST)."""

BEARER_CHALLENGE = ("WWW-Authenticate", 'Bearer realm="fsbridge"')


class ApiError(Exception):
    """A refused request. `extra` joins code and message in the body; `headers` join the response's."""

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        status: int | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = STATUS[code] if status is None else status
        self.headers = headers
        self.extra = dict(extra or {})

    def body(self) -> bytes:
        """The response's body as JSON."""
        return orjson.dumps({"error": {"code": self.code, "message": self.message, **self.extra}})


def invalid(message: str) -> ApiError:
    """400 INVALID_REQUEST; the message begins with the field at fault."""
    return ApiError(ErrorCode.INVALID_REQUEST, message)
