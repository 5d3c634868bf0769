"""The OpenAPI document tells what the service does."""

from __future__ import annotations

import json
import re

import pytest

from api.contract import routes
from api.contract.errors import STATUS, ErrorCode
from api.openapi.document import document
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
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(doc)))
    assert references <= schemas.keys()
