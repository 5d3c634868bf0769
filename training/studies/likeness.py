"""How surely a recording is recognised: the figures behind `amd_model.listening.likeness.THRESHOLD`.

    python -m training likeness --data DIR [--data DIR …] [--clips 250] [--seed 1]

Sentences of many voices, each put into ten seconds of another voice's speech: the same recording through codecs,
softer, faster and in noise, against other words of the same voice and against other voices. One JSON object: the lowest
score and the 5th percentile of what must be found, the highest and the 95th percentile of what must not.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amd_model.evaluation import files
from amd_model.listening.likeness import SAMPLE_RATE, THRESHOLD, find, fingerprint
from training.composition.dataset import load_clips
from training.corpus.manifest import Clip
from training.telephone.channel import coded, noise, rms

Audio = NDArray[np.float32]
SHORTEST_S, LONGEST_S = 1.5, 8.0
AROUND_S = 10.0


def _faster(audio: Audio, random: np.random.Generator) -> Audio:
    """2 % faster, pitch and all, as by a clock that is off."""
    at = np.arange(0, len(audio) - 1, 1.02)
    return np.asarray(np.interp(at, np.arange(len(audio)), audio), np.float32)


def _noisy(audio: Audio, random: np.random.Generator) -> Audio:
    """With noise 20 dB below it."""
    hiss = noise("white", len(audio), random)
    return np.asarray(audio + hiss * (0.1 * rms(audio) / max(rms(hiss), 1e-9)), np.float32)


CONDITIONS: dict[str, Callable[[Audio, np.random.Generator], Audio]] = {
    "mulaw": lambda audio, random: audio,
    "gsm": lambda audio, random: coded(audio, "gsm"),
    "20 dB softer": lambda audio, random: audio * np.float32(0.1),
    "2 % faster": _faster,
    "noise 20 dB below": _noisy,
}


def score(reference: Audio, heard: Audio, around: Audio) -> float:
    """The score of `reference` in `heard` with something else before and after it, all through µ-law."""
    half = len(around) // 2
    line = coded(np.concatenate((around[:half], heard, around[half:])), "mulaw")
    return find(fingerprint(reference), fingerprint(line)).score


def figures(clips: Sequence[Clip], count: int, random: np.random.Generator) -> dict[str, object]:
    """The scores, condition by condition. Raises ValueError when there are too few voices."""
    by_speaker: dict[str, list[Clip]] = {}
    for clip in clips:
        by_speaker.setdefault(clip.speaker, []).append(clip)
    voices = sorted(by_speaker)
    several = [speaker for speaker in voices if len(by_speaker[speaker]) > 1]
    if len(voices) < 2 or not several:
        raise ValueError("give clips of two speakers or more, one of them with two")
    scores: dict[str, list[float]] = {name: [] for name in (*CONDITIONS, "same voice, other words", "other voices")}
    heard: set[str] = set()
    for _ in range(20 * count):
        if len(scores["mulaw"]) == count:
            break
        speaker = several[random.integers(len(several))]
        others = [each for each in voices if each != speaker]
        first, second = random.choice(len(by_speaker[speaker]), 2, replace=False)
        mine, other_words = by_speaker[speaker][first], by_speaker[speaker][second]
        strangers = by_speaker[others[random.integers(len(others))]]
        other = strangers[random.integers(len(strangers))]
        reference, words, voice = (_read(clip) for clip in (mine, other_words, other))
        if min(map(len, (reference, words, voice))) < SHORTEST_S * SAMPLE_RATE:
            continue
        heard.add(speaker)
        around = np.resize(voice, round(AROUND_S * SAMPLE_RATE))
        for name, change in CONDITIONS.items():
            scores[name].append(score(reference, change(reference, random), around))
        if mine.text != other_words.text:
            scores["same voice, other words"].append(score(reference, words, np.zeros_like(around)))
        if mine.text != other.text:
            scores["other voices"].append(score(reference, around, np.zeros_like(around)))
    if not all(scores.values()):
        raise ValueError(f"the clips are too short: {SHORTEST_S:g} s and more are needed")
    found: dict[str, object] = {"threshold": THRESHOLD, "sentences": len(scores["mulaw"]), "voices": len(heard)}
    for name, values in scores.items():
        wanted = name in CONDITIONS
        worst, common = (min(values), 5) if wanted else (max(values), 95)
        found[name] = {"worst": round(worst, 3), f"p{common}": round(float(np.percentile(values, common)), 3)}
    return found


def _read(clip: Clip) -> Audio:
    samples: Audio = files.read(clip.file)[: round(LONGEST_S * SAMPLE_RATE)]
    return samples


def main(argv: list[str] | None = None) -> int:
    """Command line: prints the figures; 1 when the corpus is refused."""
    parser = argparse.ArgumentParser("python -m training likeness", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--data", type=Path, action="append", required=True, help="folder with a manifest.tsv")
    parser.add_argument("--clips", type=int, default=250)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    try:
        clips = [clip for clip in load_clips(options.data) if clip.kind == "speech"]
        found = figures(clips, options.clips, np.random.default_rng(options.seed))
    except ValueError as error:  # a manifest, a file, or clips too short
        print(f"no figures: {error}", file=sys.stderr)
        return 1
    print(json.dumps(found, indent=2))
    return 0
