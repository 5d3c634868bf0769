"""The audio tap as mod_audio_fork gives it: what is asked of it, and what its events mean. Pure.

Another tap (mod_audio_stream, a later mod_audio_fork) is another module with these names.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from amd_model.verdict import AmdOptions, encode_options
from fsbridge.esl.dialstring import Tap

BUG_NAME = "fsbridge_amd"
"""Name of our media bug: a second start under one name fails."""
EARS_NAME, BOT_NAME = "fsbridge_ears", "fsbridge_bot"
"""The taps of a flow that listens, and of a voice bot."""

MAX_METADATA = 8_000
"""mod_audio_fork copies it into a buffer of 8,192 bytes, and does not end what fills it."""

SUBSCRIBED = tuple(
    f"mod_audio_fork::{word}"
    for word in ("connect", "connect_failed", "disconnect", "buffer_overrun", "transcription", "json")
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


def ears(worker_url: str, options: AmdOptions) -> Tap:
    """The tap through which a running flow hears the far end."""
    return Tap(ws_url=worker_url, bugname=EARS_NAME, metadata=encode_options(options))


def stop_command(channel: str, name: str = BUG_NAME) -> str:
    """The API command that ends a tap."""
    return f"uuid_audio_fork {channel} stop {name}"


def bot_command(channel: str, url: str, rate: str, metadata: object) -> str:
    """The API command that forks the audio to a voice bot. Raises DialStringError for a URL that is not allowed."""
    checked = Tap(url, BOT_NAME, "").command(channel).split(" ")[3]
    if rate not in ("8k", "16k"):
        raise ValueError(f"rate: {rate!r} is neither 8k nor 16k")
    words = wordless(metadata)
    if len(words) > MAX_METADATA:
        raise ValueError(f"metadata: longer than {MAX_METADATA} characters as JSON")
    return f"uuid_audio_fork {channel} start {checked} mono {rate} {BOT_NAME} {words}"


def text_command(channel: str, message: object) -> str:
    """The API command that sends a text frame, JSON, to a voice bot."""
    return f"uuid_audio_fork {channel} send_text {BOT_NAME} {wordless(message)}"


_LIVE = re.compile(r"\\.|[ \'$]")


def wordless(value: object) -> str:
    """JSON in which no character means anything to FreeSWITCH, which splits on spaces and reads quotes and backslashes.

    Inside JSON's strings every character may be written as four hexadecimal digits (RFC 8259, section 7); outside
    of them compact JSON holds none of these.
    """
    compact = json.dumps(value, separators=(",", ":"), default=str)
    return _LIVE.sub(lambda match: _spelled(match[0]), compact)


def _spelled(found: str) -> str:
    plain = {"\\n": "\n", "\\t": "\t", "\\r": "\r", "\\b": "\b", "\\f": "\f"}.get(found, found[-1])
    return found if found.startswith("\\u") else f"\\u{ord(plain):04x}"


def read(subclass: str, body: str) -> Connected | Failed | Said | None:
    """What one CUSTOM event of the tap means."""
    match subclass:
        case "mod_audio_fork::connect":
            return Connected()
        case "mod_audio_fork::connect_failed":
            return Failed(f"the audio tap could not connect: {_reason(body)}")
        case "mod_audio_fork::disconnect":
            return Failed("the AMD worker closed the audio tap")
        case "mod_audio_fork::transcription" | "mod_audio_fork::json":
            return Said(body)
        case _:
            return None


def _reason(body: str) -> str:
    try:
        reason = json.loads(body)["reason"]
    except (ValueError, KeyError, TypeError):
        return body[:200] or "no reason given"
    return str(reason)[:200]
