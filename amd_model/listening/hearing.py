"""What is being heard on a stream that listens on: speech and its end, silence, steady tones, beeps. Pure.

A tick at a time, from the row of outputs that `amd_model.detector.spec` describes: the network's word on who speaks,
the features' measures of tones and of level. Rules:

* Speech has begun after `ONSET_FRAMES` of it, and ended after `END_FRAMES` without; shorter noises and pauses are
  neither. What lies below `AUDIBLE` is not speech whatever the network thinks of it.
* A steady tone is not speech. It is told as soon as it has been steady for `TONE_FRAMES`, and at its end.
* Silence is what is neither; it is told at growing lengths, and while somebody speaks never: a pause becomes
  silence when the speech before it has ended.
* Beeps are told by `amd_model.detector.tracker`, as the detector tells them, each of them.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Final

from amd_model.detector.spec import FRAMES_PER_TICK, HOP_MS, MEASURES, SPEECH, TICK_MS, TONE, TONE_MEASURES
from amd_model.detector.tones import Tone, ToneKind
from amd_model.detector.tracker import ToneTracker
from amd_model.verdict import AmdEvent, EventKind, Heard, Reason, Sound

ENTER, STAY = 0.6, 0.35
"""Probabilities of speech, as in `amd_model.detector.decision`."""
AUDIBLE: Final = -0.9
"""−68 dBFS in the features' measure of level: below what a G.711 coder can make of a voice."""
ONSET_FRAMES: Final = 7
ONSET_MISSES: Final = 3
END_FRAMES: Final = 15
SILENCES_MS: Final = tuple(range(200, 2_001, 200))
LATER_MS: Final = 500
BANDS_TICKS: Final = 5

TONE_FRAMES: Final = 5
LOWEST_KHZ, HIGHEST_KHZ = 0.290, 2.520
TONAL_SHARE: Final = 0.8
GOING_SHARE: Final = 0.6
SECOND_SHARE: Final = 0.25
SECOND_STAYS: Final = 0.06
DRIFT_KHZ: Final = 0.008
STEADY_KHZ: Final = 0.0025
"""Standard deviation of a tone's frequency; a vowel's over a tenth of a second is three times this."""
STEADY_LEVEL: Final = 0.15
"""Of its level, in the features' 20 dB: 3 dB."""
TALK, TALK_FRAMES = 0.3, 20
"""Where somebody is likely to speak (mean probability), what stands still for so long is a tone all the same."""
BEAT_KHZ, PURE_SHARE, QUIET = 0.032, 0.92, 0.1
"""Where nobody speaks, what holds nearly all of the power may wander so far: two tones as close as ringback's
(400+450, 440+480 Hz) are one that beats to a window of 40 ms."""
PURE_KHZ: Final = 0.0003
GAP_FRAMES: Final = 2
BEFORE_BEEP_MS: Final = 500


