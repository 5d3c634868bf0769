"""Who is heard when: one direction of a call's audio on the line of simulated time. Pure.

A `Line` holds what one side plays as pieces of PCM (16-bit little-endian, 8 kHz, mono), each at its first sample;
where nothing plays there is what a feed brings (another call's line: a bridge, a conference, the other end of a call
that comes back to the node), and without a feed silence. Positions are samples since the call was created. Reading
never consumes, so any number of taps and recorders may read the same stretch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

RATE = 8000
FRAME_SAMPLES = 160
FRAME_BYTES = 320
FRAME_SECONDS = 0.02
MAX_UTTERANCES = 64

_SILENCE = bytes(2 * RATE)


def silence(samples: int) -> bytes:
    """That many samples of digital silence; short stretches share one buffer."""
    return _SILENCE[: 2 * samples] if samples <= RATE else bytes(2 * samples)


@dataclass(frozen=True, slots=True)
class Utterance:
    """Words that were spoken on a line, from its sample `start` to `end`: what speech recognition would make of it."""

    start: int
    end: int
    text: str


@dataclass(slots=True)
class _Feed:
    """Others' lines, heard here from sample `start` to `end` (None: still): (line, its position at our sample 0)."""

    start: int
    end: int | None
    sources: tuple[tuple[Line, int], ...]


class Line:
    """One direction of a call. Pieces do not overlap: a new one cuts what was still playing. The same for feeds."""

    __slots__ = ("_feeds", "_pieces", "_words", "keep_samples")

    def __init__(self, keep_seconds: float = 5.0) -> None:
        self._pieces: deque[tuple[int, int, bytes]] = deque()
        self._feeds: deque[_Feed] = deque()
        self._words: deque[Utterance] = deque(maxlen=MAX_UTTERANCES)
        self.keep_samples = int(keep_seconds * RATE)
        """How much of the past stays readable; a tap that lags more has lost it anyway."""

    def keep(self, samples: int) -> None:
        """Keep at least so much of the past readable, here and where the feeds come from."""
        if samples > self.keep_samples:
            self.keep_samples = samples
            for feed in self._feeds:
                for line, _ in feed.sources:
                    line.keep(samples)

    def play(self, at: int, pcm: bytes, text: str = "") -> None:
        """Begin to play `pcm` at sample `at`; `text` is what is said in it, if it is speech whose words are known."""
        self.cut(at)
        while self._pieces and self._pieces[0][1] < at - self.keep_samples:
            self._pieces.popleft()
        if pcm:
            self._pieces.append((at, at + len(pcm) // 2, pcm))
            if text:
                self._words.append(Utterance(at, at + len(pcm) // 2, text))

    def cut(self, at: int) -> None:
        """Stop whatever would sound from sample `at` on; feeds go on."""
        while self._pieces and self._pieces[-1][0] >= at:
            self._pieces.pop()
        if self._pieces and self._pieces[-1][1] > at:
            start, _, pcm = self._pieces.pop()
            self._pieces.append((start, at, pcm))
        while self._words and self._words[-1].end > at:
            self._words.pop()

    def feed(self, at: int, sources: Iterable[tuple[Line, int]]) -> None:
        """From sample `at` on these lines are heard here, added up, instead of those before.

        Each comes with the position on it that is our sample 0. A line that is fed from this one is left out: it
        would be heard in itself without end.
        """
        self.unfeed(at)
        while self._feeds and (self._feeds[0].end or at) < at - self.keep_samples:
            self._feeds.popleft()
        heard = tuple((line, offset) for line, offset in sources if not line._fed_by(self))
        if heard:
            self._feeds.append(_Feed(at, None, heard))
            for line, _ in heard:
                line.keep(self.keep_samples)

    def unfeed(self, at: int) -> None:
        """Nothing of others is heard from sample `at` on."""
        if self._feeds and self._feeds[-1].end is None:
            self._feeds[-1].end = at

    def _fed_by(self, other: Line) -> bool:
        return self is other or any(line._fed_by(other) for feed in self._feeds for line, _ in feed.sources)

    def playing_at(self, at: int) -> bool:
        if any(start <= at < end for start, end, _ in self._pieces):
            return True
        return any(
            line.playing_at(at + offset)
            for feed in self._feeds
            if feed.start <= at and (feed.end is None or at < feed.end)
            for line, offset in feed.sources
        )

    def words(self, since: int) -> list[Utterance]:
        """What was or is being said that ends after sample `since`, in the order of its ends."""
        found = [word for word in self._words if word.end > since]
        for feed in self._feeds:
            for line, offset in feed.sources:
                for word in line.words(max(since, feed.start) + offset):
                    if feed.end is None or word.end - offset <= feed.end:
                        found.append(Utterance(word.start - offset, word.end - offset, word.text))
        return sorted(found, key=lambda word: word.end)

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
                parts.append(self._background(at, first))
                at = first
            upto = min(last, end)
            parts.append(pcm[2 * (at - first) : 2 * (upto - first)])
            at = upto
        if at < end:
            parts.append(self._background(at, end))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _background(self, start: int, end: int) -> bytes:
        """What the feeds bring where nothing of our own plays."""
        parts: list[bytes] = []
        at = start
        for feed in self._feeds:
            last = end if feed.end is None else min(feed.end, end)
            if last <= at or feed.start >= end:
                continue
            if feed.start > at:
                parts.append(silence(feed.start - at))
                at = feed.start
            parts.append(_added([line.read(at + offset, last - at) for line, offset in feed.sources]))
            at = last
        if at < end:
            parts.append(silence(end - at))
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _added(sounds: list[bytes]) -> bytes:
    if len(sounds) == 1:
        return sounds[0]
    total = np.zeros(len(sounds[0]) // 2, np.int32)
    for pcm in sounds:
        total += np.frombuffer(pcm, "<i2")
    return total.clip(-32768, 32767).astype("<i2").tobytes()
