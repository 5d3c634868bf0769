"""Sounds laid one after another on a call's two tracks, with their truth: where words are, and where tones.

Where words are is measured (``words``), not believed: clips have silence at their ends, readers hesitate, and
synthesisers pause alike after every sentence, which ``fluent`` and ``paced`` change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from amd_model.detector.spec import HOP_SAMPLES, SAMPLE_RATE
from training.corpus.phones import Phones
from training.telephone.channel import Audio, active_rms, scaled

_EDGE: Final = SAMPLE_RATE // 25  # 40 ms: a consonant that the level does not show
_INNER: Final = SAMPLE_RATE // 8  # 125 ms: more than a stop consonant


@dataclass(frozen=True, slots=True)
class Speech:
    """Somebody's words: samples and, as long as none of them is cut off, their phones; () where they are not known."""

    audio: Audio
    phones: Phones = ()

    def __len__(self) -> int:
        return len(self.audio)

    def cut(self, begin: int = 0, end: int | None = None) -> Speech:
        """A part of it, of which nobody knows the phones any more."""
        part = self.audio[begin:end]
        return self if len(part) == len(self.audio) else Speech(part)

    def changed(self, change: Callable[[Audio], Audio]) -> Speech:
        """The same words in other samples."""
        return replace(self, audio=change(self.audio))


class Tape:
    """Sounds laid one after another: what is said, what the switch sends, and which is which."""

    def __init__(self, seconds: float) -> None:
        count = int(seconds * SAMPLE_RATE)
        self.voice, self.local = np.zeros(count, np.float32), np.zeros(count, np.float32)
        self.spoken, self.toned = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
        self.spelt: list[tuple[int, int, Phones]] = []  # first sample, the one after the last, what was said
        self.at = 0
        self.first_word = self.turn_end = self.beep = -1

    def wait(self, seconds: float) -> None:
        self.at += int(seconds * SAMPLE_RATE)

    def _place(self, track: Audio, sound: Audio) -> slice | None:
        begin, end = max(0, self.at), min(len(track), self.at + len(sound))
        if end <= begin:
            self.at += len(sound)
            return None
        track[begin:end] += sound[begin - self.at : end - self.at]
        self.at += len(sound)
        return slice(begin, end)

    def say(self, speech: Speech, level: float = -20.0, turn: bool = True) -> None:
        sound = scaled(speech.audio, level)
        active = words(sound)
        if active.any():
            # What a clip has of silence at its ends would be added to every pause that the laws draw.
            first, last = np.flatnonzero(active)[[0, -1]]
            kept = slice(max(0, int(first) - _EDGE), int(last) + 1 + _EDGE)
            sound, active = sound[kept], active[kept]
        start = self.at
        where = self._place(self.voice, sound)
        if where is None:
            return
        if speech.phones:
            heard = int(active[: where.stop - start].sum()) / max(1, int(active.sum()))
            # At the tape's end, as many as the share of words that is heard, and rather too few.
            phones = speech.phones if heard == 1.0 else speech.phones[: max(0, int(len(speech.phones) * heard) - 3)]
            self.spelt.append((where.start, where.stop, phones))
        active = active[where.start - start : where.stop - start]
        self.spoken[where] |= active
        hits = np.flatnonzero(active)
        if len(hits):
            if self.first_word < 0:
                self.first_word = where.start + int(hits[0])
            if turn:
                self.turn_end = where.start + int(hits[-1])

    def play(self, audio: Audio, tone: bool = True) -> None:
        where = self._place(self.local, audio)
        if where is not None and tone:
            self.toned[where] |= np.abs(audio[: where.stop - where.start]) > 0

    def remote(self, audio: Audio) -> None:
        self._place(self.voice, audio)


def words(audio: Audio) -> NDArray[np.bool_]:
    """Samples of words: 20 ms frames within 32 dB of the loud ones, with gaps under 60 ms closed."""
    count = -(-len(audio) // HOP_SAMPLES)
    padded = np.pad(audio, (0, count * HOP_SAMPLES - len(audio)))
    power = np.square(padded.reshape(count, HOP_SAMPLES)).mean(axis=1)
    on = power > max(active_rms(audio) ** 2 * 10**-3.2, 1e-9)
    for index in range(1, count - 1):
        if not on[index] and on[index - 1] and on[index + 1 : index + 3].any():
            on[index] = True
    return np.asarray(np.repeat(on, HOP_SAMPLES)[: len(audio)], dtype=np.bool_)


def fluent(audio: Audio, longest: float) -> Audio:
    """The same with its inner silences of more than ``longest`` seconds cut down to it, in their middle."""
    if not math.isfinite(longest):
        return audio
    hits = np.flatnonzero(words(audio))
    most = int(longest * SAMPLE_RATE)
    keep = np.ones(len(audio), np.bool_)
    for gap in np.flatnonzero(np.diff(hits) > most):
        begin, end = int(hits[gap]) + 1 + most // 2, int(hits[gap + 1]) - most // 2
        keep[begin:end] = False
    return audio[keep]


def paced(audio: Audio, pauses: Iterable[float]) -> Audio:
    """The same words with other silences between them: each of an eighth of a second and more lasts as ``pauses`` say.

    Seconds; one that is not positive leaves a silence as it is. A synthesiser pauses alike after every sentence,
    people and their greetings do not.
    """
    hits = np.flatnonzero(words(audio))
    parts, at = [], 0
    for gap, pause in zip(np.flatnonzero(np.diff(hits) >= _INNER), pauses, strict=False):
        begin, end = int(hits[gap]) + 1, int(hits[gap + 1])
        if pause <= 0.0:
            continue
        wanted = int(pause * SAMPLE_RATE)
        kept = min(wanted, end - begin)
        parts += [audio[at : begin + kept // 2], np.zeros(wanted - kept, np.float32)]
        at = end - (kept - kept // 2)
    return np.concatenate((*parts, audio[at:]))
