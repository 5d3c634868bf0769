"""Signalling sounds, synthesised from their published figures: beeps, fax, call progress, SIT, DTMF.

No recordings of these are needed. Frequencies and cadences: ITU-T T.30, V.8, V.21, E.180 and its supplement
2, Q.23. Levels are set by the caller (``compose``); here every sound has an RMS of about 0.1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from amd_model.detector.spec import SAMPLE_RATE
from training.telephone.channel import Audio, Random

_RMS = 0.1

RINGBACKS = {
    "us": ((440.0, 480.0), (2.0, 4.0)),
    "uk": ((400.0, 450.0), (0.4, 0.2, 0.4, 2.0)),
    "eu": ((425.0,), (1.0, 4.0)),
    "fr": ((440.0,), (1.5, 3.5)),
    "jp": ((400.0, 416.0), (1.0, 2.0)),
}
BUSY = {
    "us": ((480.0, 620.0), (0.5, 0.5)),
    "us_fast": ((480.0, 620.0), (0.25, 0.25)),
    "uk": ((400.0,), (0.375, 0.375)),
    "eu": ((425.0,), (0.5, 0.5)),
    "eu_fast": ((425.0,), (0.24, 0.24)),
}
_DTMF = {d: (r, c) for r, row in ((697, "123A"), (770, "456B"), (852, "789C"), (941, "*0#D"))
         for c, d in zip((1209, 1336, 1477, 1633), row, strict=True)}  # fmt: skip


def silence(seconds: float) -> Audio:
    """Nothing for so long."""
    return np.zeros(max(0, int(seconds * SAMPLE_RATE)), np.float32)


def tone(frequencies: Sequence[float], seconds: float, ramp_s: float = 0.004) -> Audio:
    """Equal sines with short ramps."""
    count = max(1, int(seconds * SAMPLE_RATE))
    time = np.arange(count) / SAMPLE_RATE
    wave = np.sum([np.sin(2 * np.pi * f * time) for f in frequencies], axis=0)
    ramp = np.minimum(
        1.0, np.minimum(np.arange(count) + 1, np.arange(count)[::-1] + 1) / max(1.0, ramp_s * SAMPLE_RATE)
    )
    return np.asarray(wave * ramp * _RMS * np.sqrt(2.0 / len(frequencies)), dtype=np.float32)


def cadence(frequencies: Sequence[float], on_off: Sequence[float], seconds: float, phase: float = 0.0) -> Audio:
    """A tone in its rhythm for ``seconds``, entered ``phase`` seconds into it."""
    parts: list[Audio] = []
    total = 0.0
    while total < seconds + phase:
        for index, length in enumerate(on_off):
            parts.append(silence(length) if index % 2 else tone(frequencies, length))
            total += length
    start = int(phase * SAMPLE_RATE)
    return np.concatenate(parts)[start : start + int(seconds * SAMPLE_RATE)]


def beep(random: Random) -> tuple[Audio, tuple[float, ...]]:
    """A voicemail's beep and its frequencies: 350 to 2,000 Hz, 0.12 to 1.5 s, one in five of two tones."""
    seconds = float(np.exp(random.uniform(np.log(0.12), np.log(1.2))))
    low = float(random.uniform(350.0, 1_400.0) if random.random() < 0.8 else random.uniform(1_400.0, 2_000.0))
    if random.random() < 0.2:
        pair = (low, min(2_000.0, low * float(random.uniform(1.25, 1.9))))
        return tone(pair, seconds), pair
    return tone((low,), seconds, ramp_s=float(random.uniform(0.001, 0.02))), (low,)


def ced(random: Random, seconds: float) -> Audio:
    """Called-station tone, 2,100 ± 15 Hz; plain, or as ANSam with 15 Hz modulation and a reversal each 450 ms."""
    count = int(seconds * SAMPLE_RATE)
    time = np.arange(count) / SAMPLE_RATE
    phase = np.zeros(count)
    amplitude = np.ones(count)
    kind = random.random()
    if kind < 0.6:
        phase = np.pi * np.floor(time / 0.45) if kind < 0.5 else phase
        amplitude = 1.0 + 0.2 * np.sin(2 * np.pi * 15.0 * time) if kind > 0.1 else amplitude
    frequency = 2_100.0 + random.uniform(-12.0, 12.0)
    wave = amplitude * np.sin(2 * np.pi * frequency * time + phase)
    return np.asarray(wave * _RMS * np.sqrt(2.0), dtype=np.float32)


def fsk(bits: Sequence[int], mark: float = 1_650.0, space: float = 1_850.0) -> Audio:
    """V.21 at 300 bit/s with continuous phase; 1 is the mark."""
    per_bit = SAMPLE_RATE / 300.0
    edges = np.arange(int(len(bits) * per_bit)) / per_bit
    frequency = np.where(np.asarray(bits)[edges.astype(int)] > 0, mark, space)
    wave = np.sin(2 * np.pi * np.cumsum(frequency) / SAMPLE_RATE)
    return np.asarray(wave * _RMS * np.sqrt(2.0), dtype=np.float32)


