"""What was said on one stream so far, kept for a look at the words. Gone with the verdict."""

from __future__ import annotations

from amd_model.detector.looks import BEFORE_MS

MOST_MS = 8_000
BYTES_A_MS = 16


class Spoken:
    """16-bit samples at 8 kHz, from just before the first word on; what comes after `MOST_MS` is not kept."""

    __slots__ = ("pcm",)

    def __init__(self) -> None:
        self.pcm = bytearray()

    def hear(self, pcm: bytes | bytearray, *, begun: bool) -> None:
        """More of the stream; `begun` once somebody has spoken."""
        if len(self.pcm) < MOST_MS * BYTES_A_MS:
            self.pcm += pcm
        if not begun:
            del self.pcm[: -BEFORE_MS * BYTES_A_MS]
