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

THRESHOLD: Final = 0.75
"""From here on it is the same recording. `training.studies.likeness`, 250 sentences of 107 voices: through µ-law or
GSM, 20 dB softer or 2 % faster the same recording scores 0.93 and more, with noise 20 dB below 0.99 in nineteen of
twenty (the faintest 0.71); the same voice with other words 0.57 and less, other voices 0.45 and less."""
CANDIDATES: Final = 6
MIN_FRAMES: Final = 25
"""Half a second: of less nobody could tell."""
RANGE_DB: Final = 25.0
SEARCH_RANGE_DB: Final = 45.0
"""While looking for places: something louder may be near."""
ENVELOPE: Final = 0.35
"""How much loudness counts beside the colour of the sound: all speech is loud and soft in turns."""
STRETCHES: Final = (1.0, 0.99, 1.01, 0.98, 1.02)

_FLOOR_DB: Final = -90.0
_STEPS_A_DB: Final = 2.5
_LOW_HZ, _HIGH_HZ = 250.0, 3_500.0

Fingerprint = NDArray[np.uint8]
Floats = NDArray[np.float32]
Floats64 = NDArray[np.float64]


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
    if len(pcm) < WINDOW:
        return np.zeros((0, BANDS), np.uint8)
    seen: Fingerprint = fingerprints(np.ascontiguousarray(pcm, dtype=np.float32)[None])[0]
    return seen


def fingerprints(sounds: Floats) -> Fingerprint:
    """Sounds of one length together: [N, samples] → [N, frames, BANDS]."""
    frames = np.lib.stride_tricks.sliding_window_view(sounds, WINDOW, axis=1)[:, ::HOP]
    spectrum = np.fft.rfft(frames * _window(), axis=-1)
    power = (spectrum.real**2 + spectrum.imag**2).reshape(-1, WINDOW // 2 + 1) @ _matrix()
    decibels = 10.0 * np.log10(power + 1e-10)
    steps = np.clip(np.rint((decibels - _FLOOR_DB) * _STEPS_A_DB), 0, 255).astype(np.uint8)
    return steps.reshape(len(sounds), -1, BANDS)


def find(reference: Fingerprint, heard: Fingerprint) -> Match:
    """Where in `heard` the whole of `reference` fits best, whatever its level; score 0 when it is not long enough.

    A reference shorter than `MIN_FRAMES` or without any change in it (a tone, silence) matches nothing.
    """
    if len(reference) < MIN_FRAMES or len(reference) > len(heard):
        return NOTHING
    wanted, there = _levelled(reference), _levelled_around(heard, len(reference))
    best = NOTHING
    for stretch in STRETCHES:
        slower = _stretched(wanted, stretch)
        if len(slower) > len(there):
            continue
        for place in _likely(_correlations(slower, there)):
            # Its surroundings may have been louder than what fits: what counts is judged by its own level.
            score = float(_correlations(slower, _levelled(heard[place : place + len(slower)]))[0])
            if score > best.score:
                best = Match(min(1.0, score), place * HOP_MS)
    return best


def _likely(scores: Floats64) -> list[int]:
    """The best places, no two of them neighbours."""
    left = scores.copy()
    places = []
    for _ in range(CANDIDATES):
        place = int(left.argmax())
        if left[place] <= 0.0:
            break
        places.append(place)
        left[max(0, place - 2) : place + 3] = 0.0
    return places


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


def _levelled(seen: Fingerprint) -> Floats64:
    """In dB, the frame's mean weighed less; what lies `RANGE_DB` below the loudest moments is as good as silence."""
    decibels = seen.astype(np.float64) / _STEPS_A_DB
    return _coloured(decibels, np.percentile(decibels, 98, axis=0, keepdims=True))


def _levelled_around(seen: Fingerprint, frames: int) -> Floats64:
    """The same where what is loud differs from place to place: by the loudest of the `frames` around each."""
    decibels = seen.astype(np.float64) / _STEPS_A_DB
    loud, width = decibels, 1
    while width < frames:
        step = min(width, frames - width)
        ahead = np.concatenate((loud[step:], np.repeat(loud[-1:], step, axis=0)))
        loud, width = np.maximum(loud, ahead), width + step
    back = frames // 2
    loud = np.concatenate((np.repeat(loud[:1], back, axis=0), loud))[: len(decibels)]
    return _coloured(decibels, loud, SEARCH_RANGE_DB)


def _coloured(decibels: Floats64, loud: Floats64, range_db: float = RANGE_DB) -> Floats64:
    cut = np.maximum(decibels, loud.max(axis=1, keepdims=True) - range_db)
    weighed: Floats64 = cut - (1.0 - ENVELOPE) * cut.mean(axis=1, keepdims=True)
    return weighed


def _stretched(seen: Floats64, stretch: float) -> Floats64:
    if stretch == 1.0:
        return seen
    length = round(len(seen) * stretch)
    at = np.linspace(0, len(seen) - 1, length)
    below = np.minimum(at.astype(int), len(seen) - 2)
    part = (at - below)[:, None]
    between: Floats64 = seen[below] * (1 - part) + seen[below + 1] * part
    return between


def _correlations(wanted: Floats64, there: Floats64) -> Floats64:
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
