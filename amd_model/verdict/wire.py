"""Options and events as they travel. Pure.

* options go *to* the worker as the audio tap's metadata (mod_audio_fork sends it as the first text frame).
  FreeSWITCH splits that command on spaces and an originate string on many more characters, so the JSON is
  base64url-coded without padding: ``[A-Za-z0-9_-]`` only. Plain JSON is understood as well.
* events come *from* the worker as ``{"type":"transcription","data":{…}}`` text frames on the same WebSocket;
  mod_audio_fork turns each into a ``CUSTOM mod_audio_fork::transcription`` event whose body is the data. An
  event is an `AmdEvent` (who answered) or, of a stream that was asked to listen on, a `Heard` (what is heard).
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import fields
from typing import Any

from amd_model.verdict.events import AmdEvent, EventKind, Heard, Reason, Sound, Verdict
from amd_model.verdict.options import MAX_LISTEN_MS, AmdOptions, Mode, WireError


def encode_options(options: AmdOptions) -> str:
    """Options as tap metadata: base64url of compact JSON, no padding. What is kept is said only where it is asked."""
    silent = {"keep_ms", "call_id"} if not options.keep_ms else set()
    if not options.listen:
        silent |= {"listen", "listen_bands", "listen_max_ms"}
    silent |= {name for name in ("listen_bands", "listen_max_ms") if getattr(options, name) == _UNSAID[name]}
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


_UNSAID = {"listen_bands": False, "listen_max_ms": MAX_LISTEN_MS}

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


_NEEDED: dict[Sound, tuple[str, ...]] = {
    Sound.SPEECH: (),
    Sound.SPEECH_END: ("startMs",),
    Sound.SILENCE: ("forMs",),
    Sound.TONE: ("frequencyHz", "durationMs", "ended"),
    Sound.BANDS: ("hopMs", "data"),
}

_HEARD_KEYS = {
    "what": "what",
    "at_ms": "atMs",
    "start_ms": "startMs",
    "for_ms": "forMs",
    "frequency_hz": "frequencyHz",
    "second_hz": "secondHz",
    "duration_ms": "durationMs",
    "ended": "ended",
    "hop_ms": "hopMs",
    "data": "data",
}


def encode_heard(heard: Heard) -> str:
    """The text frame for the audio WebSocket."""
    data: dict[str, Any] = {"event": "heard"}
    data.update((wire, value) for name, wire in _HEARD_KEYS.items() if (value := getattr(heard, name)) is not None)
    return json.dumps({"type": "transcription", "data": data}, separators=(",", ":"))


def decode_heard(body: str) -> Heard:
    """The body of a ``mod_audio_fork::transcription`` event of a listening stream. Raises WireError.

    Verdicts, beeps and the like come on the same stream and are for `decode_event`.
    """
    try:
        data = json.loads(body)
    except ValueError as error:
        raise WireError("what was heard is not JSON") from error
    if not isinstance(data, dict) or data.get("event") != "heard":
        raise WireError("this is not a heard event")
    try:
        what = Sound(data["what"])
        missing = [key for key in _NEEDED[what] if data.get(key) is None]
        if missing:
            raise WireError(f"what was heard ({what.value}) lacks {', '.join(missing)}")
        return Heard(
            what=what,
            at_ms=int(data["atMs"]),
            start_ms=_optional_int(data, "startMs"),
            for_ms=_optional_int(data, "forMs"),
            frequency_hz=_optional_float(data, "frequencyHz"),
            second_hz=_optional_float(data, "secondHz"),
            duration_ms=_optional_int(data, "durationMs"),
            ended=None if data.get("ended") is None else bool(data["ended"]),
            hop_ms=_optional_int(data, "hopMs"),
            data=None if data.get("data") is None else str(data["data"]),
        )
    except WireError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise WireError(f"what was heard lacks or misuses a field: {error}") from error


def is_heard(body: str) -> bool:
    """Whether an event's body is for `decode_heard` and not for `decode_event`; false for what is neither."""
    try:
        data = json.loads(body)
    except ValueError:
        return False
    return isinstance(data, dict) and data.get("event") == "heard"


def _optional_float(data: dict[str, Any], key: str) -> float | None:
    value = data.get(key)
    return None if value is None else float(value)


def _optional_int(data: dict[str, Any], key: str) -> int | None:
    value = data.get(key)
    return None if value is None else int(value)
