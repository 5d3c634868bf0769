"""Any call there can be."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from amd_model.verdict import AmdOptions, Answerer, Reason, Verdict
from amd_model.verdict import Mode as AmdMode
from fsbridge.model.call import Analysis, Call, Live
from fsbridge.model.destination import Destination, DestinationKind
from fsbridge.model.json import RawJson
from fsbridge.model.outcome import FailureReason, HangupInfo
from fsbridge.model.request import CallRequest, Mode
from fsbridge.model.status import Phase

# Surrogates too: JSON may carry lone ones.
texts = st.text(st.characters(exclude_categories=()), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
moments = st.floats(0, 4e9)
milliseconds = st.none() | st.integers(0, 200_000)

options = st.builds(
    AmdOptions,
    mode=st.sampled_from(AmdMode),
    **{
        name: st.floats(low, high) if name == "sensitivity" else st.integers(int(low), int(high))
        for name, (low, high) in AmdOptions.LIMITS.items()
    },
)
requests = st.builds(
    CallRequest,
    destination=st.builds(Destination, st.sampled_from(DestinationKind), texts),
    caller_id=st.none() | texts,
    mode=st.sampled_from(Mode),
    call_analysis=st.none() | st.frozensets(st.sampled_from(Verdict)),
    amd=st.none() | options,
    variables=st.dictionaries(texts, json_values, max_size=3),
    metadata=st.none() | st.builds(RawJson, json_values.map(json.dumps) | texts),
    webhook_url=st.none() | texts,
    webhook_auth=st.none() | texts,
)
analyses = st.builds(
    Analysis,
    result=st.sampled_from(Verdict),
    confidence=st.floats(0, 1),
    reason=st.none() | st.sampled_from(Reason),
    decided_after_ms=milliseconds,
    greeting_end_ms=milliseconds,
    beep_ms=milliseconds,
    model_version=texts,
    answerer=st.none() | st.sampled_from(Answerer),
    language=st.none() | st.sampled_from(["en", "de"]),
    transcript=st.none() | texts,
)
calls = st.builds(
    Call,
    session_id=st.uuids().map(str),
    org_id=st.uuids().map(str),
    flow_id=st.uuids().map(str),
    request=requests,
    channel=st.uuids().map(str),
    job=st.uuids().map(str),
    node=texts,
    trunk=texts,
    created_at=moments,
    phase=st.sampled_from(Phase),
    channel_seen=st.booleans(),
    ringing=st.booleans(),
    answered_at=st.none() | moments,
    completed_at=st.none() | moments,
    tap_connected=st.booleans(),
    tap_retries=st.integers(0, 3),
    analysis=st.none() | analyses,
    answer_told=st.booleans(),
    flow_started=st.booleans(),
    failure=st.none() | st.sampled_from(FailureReason),
    failure_detail=st.none() | texts,
    hangup=st.none()
    | st.builds(
        HangupInfo,
        texts,
        st.none() | st.integers(1, 127),
        st.none() | st.integers(200, 699),
        st.none() | texts,
        st.booleans(),
    ),
    flow_over=st.booleans(),
    fails_at_hangup=st.booleans(),
    flow_version=texts,
    flow_result=json_values,
    inbound=st.booleans(),
    kills=st.integers(0, 5),
    talk_s=st.none() | st.floats(0, 1e6),
    live=st.just(Live()),
)