def v21_preamble(random: Random, seconds: float) -> Audio:
    """HDLC flags (0x7E), then random frame bits, as a called fax sends its DIS."""
    flags = [0, 1, 1, 1, 1, 1, 1, 0] * int(min(seconds, 1.0) * 300 / 8)
    rest = random.integers(0, 2, max(0, int(seconds * 300) - len(flags))).tolist()
    return fsk(flags + rest)


def fax(random: Random, seconds: float, called: bool = False) -> Audio:
    """What a called (or, unless that is said, a calling) fax machine sends for ``seconds``."""
    kind = random.random()
    if called:
        kind = 0.2 + 0.8 * kind
    if kind < 0.2:  # CNG: 0.5 s each 3.5 s
        wave = cadence((1_100.0 + random.uniform(-30, 30),), (0.5 * random.uniform(0.9, 1.1), 3.0), seconds)
    elif kind < 0.35:  # straight to the preamble
        wave = np.concatenate((silence(random.uniform(0, 0.3)), v21_preamble(random, random.uniform(1.5, 3.0))))
    else:
        wave = np.concatenate((
            ced(random, random.uniform(2.6, 4.0)), silence(0.075), v21_preamble(random, random.uniform(1.5, 2.5))
        ))  # fmt: skip
    if len(wave) < seconds * SAMPLE_RATE and random.random() < 0.7:
        wave = np.concatenate((wave, silence(random.uniform(1.0, 3.0)), v21_preamble(random, 2.0)))
    return wave


def progress(random: Random, seconds: float) -> Audio:
    """Ringback, busy or dial tone, from one of the national plans."""
    kind = random.random()
    if kind < 0.55:
        frequencies, rhythm = list(RINGBACKS.values())[random.integers(len(RINGBACKS))]
    elif kind < 0.9:
        frequencies, rhythm = list(BUSY.values())[random.integers(len(BUSY))]
    else:
        frequencies, rhythm = ((350.0, 440.0), (60.0,)) if random.random() < 0.5 else ((425.0,), (60.0,))
    return cadence(frequencies, rhythm, seconds, float(random.uniform(0.0, sum(rhythm[:2]))))


def ring_tail(random: Random) -> Audio:
    """The end of a ringback, cut by the answer."""
    frequencies, _ = list(RINGBACKS.values())[random.integers(len(RINGBACKS))]
    return tone(frequencies, float(random.uniform(0.05, 0.9)))


def melody(random: Random, seconds: float) -> Audio:
    """Music nobody owns: a random tune with chords and a beat, so that hold music is more than a few pieces."""
    count = int(seconds * SAMPLE_RATE)
    out = np.zeros(count, np.float32)
    beat = float(random.uniform(0.2, 0.7))
    scale = np.array([0, 2, 4, 5, 7, 9, 11] if random.random() < 0.6 else [0, 2, 3, 5, 7, 8, 10])
    root = float(random.uniform(110.0, 330.0))
    partials = random.uniform(0.0, 1.0, random.integers(1, 8)) / np.arange(1, 9)[: random.integers(1, 9)].max()
    decay, chords, drums = float(random.uniform(0.5, 6.0)), random.random() < 0.7, random.random() < 0.5
    degree = 0
    for start in np.arange(0.0, seconds, beat):
        at = int(start * SAMPLE_RATE)
        degree = int(np.clip(degree + random.integers(-3, 4), -4, 11))
        notes = [degree] + ([degree - 7, degree - 5, degree - 3] if chords else [])
        length = min(count - at, int(beat * float(random.choice([0.5, 1.0, 1.0, 2.0])) * SAMPLE_RATE))
        if random.random() < 0.15 or length < 80:
            continue
        time = np.arange(length) / SAMPLE_RATE
        release = np.minimum(1.0, (length - np.arange(length)) / 80)
        shape = np.minimum(1.0, time / 0.01) * np.exp(-decay * time) * release
        for note in notes:
            hertz = root * 2.0 ** ((scale[note % 7] + 12 * (note // 7)) / 12.0)
            for harmonic, weight in enumerate(np.concatenate(([1.0], partials)), start=1):
                if hertz * harmonic < 3_800.0:
                    wave = weight * shape * np.sin(2 * np.pi * hertz * harmonic * time)
                    out[at : at + length] += wave.astype(np.float32)
        if drums:
            hit = min(length, 900)
            out[at : at + hit] += (random.standard_normal(hit) * np.exp(-np.arange(hit) / 150)).astype(np.float32)
    level = float(np.sqrt(np.mean(out**2))) or 1.0
    return out * np.float32(_RMS / level)


def sit(random: Random) -> Audio:
    """Special information tones before an intercept."""
    first = float(random.choice([913.8, 985.2]))
    second = float(random.choice([1_370.6, 1_428.5]))
    lengths = random.choice([0.276, 0.380], 3)
    return np.concatenate([tone((f,), float(s)) for f, s in zip((first, second, 1_776.7), lengths, strict=True)])


def dtmf(digits: str, on_s: float = 0.1, off_s: float = 0.1) -> Audio:
    """Key presses."""
    return np.concatenate([np.concatenate((tone(_DTMF[d], on_s), silence(off_s))) for d in digits])
