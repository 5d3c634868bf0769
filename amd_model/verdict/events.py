"""What the detector tells: who answered and why, and what a listening stream hears. Pure."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from enum import StrEnum

from amd_model.verdict.options import WireError


class Verdict(StrEnum):
    """Who answered; the values are the wire words of the REST contract."""

    LIVE_PERSON = "live_person"
    ANSWERING_MACHINE = "answering_machine"
    FAX = "fax"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why the detector decided as it did; the last two are also said of a detector that did not decide."""

    SHORT_GREETING = "short_greeting"
    LONG_GREETING = "long_greeting"
    PHRASE = "phrase"
    BEEP = "beep"
    FAX_TONE = "fax_tone"
    NO_SPEECH = "no_speech"
    RINGBACK = "ringback"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    """Said by a controller only: no detector heard the answer, for none was up, each was full, or the tap broke."""


class Answerer(StrEnum):
    """Who or what answered, closer than the verdict, where words or tones tell."""

    PERSON = "person"
    BUSINESS = "business"
    """A person who answers for a firm."""
    VOICEMAIL = "voicemail"
    MAILBOX_FULL = "mailbox_full"
    CARRIER_ANNOUNCEMENT = "carrier_announcement"
    CALL_SCREENING = "call_screening"
    MENU = "menu"
    FAX = "fax"
    SILENCE = "silence"
    LINE_TONE = "line_tone"


class EventKind(StrEnum):
    """``VERDICT`` comes exactly once a stream; the others may follow it, in time order."""

    VERDICT = "verdict"
    BEEP = "beep"
    GREETING_END = "greeting_end"
    CORRECTION = "correction"


class Sound(StrEnum):
    """What a listening stream tells besides who answered: the values of ``what`` in a ``heard`` event."""

    SPEECH = "speech"
    SPEECH_END = "speech_end"
    SILENCE = "silence"
    TONE = "tone"
    BANDS = "bands"


@dataclass(frozen=True, slots=True)
class AmdEvent:
    """One thing the detector tells; times are milliseconds since the first audio sample (the answer).

    ``at_ms`` is when the thing happened in the audio (for a verdict: when it was decided). ``frequency_hz``
    belongs to ``BEEP`` only. ``answerer``, ``language`` (ISO 639-1) and ``transcript`` come with a verdict where words
    were heard; the transcript only where the call's options ask for it.
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
    answerer: Answerer | None = None
    language: str | None = None
    transcript: str | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """One thing a listening stream heard; times are milliseconds since the stream's first audio sample.

    * speech: ``at_ms`` is when somebody began to speak.
    * speech_end: ``at_ms`` is when it ended, ``start_ms`` when it had begun.
    * silence: at ``at_ms`` there had been neither speech nor a tone for ``for_ms``. Told again as it grows.
    * tone: a steady tone that began at ``at_ms``, has (``ended``: had) lasted ``duration_ms`` and is of
      ``frequency_hz``, with ``second_hz`` if it is two. Told when it is known to be one and when it is over.
    * bands: ``data`` is base64url, no padding, of uint8 [frames, 16] as `amd_model.listening.likeness` has them; the
      first frame begins at ``at_ms``, one every ``hop_ms``.
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
