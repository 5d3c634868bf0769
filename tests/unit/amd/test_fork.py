"""The audio tap's events and commands."""

from __future__ import annotations

import pytest

from amd_model.verdict import AmdOptions, decode_options
from fsbridge.amd import fork

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("subclass", "body", "expected"),
    [
        ("mod_audio_fork::connect", "", fork.Connected()),
        ("mod_audio_fork::disconnect", "", fork.Failed("the AMD worker closed the audio tap")),
        (
            "mod_audio_fork::connect_failed",
            '{"reason":"Unable to connect"}',
            fork.Failed("the audio tap could not connect: Unable to connect"),
        ),
        ("mod_audio_fork::connect_failed", "not json", fork.Failed("the audio tap could not connect: not json")),
        ("mod_audio_fork::connect_failed", "", fork.Failed("the audio tap could not connect: no reason given")),
        ("mod_audio_fork::transcription", '{"event":"verdict"}', fork.Said('{"event":"verdict"}')),
        ("mod_audio_fork::buffer_overrun", "", None),
        ("something::else", "", None),
    ],
)
def test_what_an_event_means(subclass: str, body: str, expected: object) -> None:
    assert fork.read(subclass, body) == expected


def test_the_tap_carries_the_options() -> None:
    options = AmdOptions(total_timeout_ms=7_000, sensitivity=2.5)
    tap = fork.tap("ws://127.0.0.1:9201/amd", options)
    assert decode_options(tap.metadata) == options
    assert tap.command("X") == f"uuid_audio_fork X start ws://127.0.0.1:9201/amd mono 8k {fork.BUG_NAME} {tap.metadata}"


def test_stopping_names_our_bug_only() -> None:
    assert fork.stop_command("X") == f"uuid_audio_fork X stop {fork.BUG_NAME}"
