"""The published document against the application: generated requests, valid and not, answered as documented."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from api.app import build_app
from api.schemas import UUID_PATTERN
from fsbridge.clock import SystemClock
from tests.unit.api.support import KEY, ORG, MemoryCalls, completed, make_settings

pytestmark = pytest.mark.sim

SERVICE = MemoryCalls(end_at_once=completed)
APP = build_app(make_settings(), SERVICE, SystemClock())
schema = schemathesis.openapi.from_wsgi("/openapi.json", app=APP)
schema.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])


SEEN: set[int] = set()
# What no JSON Schema can say: the rules of `api.strictjson`, and sizes as compact JSON.
BEYOND_SCHEMA = ("body: ", "variables: is ", "metadata: is ")


@pytest.fixture(scope="module", autouse=True)
def _no_formality() -> Iterator[None]:
    """Where calls were tried at all, some were placed and some refused for their body."""
    yield
    assert not SEEN or {201, 400} <= SEEN


@schema.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_operation_keeps_the_document_s_promises(case: Any) -> None:
    # The key's own organization, wherever the generated one is well-formed: else every answer were a 403.
    if re.fullmatch(UUID_PATTERN, str((case.path_parameters or {}).get("orgId"))):
        case.path_parameters["orgId"] = ORG
    if case.meta.generation.mode is GenerationMode.POSITIVE and isinstance(case.body, dict):
        case.body["destinationNumber"] = "+12025550123"
        if isinstance(case.body.get("webhookUrl"), str):
            case.body["webhookUrl"] = "https://example.com/hook"
    headers = {"Authorization": f"Bearer {KEY}"}
    response = case.call(headers=headers)
    if case.operation.method.upper() == "POST":
        SEEN.add(response.status_code)
    excluded = []
    if response.status_code == 400 and response.json()["error"]["message"].startswith(BEYOND_SCHEMA):
        excluded.append(positive_data_acceptance)
    case.validate_response(response, headers=headers, excluded_checks=excluded)