class SteadyTone:
    """Follows one tone at a time, whatever it means. `confirmed` once it has been told to sound."""

    __slots__ = ("_f", "_ff", "_first", "_talk", "_v", "_vv", "confirmed", "count", "gap", "khz", "second", "start")

    def __init__(self) -> None:
        self.start = self.count = self.gap = 0
        self.confirmed = False
        self.khz = self.second = self._first = 0.0
        self._f = self._ff = self._v = self._vv = self._talk = 0.0

    def frame(self, at: int, measures: Sequence[float], speech: float) -> Heard | None:
        """One frame's measures at frame number `at`, and the probability that somebody speaks in it.

        Returns the tone if it became known, or known to be over.
        """
        khz, share, second, second_share, level, _ = measures
        paired = second_share > share * (SECOND_STAYS if self.count else SECOND_SHARE)
        if paired:
            share += second_share
        else:
            second = 0.0
        if self.count:
            # Of two peaks the stronger may be now the one, now the other; a beat may hide either.
            drift = DRIFT_KHZ * (2 if self.count < 2 else 1)
            if speech < QUIET and share > PURE_SHARE:
                drift = BEAT_KHZ
            if abs(khz - self.khz) >= drift > abs(second - self.khz):
                khz, second = second, khz
            if share > GOING_SHARE and abs(khz - self.khz) < drift and level > AUDIBLE:
                return self._goes_on(at, khz, second, level, speech)
            self.gap += 1
            if self.gap <= GAP_FRAMES and (self.confirmed or self.count > 1):
                return None
            over = self.close(at)
            if over is not None:
                return over
        if paired and second < khz:
            khz, second = second, khz
        if share > TONAL_SHARE and level > AUDIBLE and LOWEST_KHZ <= khz <= HIGHEST_KHZ:
            self.start, self.count, self.gap, self.confirmed = at, 1, 0, False
            self.khz, self.second, self._first = khz, second, khz
            self._f = self._ff = self._v = self._vv = self._talk = 0.0
        return None

    def _goes_on(self, at: int, khz: float, second: float, level: float, speech: float) -> Heard | None:
        self.gap = 0
        self.count += 1
        if self.count <= 2:  # the first two frames hold its edge
            self.khz, self._first = khz, khz
            return None
        settled = self.count - 2
        off = khz - self._first
        self._f += off
        self._ff += off * off
        self._v += level
        self._vv += level * level
        self._talk += speech
        self.khz += (khz - self.khz) / (settled + 1)
        if second and abs(second - self.second) < 2 * DRIFT_KHZ:
            self.second += (second - self.second) / (settled + 1)
        if self.confirmed or self.count < TONE_FRAMES or not self._steady(settled):
            return None
        self.confirmed = True
        return self._tell(at + 1, ended=False)

    def _steady(self, settled: int) -> bool:
        # A short stretch is steady by luck more often, so more is asked of it; a vowel sung is no tone for long.
        wander = self._ff / settled - (self._f / settled) ** 2
        if self._talk > TALK * settled and self.count < TALK_FRAMES and wander > PURE_KHZ**2:
            return False
        limit = STEADY_KHZ * (0.5 if settled < TONE_FRAMES else 1.0)
        if self._talk < QUIET * settled:
            limit = BEAT_KHZ / 2
        swing = self._vv / settled - (self._v / settled) ** 2
        return wander <= limit**2 and swing <= STEADY_LEVEL**2

    def close(self, at: int) -> Heard | None:
        """It is over: at frame `at` it was found to be; told if it had been told to sound."""
        gap, known = self.gap, self.confirmed
        told = self._tell(at + 1 - gap, ended=True) if known else None
        self.count, self.gap, self.confirmed = 0, 0, False
        return told

    def _tell(self, end: int, ended: bool) -> Heard:
        return Heard(
            Sound.TONE,
            self.start * HOP_MS,
            frequency_hz=round(self.khz * 1_000.0, 1),
            second_hz=round(self.second * 1_000.0, 1) if self.second else None,
            duration_ms=(end - self.start) * HOP_MS,
            ended=ended,
        )


