"""The words of a stream that listens on."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amd_model.verdict import (
    MAX_KEEP_LISTENING_MS,
    MAX_LISTEN_MS,
    AmdEvent,
    AmdOptions,
    EventKind,
    Heard,
    Sound,
    WireError,
    decode_event,
    decode_heard,
    decode_options,
    encode_event,
    encode_heard,
    encode_options,
    is_heard,
)

pytestmark = pytest.mark.unit

MS = st.integers(0, MAX_LISTEN_MS)
HERTZ = st.floats(100, 4_000, allow_nan=False)
HEARD = st.one_of(
    st.builds(Heard, st.just(Sound.SPEECH), MS),
    st.builds(Heard, st.just(Sound.SPEECH_END), MS, start_ms=MS),
    st.builds(Heard, st.just(Sound.SILENCE), MS, for_ms=MS),
    st.builds(
        Heard,
        st.just(Sound.TONE),
        MS,
        frequency_hz=HERTZ,
        second_hz=st.none() | HERTZ,
        duration_ms=MS,
        ended=st.booleans(),
    ),
    st.builds(Heard, st.just(Sound.BANDS), MS, hop_ms=st.just(20), data=st.just("AAAA")),
)


def body(frame: str) -> str:
    message = json.loads(frame)
    assert message["type"] == "transcription"
    return json.dumps(message["data"])


@given(HEARD)
def test_what_was_heard_arrives(heard: Heard) -> None:
    text = body(encode_heard(heard))
    assert is_heard(text)
    assert decode_heard(text) == heard
    with pytest.raises(WireError):
        decode_event(text)


def test_a_verdict_is_no_sound() -> None:
    text = body(encode_event(AmdEvent(EventKind.BEEP, 5)))
    assert not is_heard(text)
    with pytest.raises(WireError, match="not a heard event"):
        decode_heard(text)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda c: st.lists(c), max_leaves=5))
def test_any_json_is_refused_in_words(value: object) -> None:
    for key in ("what", "atMs", "forMs"):
        data: dict[str, object] = {"event": "heard", "what": "silence", "atMs": 1, "forMs": 200}
        data[key] = value
        try:
            heard = decode_heard(json.dumps(data))
        except WireError:
            continue
        assert isinstance(heard.at_ms, int)


@pytest.mark.parametrize(
    "text", ["", "x", "[]", "null", '{"event":"heard"}', '{"event":"heard","what":"tone","atMs":1}']
)
def test_what_lacks_something_is_refused(text: str) -> None:
    with pytest.raises(WireError):
        decode_heard(text)
    assert is_heard(text) == text.startswith("{")


def test_bands_are_bytes_again() -> None:
    data = base64.urlsafe_b64encode(bytes(range(250))).rstrip(b"=").decode()
    assert Heard(Sound.BANDS, 0, hop_ms=20, data=data).bands == bytes(range(250))
    assert Heard(Sound.SPEECH, 0).bands == b""
    with pytest.raises(WireError):
        _ = Heard(Sound.BANDS, 0, data="A").bands


@given(st.booleans(), st.booleans(), st.integers(1_000, MAX_LISTEN_MS))
def test_options_arrive(listen: bool, bands: bool, limit: int) -> None:
    options = AmdOptions(listen=listen, listen_bands=listen and bands, listen_max_ms=limit if listen else MAX_LISTEN_MS)
    assert decode_options(encode_options(options)) == options


def test_who_does_not_listen_says_nothing_of_it() -> None:
    text = encode_options(AmdOptions(listen_bands=True, listen_max_ms=2_000))
    assert b"listen" not in base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    plain = encode_options(AmdOptions(listen=True))
    said = json.loads(base64.urlsafe_b64decode(plain + "=" * (-len(plain) % 4)))
    assert said["listen"] is True
    assert not {"listen_bands", "listen_max_ms"} & set(said)


@pytest.mark.parametrize(
    "options",
    [
        {"listen": 1},
        {"listen_bands": "yes"},
        {"listen_max_ms": 999},
        {"listen_max_ms": MAX_LISTEN_MS + 1},
        {"listen": True, "keep_ms": MAX_KEEP_LISTENING_MS + 1},
        {"keep_ms": MAX_KEEP_LISTENING_MS},
    ],
)
def test_what_may_not_be_asked(options: dict[str, object]) -> None:
    with pytest.raises(WireError, match="AMD option"):
        decode_options(json.dumps(options))
