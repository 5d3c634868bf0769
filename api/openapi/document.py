"""The OpenAPI 3.1 document, made of the same models that validate and render, and the same routes that route. Pure."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema
from pydantic_core import core_schema

from api.contract import routes
from api.contract.call_resource import CallResource
from api.contract.error_body import ErrorBody
from api.contract.flow_schemas import CallTimeline, FlowCheck, FlowPage, FlowResource
from api.contract.health import Health, Readiness
from api.contract.place_call import PlaceCall
from api.openapi import calls, flows, operations
from api.openapi.parts import Doc

_INTRODUCTION = """\
Outbound calls on your own FreeSWITCH: place a call, know who answered, run a flow on it, learn the outcome.

**Modes.** `poll`: 201 at once; GET the call at your own pace. `sync`: the response is held until the call has ended;
after 30 s (as configured) 504 `SYNC_TIMEOUT` with the `sessionId`, and the call goes on. `webhook`: 201 at once;
signed POSTs to `webhookUrl` tell `call.answered`, `call.failed` and `call.completed`. In every mode a flow's `notify`
steps tell `call.event` {event, sessionId, flowId, status, name, data, metadata, at}, if the call has a `webhookUrl`.

**Flows.** JSON or YAML documents of an organization, read, written and tried (`dryRun`) under `/flows`. What is
written is valid; who replaces or deletes one names its version (`If-Match`). A running call keeps its document.

**Errors.** Every error is `{"error": {"code", "message"}}`; the message names the field and says what to do. Checks
come in this order: key, permission, rate, organization, the path's UUIDs, body, flow.

**Bodies.** JSON in UTF-8. Refused with 400: unknown fields, duplicate keys, NaN, integers beyond 64 bits (but in
`metadata`, which is echoed, not read), unpaired surrogates, nesting beyond 32 levels. A body over the limit is 413, one
that arrives too slowly 408, both with code `INVALID_REQUEST`.

**Operations.** `/healthz`, `/readyz` and `/metrics` need no key: keep them off the public network, or at an address of
their own (`service.probe_listen`).
"""


def document(max_body_bytes: int, *, probes: bool = True) -> Doc:
    """The document as a JSON-ready value; the limit is told in it, and probes where they are answered."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fsbridge outbound calling",
            "version": _version(),
            "description": _INTRODUCTION + f"\nThe body limit here is {max_body_bytes} bytes.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "tags": [{"name": "calls"}, {"name": "flows"}, {"name": "operations"}],
        "security": [{"apiKey": []}],
        "paths": _paths() | (_probes() if probes else {}),
        "components": {
            "securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer", "description": "An API key: fsb_…"}},
            "schemas": _schemas(),
        },
    }


def _paths() -> Doc:
    return {
        routes.CREATE_FLOW.path: flows.collection(),
        routes.GET_FLOW.path: flows.single(),
        routes.PLACE_CALL.path: {"post": calls.place()},
        routes.GET_CALL.path: {"get": calls.single()},
        routes.GET_TIMELINE.path: {"get": calls.timeline()},
        routes.GET_AUDIO.path: {"get": calls.audio()},
        routes.OPENAPI.path: {"get": operations.openapi()},
    }


def _probes() -> Doc:
    return {
        routes.HEALTH.path: {"get": operations.health()},
        routes.READY.path: {"get": operations.ready()},
        routes.METRICS.path: {"get": operations.metrics()},
    }


class _Plain(GenerateJsonSchema):
    """Without a title on every field: they only repeat the field's name in another spelling."""

    def field_title_should_be_set(self, schema: core_schema.CoreSchema | Any) -> bool:
        return False


def _schemas() -> Doc:
    modes: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        (PlaceCall, "validation"),
        (CallResource, "serialization"),
        (CallTimeline, "serialization"),
        (FlowResource, "serialization"),
        (FlowPage, "serialization"),
        (FlowCheck, "serialization"),
        (ErrorBody, "serialization"),
        (Health, "serialization"),
        (Readiness, "serialization"),
    ]
    _, definitions = models_json_schema(modes, ref_template="#/components/schemas/{model}", schema_generator=_Plain)
    return {**definitions["$defs"], **flows.schemas(_Plain)}


def _version() -> str:
    try:
        return version("fsbridge")
    except PackageNotFoundError:
        return "0"
