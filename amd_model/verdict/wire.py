"""Options and events as they travel. Pure.

* options go *to* the worker as the audio tap's metadata (mod_audio_fork sends it as the first text frame).
  FreeSWITCH splits that command on spaces and an originate string on many more characters, so the JSON is
  base64url-coded without padding: ``[A-Za-z0-9_-]`` only. Plain JSON is understood as well.
* events come *from* the worker as ``{"type":"transcription","data":{…}}`` text frames on the same WebSocket;
  mod_audio_fork turns each into a ``CUSTOM mod_audio_fork::transcription`` event whose body is the data. An
  event is an `AmdEvent` (who answered) or, of a stream that was asked to listen on, a `Heard` (what is heard).

Either side may be newer than the other. What it says that is not known here voids nothing of what is: fields and
options are ignored, a reason is dropped, a verdict's unknown result is `unknown`, an event of an unknown kind is an
`UnknownWord`. What is known and misused is an error.
"""

from __future__ import annotations

import base64
import json
import math
import re
from dataclasses import fields, replace
from enum import StrEnum
from typing import Any, TypeVar

from amd_model.verdict.events import AmdEvent, Answerer, EventKind, Heard, Reason, Sound, Verdict
from amd_model.verdict.options import (
    MAX_LISTEN_MS,
    AmdOptions,
    Mode,
    UnknownWord,
    WireError,
)

MAX_VERSION = 100
MAX_MS = 2**31
"""Twenty-four days."""

Word = TypeVar("Word", bound=StrEnum)


def encode_options(options: AmdOptions) -> str:
    """Options as tap metadata: base64url of compact JSON, no padding. What is kept is said only where it is asked."""
    silent = {"keep_ms", "call_id"} if not options.keep_ms else set()
    if not options.listen:
        silent |= {"listen", "listen_bands", "listen_max_ms"}
    silent |= {name for name in _UNSAID if getattr(options, name) == _UNSAID[name]}
    body = {f.name: getattr(options, f.name) for f in fields(options) if f.name not in silent}
    raw = json.dumps(body, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode_options(text: str) -> AmdOptions:
    """The inverse; plain JSON is taken too, unknown keys are ignored, an empty text gives the defaults.

    Raises WireError on anything else.
    """
    known = _asked(text)
    if "mode" in known:
        known["mode"] = _mode(known["mode"])
    return AmdOptions(**known)


def salvage_options(text: str) -> tuple[AmdOptions, list[str]]:
    """What can be done of the options that somebody newer, or mistaken, asked for, and in words what cannot.

    A number out of bounds is taken to the nearest bound, anything else that is wrong is left at its default. Raises
    WireError when there are no options to be read at all.
    """
    options, faults = AmdOptions(), []
    asked = _asked(text)
    for name in sorted(asked, key=lambda name: name != "listen"):  # it widens what may be kept
        value: Any = asked[name]
        try:
            change: dict[str, Any] = {name: _mode(value) if name == "mode" else value}
            options = replace(options, **change)
        except WireError as error:
            faults.append(str(error))
            bounds = options.bounds(name)
            if bounds is not None and isinstance(value, (int, float)) and not isinstance(value, bool):
                nearest: Any = min(max(value, bounds[0]), bounds[1])
                if not math.isnan(nearest):
                    change = {name: type(bounds[0])(nearest)}
                    options = replace(options, **change)
    return options, faults


def _asked(text: str) -> dict[str, Any]:
    """The options in a tap's metadata that are known here. Raises WireError."""
    text = text.strip()
    if not text:
        return {}
    try:
        if not text.startswith("{"):
            text = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WireError("tap metadata is neither JSON nor base64url of JSON") from error
    if not isinstance(body, dict):
        raise WireError("tap metadata is not a JSON object")
    return {f.name: body[f.name] for f in fields(AmdOptions) if f.name in body}


def _mode(value: object) -> Mode:
    mode = _known(Mode, value)
    if mode is None:
        raise WireError(f"AMD option mode: {value!r} is neither fast nor message_end")
    return mode


_LANGUAGE = re.compile(r"[a-z]{2,3}")
MAX_TRANSCRIPT = 600

_UNSAID = {"listen_bands": False, "listen_max_ms": MAX_LISTEN_MS, "transcript": False}

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
    "answerer": "answerer",
    "language": "language",
    "transcript": "transcript",
}


