"""The OpenAPI document tells what the service does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

import fsbridge.flow
from api.contract import routes
from api.contract.errors import STATUS, ErrorCode
from api.openapi.document import document
from fsbridge.flow.document.model import FlowBody
from fsbridge.flow.document.source import read
from tests.unit.api.contract.test_call_resource import RESOURCE_KEYS

pytestmark = pytest.mark.unit


def test_the_document_tells_every_route_code_and_key() -> None:
    doc = document(65_536)
    assert doc["openapi"].startswith("3.1")
    listed = {(m.upper(), path, op["operationId"]) for path, item in doc["paths"].items() for m, op in item.items()}
    known = [route for route in vars(routes).values() if isinstance(route, routes.Route)]
    assert listed == {(route.method, route.path, route.operation) for route in known}
    place = doc["paths"][routes.PLACE_CALL.path]["post"]["responses"]
    statuses = {int(status) for status in place}
    elsewhere = {
        ErrorCode.METHOD_NOT_ALLOWED,
        ErrorCode.TOO_MANY_FLOWS,
        ErrorCode.PRECONDITION_FAILED,
        ErrorCode.PRECONDITION_REQUIRED,
    }
    assert statuses == {200, 201, 408, 413} | {s for c, s in STATUS.items() if c not in elsewhere}
    told = json.dumps(doc["paths"])
    assert all(code in told for code in ErrorCode if code is not ErrorCode.METHOD_NOT_ALLOWED)
    schemas = doc["components"]["schemas"]
    assert schemas["CallResource"]["required"] == RESOURCE_KEYS
    assert list(schemas["CallResource"]["properties"]) == [*RESOURCE_KEYS, "flowResult"]
    assert schemas["PlaceCall"]["additionalProperties"] is False
    assert not re.search(r"fsbridge__|amd_model__|-Input|-Output", json.dumps(schemas))
    references = set(re.findall(r'"#/components/schemas/([\w.]+)"', json.dumps(doc)))
    assert references <= schemas.keys()


def _flow_schema() -> jsonschema_rs.Draft202012Validator:
    components = document(65_536)["components"]
    return jsonschema_rs.Draft202012Validator({"$ref": "#/components/schemas/Flow", "components": components})


EXAMPLES = sorted((Path(fsbridge.flow.__file__).parent / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.stem))
def test_every_example_is_a_flow_by_the_published_schema(path: Path) -> None:
    assert _flow_schema().is_valid(read(path.read_text()).value)


SHORT = [
    {"speak": "Hello"},
    {"send_dtmf": "1#"},
    {"expect": {"audio_like": "welcome.wav"}},
    {"recording": True},
    {"recording": "off"},
    {"pause": 1},
]


@pytest.mark.parametrize("step", SHORT, ids=str)
def test_what_a_step_may_be_short_for_is_in_the_schema(step: dict[str, Any]) -> None:
    flow = {"steps": [{"id": "a", **step}]}
    assert _flow_schema().is_valid(flow)
    assert FlowBody.model_validate(flow)


@pytest.mark.parametrize("flow", [{}, {"steps": []}, {"steps": [{}]}, {"steps": [{"id": "a", "sing": "la"}]}, [], "x"])
def test_what_is_no_flow_is_none_by_the_schema(flow: Any) -> None:
    assert not _flow_schema().is_valid(flow)
