"""The flow endpoints in the OpenAPI document. Pure."""

from __future__ import annotations

from pydantic.json_schema import GenerateJsonSchema

from api.contract import routes
from api.contract.conditions import JSON, YAML
from api.contract.error_body import ErrorBody
from api.contract.errors import ErrorCode
from api.contract.flow_schemas import FlowCheck, FlowPage, FlowResource
from api.contract.shapes import UUID_PATTERN
from api.openapi.parts import (
    COMMON,
    ETAG,
    LOCATION,
    Doc,
    body_errors,
    errors,
    operation,
    other,
    parameter,
    ref,
    response,
)
from fsbridge.flow.document.model import FlowBody
from fsbridge.flow.document.source import MAX_BYTES

_REF = "#/components/schemas/{model}"
_BODY: Doc = {
    "required": True,
    "description": f"A flow, at most {MAX_BYTES // 1024} kB; `fsbridge flows schema` prints its JSON Schema.",
    "content": {kind: {"schema": {"$ref": _REF.format(model="Flow")}} for kind in (JSON, YAML)},
}
_DRY_RUN = parameter(
    "query", "dryRun", "true: say whether the document is valid, write nothing.", {"type": "boolean", "default": False}
)
_TAG: Doc = {"type": "string", "maxLength": 4096}
_IF_MATCH = parameter(
    "header", "If-Match", "The ETag of the version that is meant, or `*` for any; needed where there is one.", _TAG
)
_IF_NONE_MATCH = parameter("header", "If-None-Match", "`*`: create only.", {"type": "string", "const": "*"})
_VERSIONS = (ErrorCode.PRECONDITION_FAILED, ErrorCode.PRECONDITION_REQUIRED)
_FULL = ErrorCode.TOO_MANY_FLOWS


def schemas(generator: type[GenerateJsonSchema]) -> Doc:
    """A flow's document, and its parts as ``Flow.…``: they have names of their own, some of which others have, too."""
    flow = FlowBody.model_json_schema(ref_template=_REF.format(model="Flow.{model}"), schema_generator=generator)
    parts: Doc = flow.pop("$defs")
    return {"Flow": flow, **{f"Flow.{name}": part for name, part in parts.items()}}


def collection() -> Doc:
    """`…/flows`."""
    after = parameter(
        "query", "after", "The last page's `next`.", {"type": "string", "format": "uuid", "pattern": UUID_PATTERN}
    )
    limit = parameter("query", "limit", "Flows on a page.", {"type": "integer", "minimum": 1, "maximum": 200})
    return {
        "get": operation(
            routes.LIST_FLOWS,
            "flows",
            "The organization's flows",
            {"200": response("A page of them.", FlowPage), **errors(*COMMON)},
            after,
            limit,
        ),
        "post": operation(
            routes.CREATE_FLOW,
            "flows",
            "Create a flow under a new id",
            {"201": response("Created.", FlowResource, {**ETAG, **LOCATION}), **_written(), **errors(*COMMON, _FULL)},
            _DRY_RUN,
            requestBody=_BODY,
        ),
    }


def single() -> Doc:
    """`…/flows/{flowId}`."""
    document = other("The document; as it was written when YAML is asked for.", JSON, {})
    document["content"][YAML] = {"schema": {}}
    unshowable = {"406": response("`INVALID_REQUEST`: a file put there by hand that JSON cannot show.", ErrorBody)}
    return {
        "get": operation(
            routes.GET_FLOW,
            "flows",
            "A flow's document",
            {"200": {**document, "headers": ETAG}, **unshowable, **errors(*COMMON)},
        ),
        "put": operation(
            routes.PUT_FLOW,
            "flows",
            "Create a flow under this id, or replace it",
            {
                "201": response("Created.", FlowResource, {**ETAG, **LOCATION}),
                **_written(),
                **errors(*COMMON, *_VERSIONS, _FULL),
            },
            _DRY_RUN,
            _IF_MATCH,
            _IF_NONE_MATCH,
            requestBody=_BODY,
        ),
        "delete": operation(
            routes.DELETE_FLOW,
            "flows",
            "Delete a flow; calls that run with it go on",
            {"204": {"description": "It is gone."}, **errors(*COMMON, *_VERSIONS)},
            _IF_MATCH,
        ),
    }


def _written() -> Doc:
    either: Doc = {"oneOf": [ref(FlowResource), ref(FlowCheck)]}
    return {
        "200": other("Replaced; or, with `dryRun`, what would be wrong with the document.", JSON, either),
        "415": response("`INVALID_REQUEST`: neither JSON nor YAML.", ErrorBody),
        **body_errors(),
    }
