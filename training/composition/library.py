"""The clips that answers are composed of: one split's, in memory, by kind and speaker."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from amd_model.detector.spec import SAMPLE_RATE
from training.composition.tape import Speech
from training.corpus.audio import load_audio
from training.corpus.manifest import Clip
from training.corpus.phones import lexicon
from training.telephone import signals
from training.telephone.channel import Audio, Random, scaled


class Library:
    """All clips of one split, in memory, by kind and speaker."""

    def __init__(self, clips: Sequence[Clip], split: str) -> None:
        self.by_kind: dict[str, dict[str, list[tuple[Clip, NDArray[np.int16]]]]] = defaultdict(
            lambda: defaultdict(list)
        )
        clips = [clip for clip in clips if clip.split == split]
        self._phones = lexicon(clips)
        for clip in clips:
            if clip.verdict is None:
                self.by_kind[clip.kind][clip.speaker].append((clip, _int16(clip)))
        speech = [
            self._float(a)
            for group in ("speech", "live", "machine")
            for s in self.by_kind[group].values()
            for _, a in s[:8]
        ]
        self.voices: list[Audio] = [a for a in speech if len(a) > SAMPLE_RATE // 2]

    def speakers(self, *kinds: str) -> list[str]:
        """Those with clips of every kind named."""
        return sorted(set.intersection(*(set(self.by_kind[kind]) for kind in kinds)))

    def pick(self, kind: str, random: Random, speaker: str | None = None) -> tuple[Clip, Speech]:
        """One clip; speakers are drawn first, so that a prolific one does not dominate (by the root of its count)."""
        group = self.by_kind[kind]
        if speaker is None:
            names = list(group)
            weights = np.sqrt([len(group[name]) for name in names])
            speaker = names[random.choice(len(names), p=weights / weights.sum())]
        clips = group[speaker]
        clip, audio = clips[random.integers(len(clips))]
        return clip, self._speech(clip, audio)

    def pieces(self, speaker: str) -> dict[str, Speech]:
        """A prompt voice's fragments by what they say."""
        return {
            clip.file.stem.split("-", 1)[-1]: self._speech(clip, a) for clip, a in self.by_kind["fragment"][speaker]
        }

    def _speech(self, clip: Clip, audio: NDArray[np.int16]) -> Speech:
        return Speech(self._float(audio), self._phones.get((clip.language, clip.text), ()))

    def music(self, seconds: float, random: Random) -> Audio:
        """A piece of hold music, from anywhere in it, or a tune made up on the spot."""
        if not self.by_kind["music"] or random.random() < 0.5:
            return signals.melody(random, seconds)
        names = sorted(self.by_kind["music"])
        _, audio = self.by_kind["music"][names[random.integers(len(names))]][0]
        count = int(seconds * SAMPLE_RATE)
        start = int(random.integers(0, max(1, len(audio) - count)))
        return scaled(self._float(audio[start : start + count]), -20.0)

    @staticmethod
    def _float(audio: NDArray[np.int16]) -> Audio:
        return audio.astype(np.float32) / np.float32(32_768.0)


def _int16(clip: Clip) -> NDArray[np.int16]:
    """Its samples; of 16 bits they are what the file holds."""
    return np.clip(np.rint(load_audio(clip.file) * 32_768), -32_768, 32_767).astype(np.int16)
