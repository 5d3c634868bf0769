"""Shapes of requests and responses, and the OpenAPI document made of them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amd_model.verdict import AmdOptions, Reason, Verdict
from api.contract import routes
from api.contract.errors import STATUS, ApiError, ErrorCode
from api.contract.schemas import (
    MAX_OBJECT_BYTES,
    AcceptedVerdict,
    CallAnalysisOptions,
    parse_place_call,
    render_call,
    to_json,
)
from api.openapi.document import document
from fsbridge.model.call import Analysis, Call
from fsbridge.model.destination import Destination, DestinationKind
from fsbridge.model.outcome import FailureReason, HangupInfo
from fsbridge.model.request import CallRequest, Mode
from fsbridge.model.status import Phase
from tests.unit.api.support import CREATED, FLOW, completed, make_call

pytestmark = pytest.mark.unit

NUMBER = {"destinationNumber": "+15551234567"}
RESOURCE_KEYS = [
    "sessionId",
    "flowId",
    "flowVersion",
    "inbound",
    "status",
    "destinationNumber",
    "callerId",
    "mode",
    "callAnalysisResult",
    "callAnalysisDetails",
    "failureReason",
    "failureDetail",
    "hangup",
    "durationSeconds",
    "metadata",
    "createdAt",
    "answeredAt",
    "completedAt",
]


def _refusal(body: dict[str, Any]) -> str:
    with pytest.raises(ApiError) as caught:
        parse_place_call(body)
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    return caught.value.message


def test_the_smallest_and_the_fullest_request() -> None:
    small = parse_place_call(NUMBER)
    assert small.model_dump(exclude_none=True) == {"destination_number": "+15551234567"}
    full = parse_place_call(
        {
            **NUMBER,
            "callerId": "+15550001111",
            "mode": "webhook",
            "callAnalysis": ["live_person", "unknown"],
            "callAnalysisOptions": {"mode": "fast", "totalTimeoutMs": 5000, "sensitivity": 2},
            "variables": {"_a": {"b": [1, None, "x'${y}\n"]}},
            "metadata": {"": [True]},
            "webhookUrl": "https://example.com/",
            "webhookAuth": "s",
        }
    )
    assert full.mode is Mode.WEBHOOK
    assert full.variables == {"_a": {"b": [1, None, "x'${y}\n"]}}
    assert full.call_analysis_options is not None
    assert full.call_analysis_options.sensitivity == 2.0


def test_null_is_absent() -> None:
    optional = ["callerId", "mode", "callAnalysis", "callAnalysisOptions", "variables", "metadata"]
    optional += ["webhookUrl", "webhookAuth"]
    assert parse_place_call({**NUMBER, **dict.fromkeys(optional)}) == parse_place_call(NUMBER)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"destinationNumber": None}, "destinationNumber: must be a"),
        ({"destinationNumber": 15551234567}, "destinationNumber: must be a"),
        ({"callerId": 1555}, "callerId: must be 1 to 15 digits"),
        ({"callerId": ""}, "callerId:"),
        ({"callerId": "1" * 16}, "callerId:"),
        ({"callerId": "15551234567\n"}, "callerId:"),
        ({"callerId": "1555,origination_uuid=x"}, "callerId:"),
        ({"callerId": "٣٤٥"}, "callerId:"),
        ({"mode": "Sync"}, "mode: must be one of"),
        ({"mode": 1}, "mode: must be one of"),
        ({"callAnalysis": []}, "callAnalysis: must be a list"),
        ({"callAnalysis": "live_person"}, "callAnalysis: must be a list"),
        ({"callAnalysis": ["fax"]}, "callAnalysis.0:"),
        ({"callAnalysis": ["unknown", "unknown"]}, "callAnalysis: names one verdict twice"),
        ({"callAnalysis": {"live_person": True}}, "callAnalysis: must be a list"),
        ({"callAnalysisOptions": []}, "callAnalysisOptions: must be"),
        ({"callAnalysisOptions": {"mode": "slow"}}, "callAnalysisOptions.mode: must be fast or message_end"),
        ({"callAnalysisOptions": {"totalTimeoutMs": 499}}, "callAnalysisOptions.totalTimeoutMs: must be"),
        ({"callAnalysisOptions": {"totalTimeoutMs": 5000.5}}, "callAnalysisOptions.totalTimeoutMs: must be"),
        ({"callAnalysisOptions": {"totalTimeoutMs": "5000"}}, "callAnalysisOptions.totalTimeoutMs: must be"),
        ({"callAnalysisOptions": {"totalTimeoutMs": True}}, "callAnalysisOptions.totalTimeoutMs: must be"),
        ({"callAnalysisOptions": {"sensitivity": 10.1}}, "callAnalysisOptions.sensitivity: must be"),
        ({"callAnalysisOptions": {"timeout": 1}}, "callAnalysisOptions.timeout: unknown field"),
        ({"variables": []}, "variables: must be a JSON object"),
        ({"variables": {"a b": 1}}, "a variable's name must be"),
        ({"variables": {"": 1}}, "a variable's name must be"),
        ({"variables": {"a\n": 1}}, "a variable's name must be"),
        ({"variables": {"a" * 65: 1}}, "a variable's name must be"),
        ({"variables": {"a": "x" * MAX_OBJECT_BYTES}}, "variables: is 16392 bytes"),
        ({"metadata": "x"}, "metadata: must be a JSON object"),
        ({"metadata": []}, "metadata: must be a JSON object"),
        ({"metadata": {"a": "€" * 6000}}, "metadata: is 18008 bytes"),
        ({"webhookUrl": 5}, "webhookUrl: must be a"),
        ({"webhookAuth": ""}, "webhookAuth: must have at least 1"),
        ({"webhookAuth": "x" * 1025}, "webhookAuth: must have at most 1024"),
        ({"metdata": {}}, "metdata: unknown field; did you mean metadata?"),
        ({"destination_number": "x"}, "destination_number: unknown field; did you mean destinationNumber?"),
        ({"zzz\x1b[31m": 1}, "'zzz\\x1b[31m': unknown field; known are destinationNumber"),
    ],
)
def test_refused_with_the_field_named(fields: dict[str, Any], word: str) -> None:
    assert word in _refusal({**NUMBER, **fields})


def test_missing_and_many_faults() -> None:
    assert _refusal({}) == "destinationNumber: missing; it is required"
    many = _refusal({f"field{i}": i for i in range(50)})
    assert many.count("unknown field") + many.count("missing") == 5
    assert many.endswith("and 46 more")


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text(), max_size=5))
def test_any_object_is_accepted_or_refused_in_printable_words(body: dict[str, Any]) -> None:
    try:
        parse_place_call({**NUMBER, **body})
    except ApiError as error:
        words = error.message
    else:
        words = "accepted"
    assert words
    assert words.isprintable()


@given(st.text())
def test_a_caller_id_is_digits_whatever_comes(text: str) -> None:
    try:
        accepted = parse_place_call({**NUMBER, "callerId": text}).caller_id
    except ApiError:
        accepted = None
    assert (accepted is not None) == bool(re.fullmatch(r"\+?[0-9]{1,15}", text, re.ASCII))


def _call(**request: Any) -> Call:
    destination = Destination(DestinationKind.NUMBER, "+15551234567")
    return make_call(CallRequest(destination=destination, caller_id="111", **request))


def _rendered(call: Call) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(to_json(render_call(call)))
    assert list(document) == RESOURCE_KEYS
    return document


def test_a_queued_call_has_every_key() -> None:
    call = _call(metadata={"b": [1.5, None], "a": "ü"}, variables={"secret": 1}, webhook_auth="hush", webhook_url="u")
    shown = _rendered(call)
    assert shown == {
        **dict.fromkeys(RESOURCE_KEYS),
        "sessionId": call.session_id,
        "flowId": FLOW,
        "status": "Queued",
        "inbound": False,
        "destinationNumber": "+15551234567",
        "callerId": "111",
        "mode": "poll",
        "metadata": {"b": [1.5, None], "a": "ü"},
        "createdAt": "2026-01-01T00:00:00.250Z",
    }
    assert list(shown["metadata"]) == ["b", "a"]
    assert b"hush" not in to_json(render_call(call))


def test_a_completed_call() -> None:
    analysis = Analysis(Verdict.ANSWERING_MACHINE, 0.987654, Reason.BEEP, 2100, 4000, 4600, "m1")
    asked = _call(call_analysis=frozenset({Verdict.ANSWERING_MACHINE}), amd=AmdOptions())
    shown = _rendered(replace(completed(asked), analysis=analysis, hangup=HangupInfo("NORMAL_CLEARING", 16, None)))
    assert shown["status"] == "Completed"
    assert shown["durationSeconds"] == 8
    assert shown["answeredAt"] == "2026-01-01T00:00:02.250Z"
    assert shown["completedAt"] == "2026-01-01T00:00:10.250Z"
    assert shown["failureReason"] is None
    assert shown["callAnalysisResult"] == "answering_machine"
    assert shown["callAnalysisDetails"] == {
        "result": "answering_machine",
        "confidence": 0.9877,
        "reason": "beep",
        "decidedAfterMs": 2100,
        "greetingEndMs": 4000,
        "beepMs": 4600,
        "modelVersion": "m1",
    }
    assert shown["hangup"] == {"cause": "NORMAL_CLEARING", "q850": 16, "sipStatus": None}
    unasked = _rendered(replace(completed(_call()), analysis=analysis))
    assert unasked["callAnalysisResult"] is unasked["callAnalysisDetails"] is None


def test_a_failure_is_told_only_once_it_is_final() -> None:
    bound = replace(_call(), phase=Phase.HANGING_UP, failure=FailureReason.FLOW_ERROR, failure_detail="step 2")
    assert _rendered(bound)["failureReason"] is None
    assert _rendered(bound)["failureDetail"] is None
    ended = _rendered(replace(bound, phase=Phase.ENDED, completed_at=CREATED))
    assert (ended["status"], ended["failureReason"], ended["failureDetail"]) == ("Failed", "flow_error", "step 2")
    assert ended["durationSeconds"] is None


def test_the_option_ranges_are_the_detector_s() -> None:
    schema = document(1)["components"]["schemas"]["CallAnalysisOptions"]["properties"]
    for name, field in CallAnalysisOptions.model_fields.items():
        if name == "mode":
            continue
        low, high = AmdOptions.LIMITS[name]
        assert field.alias is not None
        kinds = schema[field.alias]["anyOf"]
        assert (kinds[0]["minimum"], kinds[0]["maximum"]) == (low, high)
    assert set(get_args(AcceptedVerdict)) == set(Verdict) - {Verdict.FAX}


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


@pytest.mark.parametrize("result", [{"paid": True}, "", 0, False, [], "\ud800", {"n": 2**80}])
def test_a_flow_s_result_is_shown_whatever_it_is(result: Any) -> None:
    call = completed(make_call(CallRequest(Destination(DestinationKind.NUMBER, "+15551234567"), None)))
    shown = json.loads(to_json(render_call(replace(call, flow_result=result, flow_version="0123", inbound=True))))
    assert (shown["flowResult"], shown["flowVersion"], shown["inbound"]) == (result, "0123", True)
    assert "flowResult" not in json.loads(to_json(render_call(call)))
