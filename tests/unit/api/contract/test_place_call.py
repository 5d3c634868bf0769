"""Requests to place a call: what is taken, and in which words the rest is refused."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amd_model.verdict import AmdOptions, Verdict
from api.contract.errors import ApiError, ErrorCode
from api.contract.place_call import MAX_OBJECT_BYTES, AcceptedVerdict, CallAnalysisOptions, parse_place_call
from api.openapi.document import document
from fsbridge.model.json import RawJson
from fsbridge.model.request import Mode

pytestmark = pytest.mark.unit

NUMBER = {"destinationNumber": "+15551234567"}


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
            "metadata": RawJson('{"": [True]}'),
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
        ({"metadata": RawJson('"x"')}, "metadata: must be a JSON object"),
        ({"metadata": RawJson("[]")}, "metadata: must be a JSON object"),
        ({"metadata": RawJson('{ "a": "' + "€" * 6000 + '" }')}, "metadata: is 18008 bytes"),
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
