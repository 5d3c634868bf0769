"""The two options about keeping audio: what travels, and what never gets near a file name."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amd_model.verdict import AmdOptions, Mode, WireError, decode_options, encode_options

pytestmark = pytest.mark.unit

CALL = "6f1c0a52-3a51-4d0c-9a0e-0f2f1f6f4a10"
IDS = st.text("abcXYZ019-", max_size=64)


@given(st.integers(1, 60_000), IDS, st.sampled_from(Mode))
def test_what_is_to_be_kept_arrives(keep_ms: int, call_id: str, mode: Mode) -> None:
    options = AmdOptions(mode=mode, keep_ms=keep_ms, call_id=call_id)
    assert decode_options(encode_options(options)) == options


def test_a_call_that_keeps_nothing_says_nothing_of_it() -> None:
    text = encode_options(AmdOptions(call_id=CALL))
    body = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    assert not {"keep_ms", "call_id"} & set(body)
    assert decode_options(text) == AmdOptions()


def test_the_metadata_stays_within_what_a_tap_may_carry() -> None:
    assert len(encode_options(AmdOptions(mode=Mode.MESSAGE_END, keep_ms=60_000, call_id="a" * 64))) <= 1_024


@pytest.mark.parametrize("call_id", ["../x", "a/b", "a.b", "a b", "a\n", "é", "a" * 65, "\0", 7, None])
def test_a_call_id_that_is_no_file_name_is_refused(call_id: object) -> None:
    with pytest.raises(WireError, match="call_id"):
        decode_options(json.dumps({"keep_ms": 1_000, "call_id": call_id}))


@pytest.mark.parametrize("keep_ms", [-1, 60_001, True, 1.5, "1000", None, float("nan")])
def test_a_length_out_of_bounds_is_refused(keep_ms: object) -> None:
    with pytest.raises(WireError, match="keep_ms"):
        decode_options(json.dumps({"keep_ms": keep_ms, "call_id": CALL}))
