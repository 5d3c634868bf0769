"""The audio tap as mod_audio_fork gives it: what is asked of it, and what its events mean. Pure.

Another tap (mod_audio_stream, a later mod_audio_fork) is another module with these names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from amd_model.verdict import AmdOptions, encode_options
from fsbridge.esl.dialstring import Tap

BUG_NAME = "fsbridge_amd"
"""Name of our media bug: a second start under one name fails, a voice bot's tap needs another one."""

SUBSCRIBED = tuple(
    f"mod_audio_fork::{word}" for word in ("connect", "connect_failed", "disconnect", "buffer_overrun", "transcription")
)
"""Event subclasses that a node has to send us."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The worker took the WebSocket."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The tap could not connect, or lost its worker."""

    detail: str


@dataclass(frozen=True, slots=True)
class Said:
    """The worker's own words: the body of its text frame."""

    text: str


def tap(worker_url: str, options: AmdOptions) -> Tap:
    """The tap that FreeSWITCH itself starts at the answer, so that no audio is lost."""
    return Tap(ws_url=worker_url, bugname=BUG_NAME, metadata=encode_options(options))


def stop_command(channel: str) -> str:
    """The API command that ends the tap."""
    return f"uuid_audio_fork {channel} stop {BUG_NAME}"


def read(subclass: str, body: str) -> Connected | Failed | Said | None:
    """What one CUSTOM event of the tap means."""
    match subclass:
        case "mod_audio_fork::connect":
            return Connected()
        case "mod_audio_fork::connect_failed":
            return Failed(f"the audio tap could not connect: {_reason(body)}")
        case "mod_audio_fork::disconnect":
            return Failed("the AMD worker closed the audio tap")
        case "mod_audio_fork::transcription":
            return Said(body)
        case _:
            return None


def _reason(body: str) -> str:
    try:
        reason = json.loads(body)["reason"]
    except (ValueError, KeyError, TypeError):
        return body[:200] or "no reason given"
    return str(reason)[:200]
