"""Who is heard when: one direction of a call's audio on the line of simulated time. Pure.

A `Line` holds what one side plays as pieces of PCM (16-bit little-endian, 8 kHz, mono), each at its first sample;
where nothing plays there is silence. Positions are samples since the call was created. Reading never consumes, so
any number of taps and recorders may read the same stretch.
"""

from __future__ import annotations

from collections import deque

RATE = 8000
FRAME_SAMPLES = 160
FRAME_BYTES = 320
FRAME_SECONDS = 0.02

_SILENCE = bytes(2 * RATE)


def silence(samples: int) -> bytes:
    """That many samples of digital silence; short stretches share one buffer."""
    return _SILENCE[: 2 * samples] if samples <= RATE else bytes(2 * samples)


class Line:
    """One direction of a call. Pieces do not overlap: a new one cuts what was still playing."""

    __slots__ = ("_pieces", "keep_samples")

    def __init__(self, keep_seconds: float = 5.0) -> None:
        self._pieces: deque[tuple[int, int, bytes]] = deque()
        self.keep_samples = int(keep_seconds * RATE)
        """How much of the past stays readable; a tap that lags more has lost it anyway."""

    def play(self, at: int, pcm: bytes) -> None:
        """Begin to play `pcm` at sample `at`."""
        self.cut(at)
        while self._pieces and self._pieces[0][1] < at - self.keep_samples:
            self._pieces.popleft()
        if pcm:
            self._pieces.append((at, at + len(pcm) // 2, pcm))

    def cut(self, at: int) -> None:
        """Stop whatever would sound from sample `at` on."""
        while self._pieces and self._pieces[-1][0] >= at:
            self._pieces.pop()
        if self._pieces and self._pieces[-1][1] > at:
            start, _, pcm = self._pieces.pop()
            self._pieces.append((start, at, pcm))

    def playing_at(self, at: int) -> bool:
        return any(start <= at < end for start, end, _ in self._pieces)

    def last_end(self) -> int:
        """The sample after the last one that was played or is planned; 0 when nothing ever was."""
        return self._pieces[-1][1] if self._pieces else 0

    def read(self, start: int, samples: int) -> bytes:
        """The `samples` from `start` on."""
        end = start + samples
        for first, last, pcm in self._pieces:
            if first <= start and end <= last:
                offset = 2 * (start - first)
                return pcm[offset : offset + 2 * samples]
        parts: list[bytes] = []
        at = start
        for first, last, pcm in self._pieces:
            if last <= at or first >= end:
                continue
            if first > at:
                parts.append(silence(first - at))
                at = first
            upto = min(last, end)
            parts.append(pcm[2 * (at - first) : 2 * (upto - first)])
            at = upto
        if not parts:
            return silence(samples)
        if at < end:
            parts.append(silence(end - at))
        return b"".join(parts)