class Hearing:
    """One listening stream. Mutable on purpose, as the tracker is: it is touched every tick of a whole call."""

    __slots__ = (
        "_bands",
        "_bands_at",
        "_beeps",
        "_candidate",
        "_frame",
        "_misses",
        "_quiet_from",
        "_run",
        "_spoken",
        "_started",
        "_talk_end",
        "_told_ms",
        "_tone",
        "_version",
    )

    def __init__(self, version: str = "") -> None:
        self._version = version
        self._frame = 0
        self._beeps = ToneTracker()
        self._tone = SteadyTone()
        self._candidate = 0  # where the speech that may be beginning began
        self._run = 0  # its frames
        self._misses = 0
        self._started: int | None = None  # where the speech that was told began
        self._talk_end = 0  # behind the last frame of speech
        self._spoken = 0
        self._quiet_from = 0
        self._told_ms = 0
        self._bands = bytearray()
        self._bands_at = 0

    @property
    def heard_ms(self) -> int:
        """Audio heard so far."""
        return self._frame * HOP_MS

    def hear(self, outputs: Sequence[float]) -> list[Heard | AmdEvent]:
        """One tick (the ``OUTPUTS`` floats of `spec`) → what there is to tell, in the order of its becoming known."""
        told: list[Heard | AmdEvent] = []
        speech, measures = outputs[SPEECH], outputs[MEASURES]
        for index in range(FRAMES_PER_TICK):
            at = index * TONE_MEASURES
            self._hear_frame(speech[index], measures[at : at + TONE_MEASURES], told)
            self._frame += 1
        for tone in self._beeps.feed(measures, speech, outputs[TONE]):
            if self._is_beep(tone):
                told.append(self._beep(tone))
        return told

    def bands(self, frames: bytes) -> Heard | None:
        """The bands of the tick just heard; every `BANDS_TICKS` ticks those of all of them."""
        if not self._bands:
            self._bands_at = self._frame * HOP_MS - TICK_MS
        self._bands += frames
        if self._frame * HOP_MS - self._bands_at < BANDS_TICKS * TICK_MS:
            return None
        data = base64.urlsafe_b64encode(self._bands).rstrip(b"=").decode()
        self._bands.clear()
        return Heard(Sound.BANDS, self._bands_at, hop_ms=HOP_MS, data=data)

    def finish(self) -> list[Heard | AmdEvent]:
        """The stream ended: a tone or speech that was going on is over."""
        told: list[Heard | AmdEvent] = []
        over = self._tone.close(self._frame - 1)
        if over is not None:
            told.append(over)
        if self._started is not None:
            self._end_speech(told)
        told += [self._beep(tone) for tone in self._beeps.finish() if self._is_beep(tone)]
        return told

    # --- frames --------------------------------------------------------------------------------------------------

    def _hear_frame(self, probability: float, measures: Sequence[float], told: list[Heard | AmdEvent]) -> None:
        now = self._frame
        tone = self._tone.frame(now, measures, probability)
        if tone is not None:
            if not tone.ended:
                self._not_speech_since(self._tone.start, told)
            told.append(tone)
        talking = (
            probability >= (ENTER if self._started is None and not self._run else STAY)
            and measures[4] > AUDIBLE
            and not self._tone.confirmed
        )
        if talking:
            self._talk(now, told)
        else:
            self._pause(now, told)
        if self._tone.confirmed:
            self._quiet_from, self._told_ms = now + 1 - self._tone.gap, 0
        elif self._started is None:
            self._silence(now, told)

    def _talk(self, now: int, told: list[Heard | AmdEvent]) -> None:
        self._misses = 0
        self._talk_end = now + 1
        if self._started is not None:
            return
        if not self._run:
            self._candidate = now
        self._run += 1
        if self._run >= ONSET_FRAMES:
            self._started, self._run = self._candidate, 0
            told.append(Heard(Sound.SPEECH, self._candidate * HOP_MS))

    def _pause(self, now: int, told: list[Heard | AmdEvent]) -> None:
        if self._started is not None:
            if now + 1 - self._talk_end >= END_FRAMES:
                self._end_speech(told)
        elif self._run:
            self._misses += 1
            if self._misses > ONSET_MISSES:
                self._run = self._misses = 0

    def _end_speech(self, told: list[Heard | AmdEvent]) -> None:
        assert self._started is not None
        end = max(self._talk_end, self._started)
        told.append(Heard(Sound.SPEECH_END, end * HOP_MS, start_ms=self._started * HOP_MS))
        self._spoken += (end - self._started) * HOP_MS
        self._started = None
        self._run = self._misses = 0
        self._quiet_from, self._told_ms = end, 0

    def _not_speech_since(self, start: int, told: list[Heard | AmdEvent]) -> None:
        """What sounded since frame `start` is a tone: it was taken for speech in vain."""
        self._run = self._misses = 0
        if self._started is not None:
            self._talk_end = min(self._talk_end, start)
            self._end_speech(told)

    def _silence(self, now: int, told: list[Heard | AmdEvent]) -> None:
        # A voice that may be beginning is no silence; should it have been none, the silence is told late.
        if self._run:
            return
        quiet_ms = (now + 1 - self._quiet_from) * HOP_MS
        while (step := _next_silence(self._told_ms)) <= quiet_ms:
            self._told_ms = step
            told.append(Heard(Sound.SILENCE, self._quiet_from * HOP_MS + step, for_ms=step))

    # --- beeps ---------------------------------------------------------------------------------------------------

    def _is_beep(self, tone: Tone) -> bool:
        """As `DecisionState.is_beep`: what would be progress or a calling fax before anybody spoke is none after."""
        if tone.kind is ToneKind.BEEP:
            return True
        alike = tone.kind in (ToneKind.PROGRESS, ToneKind.CNG) and not tone.second_hz and tone.beeplike
        return alike and self._spoken >= BEFORE_BEEP_MS

    def _beep(self, tone: Tone) -> AmdEvent:
        """A beep tells nothing of who answered here: it has no result."""
        return AmdEvent(
            EventKind.BEEP,
            tone.end_ms,
            reason=Reason.BEEP,
            beep_ms=tone.start_ms,
            frequency_hz=tone.frequency_hz,
            model_version=self._version,
        )


def _next_silence(told_ms: int) -> int:
    """The next length at which silence is told."""
    return told_ms + (SILENCES_MS[0] if told_ms < SILENCES_MS[-1] else LATER_MS)
