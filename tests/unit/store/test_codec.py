"""A call's round trip through JSON values."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given

from fsbridge.model.call import Analysis, Call, Live
from fsbridge.model.outcome import HangupInfo
from fsbridge.model.request import CallRequest
from fsbridge.model.status import Deadline
from fsbridge.store.codec import VERSION, CodecError, from_dict, to_dict
from tests.unit.store.strategies import calls
from tests.unit.webhook.helpers import completed, webhook_call

pytestmark = pytest.mark.unit


def seal(text: str) -> str:
    return text[::-1]


@given(calls)
def test_every_call_comes_back_exactly(call: Call) -> None:
    stored = json.dumps(to_dict(call, seal))
    assert from_dict(json.loads(stored), seal) == call


def test_what_holds_for_this_process_only_is_not_kept() -> None:
    call = webhook_call(live=Live(deadlines={Deadline.CALL: 5.0}, driven=True, asked="NORMAL_CLEARING"))
    assert from_dict(to_dict(call, seal), seal) == replace(call, live=Live())


def test_a_record_of_before_there_were_spans_tells_its_duration_by_its_instants() -> None:
    kept = to_dict(completed(webhook_call()), seal)
    for name in ("talk_s", "flow_version"):
        kept.pop(name)
    kept["hangup"] = {"cause": "NORMAL_CLEARING", "q850": 16, "sip_status": None}
    old = from_dict(kept | {"answered_at": 1_000.0, "completed_at": 1_012.4}, seal)
    assert (old.talk_s, old.duration_s) == (None, 12)
    assert old.hangup == HangupInfo("NORMAL_CLEARING", 16, None)


def test_the_secret_is_sealed() -> None:
    text = json.dumps(to_dict(webhook_call(auth="no-uuid"), seal))
    assert "no-uuid" not in text
    assert "diuu-on" in text


def test_no_field_is_forgotten() -> None:
    """A field added to the model must be added here too, or a restart would lose it."""
    stored = to_dict(completed(webhook_call()), seal)
    assert stored.keys() == {f.name for f in fields(Call)} - {"live"} | {"v"}
    assert stored["request"].keys() == {f.name for f in fields(CallRequest)}
    assert stored["analysis"].keys() == {f.name for f in fields(Analysis)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"v": VERSION + 1}, "version 3"),
        ({"v": None}, "version None"),
        ({"phase": "asleep"}, "asleep"),
        ({"request": None}, "damaged"),
        ({"request": {}}, "damaged"),
        ({"analysis": {"result": "martian"}}, "damaged"),
        ({"hangup": {"cause": "X", "extra": 1}}, "damaged"),
    ],
)
def test_what_is_no_call_is_told_in_words(change: dict[str, Any], words: str) -> None:
    with pytest.raises(CodecError, match=words):
        from_dict(to_dict(webhook_call(), seal) | change, seal)


def test_a_record_of_before_flows_had_versions_is_read() -> None:
    values = to_dict(completed(webhook_call()), seal)
    for name in ("flow_over", "fails_at_hangup", "flow_version", "flow_result", "inbound"):
        del values[name]
    call = from_dict(values, seal)
    assert (call.flow_version, call.flow_result, call.inbound) == ("", None, False)


@pytest.mark.parametrize("metadata", [None, {"order": 7}, {"ü": [1.5, 2**70]}, []])
def test_a_record_of_before_metadata_was_kept_as_text_is_read(metadata: Any) -> None:
    values = to_dict(webhook_call(), seal)
    older = {**values, "v": 1, "request": {**values["request"], "metadata": metadata}}
    kept = from_dict(older, seal).request.metadata
    assert (None if kept is None else json.loads(kept.text)) == metadata
    with pytest.raises(CodecError, match="damaged"):
        from_dict({**older, "request": None}, seal)


def test_a_missing_field_is_named() -> None:
    values = to_dict(webhook_call(), seal)
    del values["job"]
    with pytest.raises(CodecError, match="job"):
        from_dict(values, seal)
