"""The command behind the threshold of likeness: what it prints, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from training.__main__ import main as training
from training.corpus.manifest import Clip, write

pytestmark = pytest.mark.unit

RATE = 8_000


def words(seed: int, pitch: float, seconds: float = 2.0) -> np.ndarray:
    """Syllables of changing pitch and loudness, like nobody else's."""
    random, pieces = np.random.default_rng(seed), []
    while sum(map(len, pieces)) < seconds * RATE:
        at = np.arange(int(random.uniform(0.08, 0.25) * RATE)) / RATE
        voice = sum(np.sin(2 * np.pi * pitch * random.uniform(1, 12) * at) for _ in range(4))
        pieces += [voice * random.uniform(0.02, 0.1), np.zeros(int(random.uniform(0.02, 0.1) * RATE))]
    return np.concatenate(pieces).astype(np.float32)


def folder(tmp_path: Path, seconds: float) -> Path:
    clips = []
    for number, (speaker, pitch) in enumerate([("a", 110.0), ("a", 110.0), ("b", 190.0), ("c", 240.0)]):
        file = tmp_path / f"{number}.wav"
        soundfile.write(file, words(number, pitch, seconds), RATE)
        clips.append(Clip(file, "speech", speaker, "test", "CC0", "train", f"text {number}"))
    write(tmp_path / "manifest.tsv", clips)
    return tmp_path


def test_the_same_recording_scores_above_and_others_below(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert training(["likeness", "--data", str(folder(tmp_path, 2.0)), "--clips", "3"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["sentences"], found["voices"]) == (3, 1)
    assert found["mulaw"]["worst"] > found["threshold"] > found["other voices"]["worst"]


def test_clips_that_are_too_short_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert training(["likeness", "--data", str(folder(tmp_path, 0.5)), "--clips", "3"]) == 1
    assert "no figures: the clips are too short" in capsys.readouterr().err
