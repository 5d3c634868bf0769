"""A recording as the line that a person recognises a call by: an SVG with marks where things happened. Pure; numpy."""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np
from numpy.typing import NDArray

WIDTH: Final = 900
HEIGHT: Final = 120
COLUMNS: Final = 450
MAX_MARKS: Final = 100
_TOP, _MIDDLE = 16, 66
"""Where the marks' numbers end, and the line of silence is."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something at a time (seconds since the answer). `kind` is a CSS class; `number` refers to the timeline's row."""

    at_s: float
    number: int
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Sounding:
    """A recording's peaks, COLUMNS of (low, high) in -1…1, and its length in seconds."""

    peaks: NDArray[np.float32]
    seconds: float


def read(wav: bytes) -> Sounding | None:
    """A WAV file's peaks; None for what is no PCM of 16 bits."""
    try:
        with wave.open(io.BytesIO(wav)) as file:
            if file.getsampwidth() != 2 or not file.getframerate():
                return None
            channels, rate = file.getnchannels(), file.getframerate()
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    except (wave.Error, EOFError, ValueError):
        return None
    samples = samples[: len(samples) // channels * channels]
    if not len(samples):
        return None
    mono = samples.reshape(-1, channels)
    low, high = mono.min(axis=1), mono.max(axis=1)
    starts = np.linspace(0, len(mono), min(COLUMNS, len(mono)), endpoint=False).astype(int)
    peaks = np.stack((np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)), axis=1) / np.float32(32_768)
    return Sounding(peaks.astype(np.float32), len(mono) / rate)


def svg(sounding: Sounding | None, marks: Sequence[Mark]) -> str:
    """The picture; without a recording only the marks on a line."""
    last = max((mark.at_s for mark in marks), default=0.0)
    seconds = max(last, sounding.seconds if sounding is not None else 0.0, 0.1)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="waveform of {seconds:.1f} seconds">',
        f'<line class="rest" x1="0" x2="{WIDTH}" y1="{_MIDDLE}" y2="{_MIDDLE}"/>',
    ]
    if sounding is not None:
        parts.append(f'<path class="wave" d="{_outline(sounding, seconds)}"/>')
    parts += _scale(seconds)
    for mark in marks[:MAX_MARKS]:
        x = min(max(mark.at_s / seconds, 0.0), 1.0) * (WIDTH - 2) + 1
        text_x = min(max(x, 8.0), WIDTH - 8.0)
        parts.append(
            f'<g class="mark {escape(mark.kind)}"><title>{escape(mark.title)}</title>'
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{HEIGHT - 14}"/>'
            f'<text x="{text_x:.1f}" y="{_TOP - 4}" text-anchor="middle">'
            f"{mark.number}</text></g>"
        )
    parts.append("</svg>")
    return "".join(parts)


def _outline(sounding: Sounding, seconds: float) -> str:
    """Along the upper peaks and back along the lower ones."""
    room = _MIDDLE - _TOP - 4
    step = WIDTH * sounding.seconds / seconds / len(sounding.peaks)
    upper = [f"{n * step:.1f},{_MIDDLE - high * room:.1f}" for n, (_, high) in enumerate(sounding.peaks)]
    lower = [f"{n * step:.1f},{_MIDDLE - low * room:.1f}" for n, (low, _) in enumerate(sounding.peaks)]
    return "M" + " L".join([*upper, *reversed(lower)]) + " Z"


def _scale(seconds: float) -> list[str]:
    every = next((step for step in (1, 2, 5, 10, 30, 60, 300) if seconds / step <= 15), 600)
    return [
        f'<text class="scale" x="{at / seconds * WIDTH:.1f}" y="{HEIGHT - 3}">{at} s</text>'
        for at in range(0, int(seconds) + 1, every)
    ]
