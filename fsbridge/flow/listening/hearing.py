"""What a flow has heard of the far end so far, and from where on it counts. Pure; mutable on purpose, of one call only.

Sounds come from the detector's listening stream (`amd_model.verdict`), digits from FreeSWITCH, words from a recogniser.
They are kept in order, bounded, and told apart by a running number; the cursor is the number of the first one that
counts as an answer to what the flow did last. `flow.listening.expect` reads it and moves it.

Times are milliseconds of the ear's clock: since the first audio that the stream was given. Digits come without one and
get the last that is known. An ear that starts anew begins at nought; its times are put behind those of the one before.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from amd_model.listening import likeness
from amd_model.verdict import AmdEvent, EventKind, Heard
from amd_model.verdict import Sound as Word

MAX_SOUNDS: Final = 2_000
MAX_STRETCHES: Final = 500
"""Of speech, and of tones."""
MAX_BANDS: Final = 10 * 60 * 1_000 // likeness.HOP_MS
"""Frames: ten minutes."""
JOIN_MS: Final = 700
"""A shorter pause belongs to the speech around it."""
MAX_TRANSCRIPT: Final = 1_000
_ANEW_MS: Final = 3_000
"""Nothing is told later than this after it was heard: what lies further back comes from an ear that began anew."""

Fingerprint = NDArray[np.uint8]


class Kind(StrEnum):
    """What can be heard."""

    SPEECH = "speech"
    SPEECH_END = "speech_end"
    SILENCE = "silence"
    TONE = "tone"
    BEEP = "beep"
    GREETING_END = "greeting_end"
    VERDICT = "verdict"
    DTMF = "dtmf"
    BANDS = "bands"
    TRANSCRIPT = "transcript"


_OF_AMD = {
    EventKind.BEEP: Kind.BEEP,
    EventKind.GREETING_END: Kind.GREETING_END,
    EventKind.VERDICT: Kind.VERDICT,
    EventKind.CORRECTION: Kind.VERDICT,
}


@dataclass(frozen=True, slots=True)
class Sound:
    """One thing heard at `at_ms`; the other fields are of those kinds that have them.

    start_ms: where a speech_end, a tone or a beep began. for_ms: how long it has been silent; how long a tone has
    lasted. frequency_hz (and second_hz, of a pair): tone and beep. ended: a tone's. value: the digit of a dtmf, the
    word of a verdict, the text of a transcript. confidence: a verdict's. frames: uint8 [n, 16] of bands.
    """

    kind: Kind
    at_ms: int
    start_ms: int = 0
    for_ms: int = 0
    frequency_hz: float = 0.0
    second_hz: float = 0.0
    ended: bool = False
    value: str = ""
    confidence: float = 0.0
    frames: bytes = field(default=b"", repr=False)

    @property
    def until_ms(self) -> int:
        """How far the ear had heard when it told this, as far as the sound itself says."""
        match self.kind:
            case Kind.TONE:
                return self.start_ms + self.for_ms
            case Kind.BANDS:
                return self.at_ms + len(self.frames) // likeness.BANDS * likeness.HOP_MS
            case _:
                return self.at_ms


def from_amd(event: AmdEvent) -> Sound:
    """What the detector says of who answered. A beep's time is its beginning's, where that is known."""
    kind = _OF_AMD[event.kind]
    start = event.beep_ms if kind is Kind.BEEP and event.beep_ms is not None else event.at_ms
    return Sound(
        kind,
        event.at_ms,
        start_ms=start,
        frequency_hz=event.frequency_hz or 0.0,
        value=event.result.value if event.result is not None else "",
        confidence=event.confidence,
    )


def from_heard(heard: Heard) -> Sound:
    """What a listening stream tells. Raises WireError for bands that cannot be decoded."""
    match heard.what:
        case Word.SPEECH:
            return Sound(Kind.SPEECH, heard.at_ms, start_ms=heard.at_ms)
        case Word.SPEECH_END:
            return Sound(Kind.SPEECH_END, heard.at_ms, start_ms=min(heard.start_ms or 0, heard.at_ms))
        case Word.SILENCE:
            return Sound(Kind.SILENCE, heard.at_ms, for_ms=heard.for_ms or 0)
        case Word.TONE:
            return Sound(
                Kind.TONE,
                heard.at_ms,
                start_ms=heard.at_ms,
                for_ms=heard.duration_ms or 0,
                frequency_hz=heard.frequency_hz or 0.0,
                second_hz=heard.second_hz or 0.0,
                ended=bool(heard.ended),
            )
        case Word.BANDS:
            return Sound(Kind.BANDS, heard.at_ms, frames=heard.bands)


def from_dtmf(digit: str) -> Sound:
    """A digit that FreeSWITCH heard; its time is the last one known when it is taken."""
    return Sound(Kind.DTMF, -1, value=digit[:1])


def from_transcript(text: str) -> Sound:
    """What a recogniser understood."""
    return Sound(Kind.TRANSCRIPT, -1, value=text[:MAX_TRANSCRIPT])


@dataclass(slots=True)
class Stretch:
    """Speech with only short pauses in it. Numbers are those of its first and its latest sound; `end_ms` of what has
    ended so far; `talking` while somebody speaks.
    """

    first: int
    last: int
    start_ms: int
    end_ms: int
    talking: bool

    @property
    def length_ms(self) -> int:
        """From its first word to its last."""
        return self.end_ms - self.start_ms


@dataclass(slots=True)
class Steady:
    """A tone from its first telling on."""

    number: int
    sound: Sound

    def lasted_ms(self, clock_ms: int) -> int:
        """So far. One that is not over goes on, however long ago it was told."""
        told = self.sound.for_ms
        return told if self.sound.ended else max(told, clock_ms - self.sound.start_ms)


class Hearing:
    """What one call's flow has heard.

    `sounds` are (number, sound), without bands. `cursor`: the first number that counts. `floor`: where speech and
    recordings that count may begin: only what the flow does itself moves it, so a voice that was waited for is the
    beginning of the stretch that is waited for next. `cursor_ms` and `floor_frame` are the same in time and in frames.
    """

    def __init__(self) -> None:
        self.sounds: deque[tuple[int, Sound]] = deque(maxlen=MAX_SOUNDS)
        self.stretches: deque[Stretch] = deque(maxlen=MAX_STRETCHES)
        self.tones: deque[Steady] = deque(maxlen=MAX_STRETCHES)
        self.verdict: tuple[int, Sound] | None = None
        self.clock_ms = 0
        self.cursor = self.floor = 0
        self.cursor_ms = 0
        self.floor_frame = 0
        self.first_frame = 0
        self.search: Search | None = None
        self._next = 0
        self._base_ms = 0
        self._frames = bytearray()
        self._bands_from_ms = 0

    @property
    def frame_count(self) -> int:
        """Frames of bands heard so far, those that are no longer kept included."""
        return self.first_frame + len(self._frames) // likeness.BANDS

    def restart(self) -> None:
        """A new ear listens; its clock begins at nought."""
        self._base_ms = self.clock_ms
        for stretch in self.stretches:
            stretch.talking = False

    def mark(self) -> None:
        """The flow acts: only what is heard from here on answers it."""
        self.cursor = self.floor = self._next
        self.cursor_ms = self.clock_ms
        self.floor_frame = self.frame_count

    def passed(self, number: int, at_ms: int) -> None:
        """Something that was expected has been found: what counts comes after it."""
        if number >= self.cursor:
            self.cursor, self.cursor_ms = number + 1, max(self.cursor_ms, at_ms)

    def hear(self, sound: Sound) -> None:
        """Take one sound more; they come in the order of their telling."""
        if sound.at_ms < 0:
            sound = replace(sound, at_ms=self.clock_ms, start_ms=self.clock_ms)
        else:
            if self._base_ms + sound.until_ms < self.clock_ms - _ANEW_MS:
                self.restart()
            base = self._base_ms
            sound = replace(sound, at_ms=sound.at_ms + base, start_ms=sound.start_ms + base) if base else sound
            self.clock_ms = max(self.clock_ms, sound.until_ms)
        number, self._next = self._next, self._next + 1
        match sound.kind:
            case Kind.BANDS:
                self._keep_bands(sound)
                return
            case Kind.SPEECH | Kind.SPEECH_END:
                self._keep_speech(number, sound)
            case Kind.TONE:
                self._keep_tone(number, sound)
            case Kind.VERDICT:
                self.verdict = (number, sound)
        self.sounds.append((number, sound))

    def frames(self, start: int) -> Fingerprint:
        """Bands from frame `start` on, as far as they are kept: uint8 [frames, 16]."""
        skip = max(0, start - self.first_frame) * likeness.BANDS
        return np.frombuffer(bytes(self._frames[skip:]), np.uint8).reshape(-1, likeness.BANDS)

    def frame_ms(self, frame: int) -> int:
        """When a frame began."""
        return self._bands_from_ms + (frame - self.first_frame) * likeness.HOP_MS

    def ms_frame(self, at_ms: int) -> int:
        """The frame of a time; before the first that is kept, that one."""
        return self.first_frame + max(0, at_ms - self._bands_from_ms) // likeness.HOP_MS

    def is_over(self, stretch: Stretch) -> bool:
        """Whether nothing more can belong to it."""
        if stretch is not self.stretches[-1]:
            return True
        return not stretch.talking and self.clock_ms >= stretch.end_ms + JOIN_MS

    def _keep_speech(self, number: int, sound: Sound) -> None:
        latest = self.stretches[-1] if self.stretches else None
        ended = sound.kind is Kind.SPEECH_END
        if latest is not None and (latest.talking if ended else sound.start_ms < latest.end_ms + JOIN_MS):
            latest.last, latest.talking = number, not ended
            if ended:
                latest.end_ms = max(latest.end_ms, sound.at_ms)
            return
        # An end without a beginning: the beginning was before this ear, or was lost.
        self.stretches.append(Stretch(number, number, sound.start_ms, max(sound.at_ms, sound.start_ms), not ended))

    def _keep_tone(self, number: int, sound: Sound) -> None:
        if self.tones and not self.tones[-1].sound.ended and self.tones[-1].sound.start_ms == sound.start_ms:
            self.tones[-1].sound = sound
        else:
            self.tones.append(Steady(number, sound))

    def _keep_bands(self, sound: Sound) -> None:
        whole = len(sound.frames) // likeness.BANDS * likeness.BANDS
        self._frames += sound.frames[:whole]
        # The latest frame's time is the one that is sure: a stream that lost some, or a new ear, is right from there.
        self._bands_from_ms = sound.until_ms - len(self._frames) // likeness.BANDS * likeness.HOP_MS
        beyond = len(self._frames) - MAX_BANDS * likeness.BANDS
        if beyond > 0:
            del self._frames[:beyond]
            self.first_frame += beyond // likeness.BANDS
            self._bands_from_ms += beyond // likeness.BANDS * likeness.HOP_MS


@dataclass(slots=True)
class Search:
    """How far a recording has been looked for, so that nothing is looked through twice."""

    file: str
    floor: int
    seen: int
    best: float
    too_short: bool
