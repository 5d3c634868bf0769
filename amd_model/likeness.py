"""Does what was heard sound like a recording? A fingerprint of bands, and where in it another one fits. Pure; numpy.

`fingerprint` gives 16 log-mel bands a frame of 20 ms as bytes: 400 bytes a half second, so that a worker can send
them along and the side that holds the reference can look for it. `find` slides the reference over what was heard
and takes the best normalised correlation. What a telephone line does to a prompt hardly moves it: another level
or a coloured line is a constant in each band and falls out, G.711's noise lies below `RANGE_DB`, a sound card's
clock is among `STRETCHES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE: Final = 8_000
HOP: Final = 160
HOP_MS: Final = 20
WINDOW: Final = 320
BANDS: Final = 16

THRESHOLD: Final = 0.7
"""From here on it is the same recording."""
MIN_FRAMES: Final = 25
"""Half a second: of less nobody could tell."""
RANGE_DB: Final = 35.0
STRETCHES: Final = (1.0, 0.99, 1.01, 0.98, 1.02)

_FLOOR_DB: Final = -90.0
_STEPS_A_DB: Final = 2.5
_LOW_HZ, _HIGH_HZ = 250.0, 3_500.0

Fingerprint = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Match:
    """The best place of a reference: `score` 0…1, and where it begins in what was heard (milliseconds)."""

    score: float
    at_ms: int


NOTHING: Final = Match(0.0, 0)


def fingerprint(pcm: Floats) -> Fingerprint:
    """8 kHz samples in −1…1 → [frames, BANDS], a frame each `HOP` samples; shorter than a window: none.

    Frame *n* covers `WINDOW` samples from `n * HOP` on. A value is 0.4 dB; 0 is −90 dBFS.
    """
    count = (len(pcm) - WINDOW) // HOP + 1
    if count <= 0:
        return np.zeros((0, BANDS), np.uint8)
    samples = np.ascontiguousarray(pcm, dtype=np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP][:count]
    return bands(frames)


def bands(frames: Floats) -> Fingerprint:
    """[frames, WINDOW] samples → [frames, BANDS]."""
    spectrum = np.fft.rfft(frames * _window(), axis=-1)
    power = (spectrum.real**2 + spectrum.imag**2) @ _matrix()
    decibels = 10.0 * np.log10(power + 1e-10)
    return np.clip(np.rint((decibels - _FLOOR_DB) * _STEPS_A_DB), 0, 255).astype(np.uint8)


def find(reference: Fingerprint, heard: Fingerprint) -> Match:
    """Where in `heard` the whole of `reference` fits best, whatever its level; score 0 when it is not long enough.

    A reference shorter than `MIN_FRAMES` or without any change in it (a tone, silence) matches nothing.
    """
    if len(reference) < MIN_FRAMES or not len(heard):
        return NOTHING
    there = _levelled(heard)
    best = NOTHING
    for stretch in STRETCHES:
        wanted = _stretched(_levelled(reference), stretch)
        if len(wanted) > len(there):
            continue
        scores = _correlations(wanted, there)
        place = int(scores.argmax())
        if scores[place] > best.score:
            best = Match(min(1.0, float(scores[place])), place * HOP_MS)
    return best


@cache
def _window() -> Floats:
    return (np.hanning(WINDOW + 1)[:-1] * (4.0 / WINDOW)).astype(np.float32)


@cache
def _matrix() -> Floats:
    """[bins, BANDS] triangles, evenly spaced in mel."""
    low, high = (2_595.0 * np.log10(1.0 + hz / 700.0) for hz in (_LOW_HZ, _HIGH_HZ))
    edges = 700.0 * (10.0 ** (np.linspace(low, high, BANDS + 2) / 2_595.0) - 1.0)
    bins = np.arange(WINDOW // 2 + 1) * (SAMPLE_RATE / WINDOW)
    rise = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    return np.clip(np.minimum(rise, fall), 0.0, None).astype(np.float32)


def _levelled(seen: Fingerprint) -> NDArray[np.float64]:
    """In dB; what lies more than `RANGE_DB` below a band's loud moments is as good as silence."""
    decibels = seen.astype(np.float64) / _STEPS_A_DB
    loud = np.percentile(decibels, 98, axis=0)
    floor: NDArray[np.float64] = np.maximum(loud - RANGE_DB, loud.max() - RANGE_DB)
    return np.maximum(decibels, floor)


def _stretched(seen: NDArray[np.float64], stretch: float) -> NDArray[np.float64]:
    if stretch == 1.0:
        return seen
    length = round(len(seen) * stretch)
    at = np.linspace(0, len(seen) - 1, length)
    below = np.minimum(at.astype(int), len(seen) - 2)
    part = (at - below)[:, None]
    between: NDArray[np.float64] = seen[below] * (1 - part) + seen[below + 1] * part
    return between


def _correlations(wanted: NDArray[np.float64], there: NDArray[np.float64]) -> NDArray[np.float64]:
    """At each place: Pearson's correlation of all bands at once, each band freed of its own mean."""
    length, places = len(wanted), len(there) - len(wanted) + 1
    wanted = wanted - wanted.mean(axis=0)
    there = there - there.mean(axis=0)
    size = 1 << (len(there) + length - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(there, size, axis=0) * np.fft.rfft(wanted[::-1], size, axis=0), size, axis=0)
    dots = product[length - 1 : length - 1 + places].sum(axis=1)
    zero = np.zeros((1, there.shape[1]))
    sums = np.concatenate((zero, there.cumsum(axis=0)))
    squares = np.concatenate((zero, (there**2).cumsum(axis=0)))
    within = sums[length:] - sums[:-length]
    energy = (squares[length:] - squares[:-length] - within**2 / length).sum(axis=1)
    own = float((wanted**2).sum())
    # Neither has anything to compare when it hardly changes: a decibel on average is a line's noise.
    least = length * wanted.shape[1] * 1.0
    good = energy > least
    scores = np.zeros(places)
    if own > least:
        np.divide(dots, np.sqrt(np.maximum(energy, least) * own), out=scores, where=good)
    return np.maximum(scores, 0.0)
