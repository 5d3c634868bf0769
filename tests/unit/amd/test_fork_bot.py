"""The commands for a voice bot's tap: JSON that FreeSWITCH's own reading of a line leaves as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.amd import fork

pytestmark = pytest.mark.unit

CHANNEL = "dfdb0b12-17e4-4235-b1a3-28338b89169a"
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(values)
def test_wordless_json_is_the_same_json_without_what_freeswitch_reads(value: Any) -> None:
    text = fork.wordless(value)
    assert json.loads(text) == value
    assert not set(text) & set(" '$\n\r\t")
    assert text.isascii()
    assert "\\" not in text.replace("\\u", "")


def test_the_commands_as_recorded_in_two_taps() -> None:
    start = fork.bot_command(CHANNEL, "ws://127.0.0.1:9200/bot", "8k", {"k": 2})
    assert start == f'uuid_audio_fork {CHANNEL} start ws://127.0.0.1:9200/bot mono 8k fsbridge_bot {{"k":2}}'
    assert fork.stop_command(CHANNEL, fork.BOT_NAME) == f"uuid_audio_fork {CHANNEL} stop fsbridge_bot"
    sent = fork.text_command(CHANNEL, {"event": "dtmf", "digit": "5"})
    assert sent == f'uuid_audio_fork {CHANNEL} send_text fsbridge_bot {{"event":"dtmf","digit":"5"}}'


def test_metadata_stay_within_the_modules_buffer() -> None:
    assert fork.bot_command(CHANNEL, "ws://a/", "8k", "x" * 7_998)
    with pytest.raises(ValueError, match="longer than 8000"):
        fork.bot_command(CHANNEL, "ws://a/", "8k", "x" * 8_000)


@pytest.mark.parametrize(("url", "rate"), [("ws://a b/", "8k"), ("http://a/", "8k"), ("ws://a/", "8k mono")])
def test_nothing_else_enters_the_command(url: str, rate: str) -> None:
    with pytest.raises(ValueError, match=r"tap url|rate"):
        fork.bot_command(CHANNEL, url, rate, {})