def encode_event(event: AmdEvent) -> str:
    """The text frame for the audio WebSocket."""
    data = {wire: getattr(event, name) for name, wire in _WIRE_KEYS.items() if getattr(event, name) is not None}
    data["confidence"] = round(event.confidence, 4)
    return json.dumps({"type": "transcription", "data": data}, separators=(",", ":"))


def decode_event(body: str) -> AmdEvent:
    """The body of a ``mod_audio_fork::transcription`` event (the frame's ``data``) as a value.

    Raises WireError; UnknownWord for an event, or a correction, in words that are not known here.
    """
    data = _object(body, "the verdict")
    try:
        kind, result = _kind(data["event"]), _known(Verdict, data.get("result"))
        if result is None and data.get("result") is not None:
            if kind is EventKind.CORRECTION:
                raise UnknownWord(f"the result {data['result']!r} is not known here", str(data["result"]))
            # Somebody answered, and was told to be what we have no word for.
            result = Verdict.UNKNOWN if kind is EventKind.VERDICT else None
        return AmdEvent(
            kind=kind,
            at_ms=_whole(data["atMs"]),
            result=result,
            confidence=min(1.0, max(0.0, _number(data.get("confidence", 0.0)))),
            reason=_known(Reason, data.get("reason")),
            greeting_end_ms=_optional_int(data, "greetingEndMs"),
            beep_ms=_optional_int(data, "beepMs"),
            frequency_hz=_optional_float(data, "frequencyHz"),
            model_version=str(data.get("modelVersion", ""))[:MAX_VERSION],
            answerer=_known(Answerer, data.get("answerer")),
            language=_language(data.get("language")),
            transcript=_text(data.get("transcript"), MAX_TRANSCRIPT),
        )
    except WireError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise WireError(f"the verdict lacks or misuses a field: {error}") from error


def _kind(word: object) -> EventKind:
    if not isinstance(word, str):
        raise TypeError(f"event: {word!r}")
    kind = _known(EventKind, word)
    if kind is None:
        raise UnknownWord(f"the event {word[:80]!r} is not known here", word)
    return kind


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
    """The body of a ``mod_audio_fork::transcription`` event of a listening stream.

    Verdicts, beeps and the like come on the same stream and are for `decode_event`. Raises WireError; UnknownWord for
    a sound that is not known here.
    """
    data = _object(body, "what was heard")
    if data.get("event") != "heard":
        raise WireError("this is not a heard event")
    try:
        word = data["what"]
        what = _known(Sound, word)
        if what is None:
            if isinstance(word, str):
                raise UnknownWord(f"the sound {word[:80]!r} is not known here", word)
            raise TypeError(f"what: {word!r}")
        missing = [key for key in _NEEDED[what] if data.get(key) is None]
        if missing:
            raise WireError(f"what was heard ({what.value}) lacks {', '.join(missing)}")
        return Heard(
            what=what,
            at_ms=_whole(data["atMs"]),
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
        return _object(body, "").get("event") == "heard"
    except WireError:
        return False


def _object(body: str, what: str) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WireError(f"{what} is not JSON") from error
    if not isinstance(data, dict):
        raise WireError(f"{what} is not a JSON object")
    return data


def _known(words: type[Word], value: object) -> Word | None:
    """A word of a closed set; one that is unknown here, because the other side is newer, tells nothing."""
    try:
        return words(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _whole(value: Any) -> int:
    number = int(value)
    if abs(number) > MAX_MS:
        raise ValueError(f"{number} ms are more than a call has")
    return number


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} is no number")
    return number


def _text(value: object, most: int) -> str | None:
    return value[:most] if isinstance(value, str) and value else None


def _language(value: object) -> str | None:
    """ISO 639; another word tells nothing."""
    return value if isinstance(value, str) and _LANGUAGE.fullmatch(value) else None


def _optional_float(data: dict[str, Any], key: str) -> float | None:
    value = data.get(key)
    return None if value is None else _number(value)


def _optional_int(data: dict[str, Any], key: str) -> int | None:
    value = data.get(key)
    return None if value is None else _whole(value)
