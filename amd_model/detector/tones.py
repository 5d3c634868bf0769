"""What a steady frequency means, by the published figures. Pure.

* beep: one or two steady frequencies of 350–2,000 Hz, at least 0.12 s, that start and stop; told when it stops;
* fax: CED and ANSam 2,100 ± 15 Hz (T.30 5.3.1.1; V.8 adds reversals each 450 ms), CNG 1,100 ± 38 Hz for 0.5 s
  ± 15 % (T.30 5.3.1.2), V.21 channel 2 preamble (1,650 and 1,850 Hz, T.30 5.3.1.3);
* progress: ringback 440+480, 400+450, 425 Hz and busy 480+620 (E.180 supplement 2), which no person or
  machine makes;
* SIT: three rising tones around 950, 1,400 and 1,800 Hz before an intercept (E.180 6), which are no beeps;
* DTMF (Q.23), which is neither.

Frequencies are in kHz, as `amd_model.detector.features` measures them; of two, the lower comes first, and the second
is 0 where there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_DTMF_LOW: Final = (0.697, 0.770, 0.852, 0.941)
_DTMF_HIGH: Final = (1.209, 1.336, 1.477, 1.633)
# 440+480 Hz are too close for a 40 ms window and look like one tone between them that beats; 400+450 Hz look like
# 412 with a shoulder at 475.
_PROGRESS_PAIRS: Final = ((0.412, 0.475), (0.480, 0.620), (0.350, 0.440))
_PROGRESS_SINGLE: Final = (0.400, 0.408, 0.425, 0.440, 0.460)
_SIT_FIRST: Final = (0.9138, 0.9852)
_SIT_SECOND: Final = (1.3706, 1.4285)
_SIT_THIRD: Final = 1.7767


class ToneKind(StrEnum):
    """What a tone means."""

    BEEP = "beep"
    CED = "ced"
    CNG = "cng"
    V21 = "v21"
    PROGRESS = "progress"
    SIT = "sit"

    @property
    def is_fax(self) -> bool:
        """True for the three tones only a fax machine makes."""
        return self in (ToneKind.CED, ToneKind.CNG, ToneKind.V21)


@dataclass(frozen=True, slots=True)
class Tone:
    """One tone heard: milliseconds since the stream's first sample; ``second_hz`` is 0 for a single tone.

    ``beeplike``: it started, stood still and stopped as a beep does, whatever else it may be.
    """

    kind: ToneKind
    start_ms: int
    end_ms: int
    frequency_hz: float
    second_hz: float = 0.0
    beeplike: bool = False


def is_ced(first: float, second: float) -> bool:
    """A called fax's answering tone, plain or modulated."""
    return not second and abs(first - 2.1) <= 0.020


def is_cng(first: float, second: float, frames: int) -> bool:
    """A calling fax's half second."""
    return not second and abs(first - 1.1) <= 0.038 and 20 <= frames <= 31


def is_dtmf(first: float, second: float) -> bool:
    """A key."""
    return second > 0.0 and _near(first, _DTMF_LOW, 0.018) and _near(second, _DTMF_HIGH, 0.018)


def is_progress(first: float, second: float, frames: int) -> bool:
    """Ringback or busy, of one of the national plans."""
    if second:
        return any(abs(first - a) < 0.012 and abs(second - b) < 0.014 for a, b in _PROGRESS_PAIRS)
    return frames >= 12 and _near(first, _PROGRESS_SINGLE, 0.012)


def is_sit(first: float, second: float, before: float, gap_ms: int) -> bool:
    """The second or third of the special information tones, ``gap_ms`` after the one ``before``."""
    if second or gap_ms >= 120:
        return False
    if _near(first, _SIT_SECOND, 0.02):
        return _near(before, _SIT_FIRST, 0.02)
    return abs(first - _SIT_THIRD) < 0.02 and _near(before, _SIT_SECOND, 0.02)


def are_harmonics(first: float, second: float) -> bool:
    """Neighbouring harmonics of a voice: their difference is the pitch (80 to 400 Hz) and divides both."""
    pitch = second - first
    return 0.08 < pitch < 0.4 and abs(first / pitch - round(first / pitch)) < 0.06


def _near(value: float, centres: Sequence[float], tolerance: float) -> bool:
    return any(abs(value - centre) <= tolerance for centre in centres)
