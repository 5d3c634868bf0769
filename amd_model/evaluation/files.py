"""Sound files as the detector hears them: 8 kHz, mono."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from amd_model.detector.spec import SAMPLE_RATE
from amd_model.sound import files
from amd_model.sound.files import AudioError, Headerless

_ZERO_CROSSINGS: Final = 16
_BLOCK: Final = 20_000


def read(path: str | Path, otherwise: Headerless | None = None) -> NDArray[np.float32]:
    """A file's samples in −1…1 at 8 kHz; channels are averaged. Raises AudioError."""
    sound = files.read(path, otherwise=otherwise)
    if not len(sound.samples):
        raise AudioError(Path(path).name, "holds no samples")
    return resample(sound.samples, sound.rate)


def resample(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """From ``rate`` to 8 kHz by windowed sinc, cut off at 0.95 of the lower half rate."""
    if rate == SAMPLE_RATE:
        return samples
    step = rate / SAMPLE_RATE
    cutoff = 0.95 * min(1.0, 1.0 / step)
    half = int(np.ceil(_ZERO_CROSSINGS / cutoff))
    padded = np.pad(samples, (half, half + int(step) + 1))
    count = int(len(samples) / step)
    taps = np.arange(-half + 1, half + 1)
    out = np.empty(count, np.float32)
    for start in range(0, count, _BLOCK):  # in blocks: a table of every tap of a long file would not fit
        place = np.arange(start, min(count, start + _BLOCK)) * step
        whole = np.floor(place).astype(np.int64)
        distance = taps[None] - (place - whole)[:, None]
        window = np.cos(np.pi / 2 * np.clip(distance / half, -1, 1)) ** 2
        kernel = cutoff * np.sinc(cutoff * distance) * window
        out[start : start + len(place)] = (padded[whole[:, None] + taps[None] + half] * kernel).sum(axis=1)
    return out


def to_pcm(samples: NDArray[np.float32]) -> bytes:
    """Samples as the 16-bit little-endian bytes that a tap would send."""
    return bytes(np.clip(np.rint(samples * 32_768.0), -32_768, 32_767).astype("<i2").tobytes())
