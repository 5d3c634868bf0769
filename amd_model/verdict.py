"""What the detector says, and how it is said on the wire: what fsbridge imports of this package (and `likeness`).

Pure: values in, values out; no torch, no sockets. The words travel like this:

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
MAX_KEEP_LISTENING_MS = 600_000
MAX_LISTEN_MS = 3_600_000
_CALL_ID = re.compile(r"[A-Za-z0-9-]{0,64}")
"""A call id names a file: nothing in it may lead out of a folder."""


class Sound(StrEnum):
    """What a listening stream tells besides who answered: the values of ``what`` in a ``heard`` event."""

    SPEECH = "speech"
    SPEECH_END = "speech_end"
    SILENCE = "silence"
    TONE = "tone"
    BANDS = "bands"


class WireError(ValueError):
    """Options or an event that cannot be understood; the message names the field."""


@dataclass(frozen=True, slots=True)
class AmdOptions:
    """One call's options for the detector; times in milliseconds.

    ``sensitivity`` is the cost of taking a machine for a person over the cost of taking a person for a
    machine: above 1 the detector is readier to say ``answering_machine``. ``keep_ms`` of the audio are kept in
    a file named after ``call_id`` by a worker that was told where; 0, the default, keeps nothing.

    ``listen``: the stream stays in analysis after its verdict, until its end or for ``listen_max_ms`` of audio,
    and tells what it hears (`Heard`) and every beep; with ``listen_bands`` also the sound's own bands, for
    `amd_model.listening.likeness`.
    """

    mode: Mode = Mode.FAST
    total_timeout_ms: int = 10_000
    initial_silence_ms: int = 4_500
    after_greeting_silence_ms: int = 800
    message_end_timeout_ms: int = 30_000
    sensitivity: float = 1.0
    keep_ms: int = 0
    call_id: str = ""
    listen: bool = False
    listen_bands: bool = False
    listen_max_ms: int = MAX_LISTEN_MS

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
        for name in ("listen", "listen_bands"):
            if not isinstance(getattr(self, name), bool):
                raise WireError(f"AMD option {name}: {getattr(self, name)!r} is neither true nor false")
        self._whole("keep_ms", 0, MAX_KEEP_LISTENING_MS if self.listen else MAX_KEEP_MS)
        self._whole("listen_max_ms", 1_000, MAX_LISTEN_MS)
        if not isinstance(self.call_id, str) or not _CALL_ID.fullmatch(self.call_id):
            raise WireError(f"AMD option call_id: {self.call_id!r} is not up to 64 letters, digits and hyphens")

    def _whole(self, name: str, low: int, high: int) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise WireError(f"AMD option {name}: {value!r} is not a whole number from {low} to {high}")


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


@dataclass(frozen=True, slots=True)
class Heard:
    """One thing a listening stream heard; times are milliseconds since the stream's first audio sample.

    * speech: ``at_ms`` is when somebody began to speak.
    * speech_end: ``at_ms`` is when it ended, ``start_ms`` when it had begun.
    * silence: at ``at_ms`` there had been neither speech nor a tone for ``for_ms``. Told again as it grows.
    * tone: a steady tone that began at ``at_ms``, has (``ended``: had) lasted ``duration_ms`` and is of
      ``frequency_hz``, with ``second_hz`` if it is two. Told when it is known to be one and when it is over.
    * bands: ``data`` is base64url, no padding, of uint8 [frames, 16] as `amd_model.listening.likeness` has them; the
    first
      frame begins at ``at_ms``, one every ``hop_ms``.
    """

    what: Sound
    at_ms: int
    start_ms: int | None = None
    for_ms: int | None = None
    frequency_hz: float | None = None
    second_hz: float | None = None
    duration_ms: int | None = None
    ended: bool | None = None
    hop_ms: int | None = None
    data: str | None = None

    @property
    def bands(self) -> bytes:
        """The bytes of ``data``, frame by frame; nothing for another sound. Raises WireError."""
        text = self.data or ""
        try:
            return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except (binascii.Error, ValueError) as error:
            raise WireError("the bands are not base64url") from error


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
