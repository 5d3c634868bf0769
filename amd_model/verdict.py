"""What the detector says, and how it is said on the wire: the only module of this package that fsbridge imports.

Pure: values in, values out; no torch, no sockets. The words travel like this:

* options go *to* the worker as the audio tap's metadata (mod_audio_fork sends it as the first text frame).
  FreeSWITCH splits that command on spaces and an originate string on many more characters, so the JSON is
  base64url-coded without padding: ``[A-Za-z0-9_-]`` only. Plain JSON is understood as well.
* events come *from* the worker as ``{"type":"transcription","data":{…}}`` text frames on the same WebSocket;
  mod_audio_fork turns each into a ``CUSTOM mod_audio_fork::transcription`` event whose body is the data.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, ClassVar


class Verdict(StrEnum):
    """Who answered; the values are the wire words of the REST contract."""

    LIVE_PERSON = "live_person"
    ANSWERING_MACHINE = "answering_machine"
    FAX = "fax"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why the detector decided as it did."""

    SHORT_GREETING = "short_greeting"
    LONG_GREETING = "long_greeting"
    PHRASE = "phrase"
    BEEP = "beep"
    FAX_TONE = "fax_tone"
    NO_SPEECH = "no_speech"
    RINGBACK = "ringback"
    TIMEOUT = "timeout"


class EventKind(StrEnum):
    """``VERDICT`` comes exactly once a stream; the others may follow it, in time order."""

    VERDICT = "verdict"
    BEEP = "beep"
    GREETING_END = "greeting_end"
    CORRECTION = "correction"


class Mode(StrEnum):
    """``FAST`` stops at the verdict; ``MESSAGE_END`` goes on after a machine until its beep or lasting silence."""

    FAST = "fast"
    MESSAGE_END = "message_end"


MAX_KEEP_MS = 60_000
_CALL_ID = re.compile(r"[A-Za-z0-9-]{0,64}")
"""A call id names a file: nothing in it may lead out of a folder."""


class WireError(ValueError):
    """Options or an event that cannot be understood; the message names the field."""


@dataclass(frozen=True, slots=True)
class AmdOptions:
    """One call's options for the detector; times in milliseconds.

    ``sensitivity`` is the cost of taking a machine for a person over the cost of taking a person for a
    machine: above 1 the detector is readier to say ``answering_machine``. ``keep_ms`` of the audio are kept in
    a file named after ``call_id`` by a worker that was told where; 0, the default, keeps nothing.
    """

    mode: Mode = Mode.FAST
    total_timeout_ms: int = 10_000
    initial_silence_ms: int = 4_500
    after_greeting_silence_ms: int = 800
    message_end_timeout_ms: int = 30_000
    sensitivity: float = 1.0
    keep_ms: int = 0
    call_id: str = ""

    LIMITS: ClassVar[dict[str, tuple[float, float]]] = {
        "total_timeout_ms": (500, 59_000),
        "initial_silence_ms": (500, 20_000),
        "after_greeting_silence_ms": (200, 5_000),
        "message_end_timeout_ms": (1_000, 180_000),
        "sensitivity": (0.1, 10.0),
    }
    """Of what a caller may choose; what is kept is for the configuration alone to say."""

    def __post_init__(self) -> None:
        for name, (low, high) in self.LIMITS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
                raise WireError(f"AMD option {name}: {value!r} is not a number from {low} to {high}")
        keep = self.keep_ms
        if isinstance(keep, bool) or not isinstance(keep, int) or not 0 <= keep <= MAX_KEEP_MS:
            raise WireError(f"AMD option keep_ms: {keep!r} is not a whole number from 0 to {MAX_KEEP_MS}")
        if not isinstance(self.call_id, str) or not _CALL_ID.fullmatch(self.call_id):
            raise WireError(f"AMD option call_id: {self.call_id!r} is not up to 64 letters, digits and hyphens")


@dataclass(frozen=True, slots=True)
class AmdEvent:
    """One thing the detector tells; times are milliseconds since the first audio sample (the answer).

    ``at_ms`` is when the thing happened in the audio (for a verdict: when it was decided). ``frequency_hz``
    belongs to ``BEEP`` only.
    """

    kind: EventKind
    at_ms: int
    result: Verdict | None = None
    confidence: float = 0.0
    reason: Reason | None = None
    greeting_end_ms: int | None = None
    beep_ms: int | None = None
    frequency_hz: float | None = None
    model_version: str = ""


def encode_options(options: AmdOptions) -> str:
    """Options as tap metadata: base64url of compact JSON, no padding. What is kept is said only where it is asked."""
    silent = () if options.keep_ms else ("keep_ms", "call_id")
    body = {f.name: getattr(options, f.name) for f in fields(options) if f.name not in silent}
    raw = json.dumps(body, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode_options(text: str) -> AmdOptions:
    """The inverse; plain JSON is taken too, unknown keys are ignored, an empty text gives the defaults.

    Raises WireError on anything else.
    """
    text = text.strip()
    if not text:
        return AmdOptions()
    try:
        if not text.startswith("{"):
            text = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        body = json.loads(text)
    except (binascii.Error, ValueError, UnicodeDecodeError) as error:
        raise WireError("tap metadata is neither JSON nor base64url of JSON") from error
    if not isinstance(body, dict):
        raise WireError("tap metadata is not a JSON object")
    known: dict[str, Any] = {f.name: body[f.name] for f in fields(AmdOptions) if f.name in body}
    if "mode" in known:
        try:
            known["mode"] = Mode(known["mode"])
        except ValueError as error:
            raise WireError(f"AMD option mode: {known['mode']!r} is neither fast nor message_end") from error
    return AmdOptions(**known)


_WIRE_KEYS = {
    "kind": "event",
    "at_ms": "atMs",
    "result": "result",
    "confidence": "confidence",
    "reason": "reason",
    "greeting_end_ms": "greetingEndMs",
    "beep_ms": "beepMs",
    "frequency_hz": "frequencyHz",
    "model_version": "modelVersion",
}


def encode_event(event: AmdEvent) -> str:
    """The text frame for the audio WebSocket."""
    data = {wire: getattr(event, name) for name, wire in _WIRE_KEYS.items() if getattr(event, name) is not None}
    data["confidence"] = round(event.confidence, 4)
    return json.dumps({"type": "transcription", "data": data}, separators=(",", ":"))


def decode_event(body: str) -> AmdEvent:
    """The body of a ``mod_audio_fork::transcription`` event (the frame's ``data``) as a value. Raises WireError."""
    try:
        data = json.loads(body)
    except ValueError as error:
        raise WireError("the verdict is not JSON") from error
    if not isinstance(data, dict):
        raise WireError("the verdict is not a JSON object")
    try:
        return AmdEvent(
            kind=EventKind(data["event"]),
            at_ms=int(data["atMs"]),
            result=Verdict(data["result"]) if data.get("result") is not None else None,
            confidence=float(data.get("confidence", 0.0)),
            reason=Reason(data["reason"]) if data.get("reason") is not None else None,
            greeting_end_ms=_optional_int(data, "greetingEndMs"),
            beep_ms=_optional_int(data, "beepMs"),
            frequency_hz=float(data["frequencyHz"]) if data.get("frequencyHz") is not None else None,
            model_version=str(data.get("modelVersion", "")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(f"the verdict lacks or misuses a field: {error}") from error


def _optional_int(data: dict[str, Any], key: str) -> int | None:
    value = data.get(key)
    return None if value is None else int(value)
