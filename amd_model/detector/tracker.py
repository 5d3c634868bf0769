"""Follows steady frequencies, one stream at a time, from the tone measures that come with the features.

Pure, no torch: a frame without a tone costs a comparison or two, and a batch can be asked first which of its ticks
are worth a look (``may_begin``), so thousands of streams fit on a core. It stands on its own; where the network's
probabilities of speech and of a tone are given, it is stricter inside speech and laxer on a quiet line. What a
frequency that it has followed means is `amd_model.detector.tones`' to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from amd_model.detector import tones
from amd_model.detector.spec import FRAMES_PER_TICK, HOP_MS, TICK_MS, TONE_MEASURES
from amd_model.detector.tones import Tone, ToneKind

# Share of the power that the peaks must hold for a frame to be tonal.
ENTER_SHARE: Final = 0.72
STAY_SHARE: Final = 0.5
# Frames further than this from a run's mean end it. Inside a run, a tone's deviation stays below STEADY_* and
# its level's below STEADY_LEVEL; vowels and notes exceed one of them (measured on the dev split: beeps' median
# deviation 0.04 Hz, 95th percentile 2.3 Hz; of speech's tonal stretches 3 to 6 Hz and 3 dB).
DRIFT_KHZ: Final = 0.010
STEADY_KHZ: Final = 0.0022
STEADY_PAIR_KHZ: Final = 0.0015
STEADY_LEVEL: Final = 0.12  # 2.4 dB
SHORT_FRAMES: Final = 12
SHORT_SHARE: Final = 0.9
LONG_SHARE: Final = 0.68
MIN_LEVEL: Final = -1.25  # −75 dBFS: below this a share means nothing
MIN_FRAMES: Final = 5
MAX_BEEP_FRAMES: Final = 175  # 3.5 s: longer is a line fault or a fax
GAP_FRAMES: Final = 2  # a lost packet, a phase reversal
RESUME_MS: Final = 100
FSK_SHARE: Final = 0.8
FSK_FRAMES: Final = 20
CED_FRAMES: Final = 20


_NOT_ASKED: Final = (0.4,) * FRAMES_PER_TICK
QUIET: Final = 0.2  # mean speech probability below which a steady stretch is no vowel
LEAST_TONE: Final = 0.12  # the network's probability that a beep's loudest tick must reach
PAIR_SHARE: Final = 0.25
# Where the network is as sure as this that the tick holds a tone, noise and lost packets are forgiven: the marks
# of a beep that they blur (its stop, its purity, its steadiness) are asked for less.
SURE_TONE: Final = 0.9
SURE_STEADY: Final = 1.6
SURE_GAP_FRAMES: Final = 8
SURE_DRIFT_KHZ: Final = 0.05
_ROUNDING: Final = 1e-4  # a batch is compared in single precision, a stream in double


def may_begin(measures: NDArray[np.float32]) -> NDArray[np.bool_]:
    """[B, FRAMES_PER_TICK · TONE_MEASURES] → [B]: whether a tick could change anything for an idle ``ToneTracker``.

    It could if a run of three frames, or one that lasts to the tick's end, may begin in it: shorter ones leave nothing
    behind. Looking at a whole batch costs a fraction of looking at each stream.
    """
    first, share, second, second_share, _, fsk = measures.reshape(-1, FRAMES_PER_TICK, TONE_MEASURES).transpose(2, 0, 1)
    paired = second_share > PAIR_SHARE * share
    place = np.where(paired, np.minimum(first, second), first)
    held = np.where(paired, share + second_share, share) + _ROUNDING
    enters, stays = held > ENTER_SHARE, held[:, 1:] > STAY_SHARE
    stays &= np.abs(np.diff(place)) < 2 * DRIFT_KHZ
    begins: NDArray[np.bool_] = enters[:, -1] | (enters[:, -2] & stays[:, -1])
    begins |= (enters[:, :-2] & stays[:, :-1] & stays[:, 1:]).any(axis=1)
    begins |= (fsk > FSK_SHARE - _ROUNDING).any(axis=1)
    return begins


class ToneTracker:
    """Follows one stream. Mutable on purpose: it is touched fifty times a second in thousands of streams."""

    __slots__ = (
        "_count",
        "_first",
        "_frame",
        "_fsk",
        "_gap",
        "_held",
        "_last_end",
        "_last_khz",
        "_last_start",
        "_level",
        "_second",
        "_settled",
        "_share",
        "_spread",
        "_start",
        "_talk",
        "_talk_now",
        "_told",
        "_tone",
        "_tone_now",
    )

    def __init__(self) -> None:
        self._frame = 0
        self._count = 0  # tonal frames in the run that is open, 0 when none is
        self._start = 0
        self._gap = 0
        self._first = 0.0
        self._second = 0.0
        self._share = 0.0
        self._level = 0.0
        self._told = False
        self._held = (0.0, 0.0)  # the newest frame's frequency and level: not settled until another follows it
        self._settled = 0
        self._spread = (0.0, 0.0, 0.0, 0.0)  # sums and sums of squares of settled deviations from the first mean
        self._talk = self._talk_now = 0.0
        self._tone = self._tone_now = 0.0
        self._fsk = 0
        self._last_end = -1_000
        self._last_khz = 0.0
        self._last_start = 0

    @property
    def active(self) -> bool:
        """True while a tone long enough to be one is sounding."""
        return self._count >= MIN_FRAMES

    @property
    def idle(self) -> bool:
        """True when a tick none of whose frames could begin a tone (``may_begin``) would change nothing."""
        return not self._count and not self._fsk

    def skip(self) -> None:
        """A tick that an idle tracker need not look at."""
        self._frame += FRAMES_PER_TICK

    def feed(self, measures: Sequence[float], speech: Sequence[float] = _NOT_ASKED, tone: float = 0.5) -> list[Tone]:
        """One tick's measures (FRAMES_PER_TICK × TONE_MEASURES, frame by frame) → the tones that became known.

        ``speech`` and ``tone``: the probability that somebody speaks, a frame each, and that the tick holds a tone.
        """
        found: list[Tone] = []
        for at in range(0, FRAMES_PER_TICK * TONE_MEASURES, TONE_MEASURES):
            first, share, second, second_share, level, fsk = measures[at : at + TONE_MEASURES]
            if fsk < FSK_SHARE or level < MIN_LEVEL:
                self._fsk = max(0, self._fsk - 4)
            elif share < 0.9:  # a pure tone that happens to lie in the band is no modem
                self._fsk += 1
                if self._fsk == FSK_FRAMES:
                    start = max(0, self._now() - FSK_FRAMES * HOP_MS)
                    found.append(Tone(ToneKind.V21, start, self._now(), 1_750.0))
            if self._count or share + second_share > ENTER_SHARE:
                # A pair is two peaks within 6 dB when it begins; it is kept in order of frequency.
                # Only a run that began as a pair looks at the second: in noise it is anything.
                paired = self._second > 0.0 if self._count > 2 else second_share > PAIR_SHARE * share
                if paired and second_share > 0.06 * share:
                    share += second_share
                    if second < first:
                        first, second = second, first
                else:
                    second = 0.0
                self._talk_now = speech[at // TONE_MEASURES]
                self._tone_now = tone
                self._follow(first, second, share, level, found)
            self._frame += 1
        return found

    def finish(self) -> list[Tone]:
        """The stream ended: a tone that was sounding is over."""
        found: list[Tone] = []
        self._close(found, -3.0)
        return found

    def _now(self) -> int:
        """The middle of the frame at hand, in milliseconds."""
        return self._frame * HOP_MS

    def _follow(self, first: float, second: float, share: float, level: float, found: list[Tone]) -> None:
        count = self._count
        if count:
            off, usual = first - self._first, self._level
            same = (
                -DRIFT_KHZ < off < DRIFT_KHZ
                and share > STAY_SHARE
                and level > usual - 0.3  # 6 dB below the run's mean it has stopped
                and ((second > 0.0) == (self._second > 0.0) and abs(second - self._second) < 2 * DRIFT_KHZ)
            )
            if same:
                self._count = longer = count + 1
                self._settle(first, level)
                if self._tone_now > self._tone:
                    self._tone = self._tone_now
                self._talk += (self._talk_now - self._talk) / longer
                self._gap = 0
                self._first += off / longer
                self._second += (second - self._second) / longer
                self._level = usual + (level - usual) / longer
                self._share += (share - self._share) / longer
                if longer == CED_FRAMES and not self._told and tones.is_ced(self._first, self._second):
                    self._told = True
                    found.append(self._told_as(ToneKind.CED, self._now()))
                return
            if count < 3:
                self._count = 0  # too short to leave anything behind
            else:
                # A frame that holds a tone's first or last few milliseconds is still of it, only less pure.
                self._gap += 1
                if self._gap <= GAP_FRAMES:
                    return
                # A concealed packet repeats a piece of the tone that does not fit its neighbours: it wavers, as loud.
                if (
                    self._gap <= SURE_GAP_FRAMES
                    and count >= MIN_FRAMES
                    and self._tone_now >= SURE_TONE
                    and share > STAY_SHARE
                    and abs(off) < SURE_DRIFT_KHZ
                    and level > usual - 0.3
                ):
                    return
                self._close(found, level)
        if share > ENTER_SHARE and level > MIN_LEVEL:
            self._count = 1
            self._gap = 0
            # Concealed packets can cut a tone in two: what goes on at the same place within 0.1 s began before them.
            resumed = abs(first - self._last_khz) < DRIFT_KHZ and self._now() - self._last_end <= RESUME_MS
            self._start = self._last_start if resumed else self._frame
            self._first, self._second, self._level, self._share = first, second, level, share
            self._told = False
            self._talk, self._tone = self._talk_now, self._tone_now
            self._held = (first, level)
            self._settled = 0
            self._spread = (0.0, 0.0, 0.0, 0.0)

    def _settle(self, first: float, level: float) -> None:
        """Count the frame before this one; the run's first two and last, which hold edges, are never counted."""
        if self._count > 3:
            f, v = self._held[0] - self._first, self._held[1] - self._level
            a, b, c, d = self._spread
            self._spread = (a + f, b + f * f, c + v, d + v * v)
            self._settled += 1
        self._held = (first, level)

    def _steady(self, count: int, sure: bool) -> bool:
        n = self._settled
        if n < 2:
            return False
        a, b, c, d = self._spread
        # Luck is likelier in a short stretch, so more is asked of it.
        strict = 2.5 if self._talk < QUIET else 0.5 if count < SHORT_FRAMES else 0.8
        if sure:
            strict = max(strict, SURE_STEADY)
        limit = (STEADY_PAIR_KHZ if self._second else STEADY_KHZ) * strict
        return b / n - (a / n) ** 2 <= limit**2 and d / n - (c / n) ** 2 <= (STEADY_LEVEL * strict) ** 2

    def _close(self, found: list[Tone], level_after: float) -> None:
        count, self._count = self._count, 0
        if count < 4:
            return
        end = self._now() - self._gap * HOP_MS
        kind = self._kind(count, level_after)
        if kind is not None and not self._told:
            found.append(self._told_as(kind, end, self._is_beep(count, level_after)))
        self._last_start, self._last_end, self._last_khz = self._start, end, self._first

    def _kind(self, count: int, level_after: float) -> ToneKind | None:
        first, second = self._first, self._second
        if count < MIN_FRAMES or self._told:
            return None
        if tones.is_progress(first, second, count):
            return ToneKind.PROGRESS
        if tones.is_sit(first, second, self._last_khz, self._start * HOP_MS - self._last_end):
            return ToneKind.SIT
        if tones.is_dtmf(first, second):
            return None
        if tones.is_cng(first, second, count):
            return ToneKind.CNG
        return ToneKind.BEEP if self._is_beep(count, level_after) else None

    def _is_beep(self, count: int, level_after: float) -> bool:
        first, second = self._first, self._second
        if self._tone < LEAST_TONE:
            return False
        sure = self._tone >= SURE_TONE
        if count > MAX_BEEP_FRAMES or not 0.345 <= first <= 2.02 or not self._steady(count, sure):
            return False
        if second and self._share < 0.97 and count < 2 * SHORT_FRAMES and tones.are_harmonics(first, second):
            return False
        if self._share < (SHORT_SHARE if count < SHORT_FRAMES else LONG_SHARE) - (0.12 if sure else 0.0):
            return False
        # A note of music or a vowel is followed by sound as loud; a beep stops, though a television may go on.
        return sure or level_after <= self._level - 0.2

    def _told_as(self, kind: ToneKind, end_ms: int, beeplike: bool = False) -> Tone:
        return Tone(
            kind,
            self._start * HOP_MS,
            max(end_ms, self._start * HOP_MS + HOP_MS),
            round(self._first * 1000.0, 1),
            round(self._second * 1000.0, 1),
            beeplike,
        )


assert HOP_MS * FRAMES_PER_TICK == TICK_MS
