"""Sound files as the detector hears them: 8 kHz, mono. What libsndfile reads is taken, the rest refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from amd_model.detector.spec import SAMPLE_RATE

MAX_SECONDS: Final = 3_600
_ZERO_CROSSINGS: Final = 16
_BLOCK: Final = 20_000


class AudioError(ValueError):
    """A file that cannot be analysed; the message names it and says why."""


def read(path: str | Path) -> NDArray[np.float32]:
    """A file's samples in −1…1 at 8 kHz; channels are averaged. Raises AudioError."""
    name = Path(path).name
    try:
        with soundfile.SoundFile(path) as sound:
            rate = int(sound.samplerate)
            if sound.frames > MAX_SECONDS * rate:
                raise AudioError(f"{name}: longer than {MAX_SECONDS} s, which is no answer to a call")
            samples = sound.read(dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        raise AudioError(f"{name}: not readable as audio: {error}") from error
    if not len(samples):
        raise AudioError(f"{name}: holds no samples")
    if not np.isfinite(samples).all():
        raise AudioError(f"{name}: holds samples that are not numbers")
    return resample(samples.mean(axis=1, dtype=np.float32), rate)


def resample(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """From ``rate`` to 8 kHz by windowed sinc, cut off at 0.95 of the lower half rate. Raises AudioError."""
    if rate == SAMPLE_RATE:
        return samples
    if not 1_000 <= rate <= 384_000:
        raise AudioError(f"a sample rate of {rate} Hz is not supported (1,000 to 384,000)")
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
