"""Bytes of 16-bit little-endian PCM → whole ticks of samples, whatever the chunks were.

Pure and I/O-free. mod_audio_fork sends frames of any length, odd ones too, so the odd byte is carried.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from amd_model.detector.spec import CONTEXT_SAMPLES, TICK_SAMPLES

_WINDOW_BYTES = 2 * (CONTEXT_SAMPLES + TICK_SAMPLES)
_TICK_BYTES = 2 * TICK_SAMPLES
_CONTEXT_BYTES = 2 * CONTEXT_SAMPLES


class TickBuffer:
    """Collects one stream's bytes; mutable on purpose (16 kB/s a stream is not copied for purity's sake)."""

    __slots__ = ("_bytes",)

    def __init__(self) -> None:
        # A stream starts with silence behind it.
        self._bytes = bytearray(_CONTEXT_BYTES)

    def __len__(self) -> int:
        """Bytes that wait for the rest of their tick."""
        return len(self._bytes) - _CONTEXT_BYTES

    def feed(self, pcm: bytes | bytearray | memoryview) -> None:
        """Take bytes of any length."""
        self._bytes += pcm

    def take(self) -> NDArray[np.float32] | None:
        """The next window of context and tick [960] in −1…1, or None until a whole tick has come."""
        if len(self._bytes) < _WINDOW_BYTES:
            return None
        window = to_float(bytes(self._bytes[:_WINDOW_BYTES]))
        del self._bytes[:_TICK_BYTES]
        return window


def to_float(pcm: bytes) -> NDArray[np.float32]:
    """16-bit little-endian samples as float32 in −1…1; an odd last byte is ignored."""
    return np.frombuffer(pcm[: len(pcm) & ~1], dtype="<i2").astype(np.float32) / np.float32(32_768.0)
