"""A tiny corpus of made-up voices, so that composing and training are tested without anybody's recordings."""

import zlib

import numpy as np
import soundfile

from training.corpus.manifest import Clip, write

TEXTS = {
    "speech": "how are you",
    "live": "Hello?",
    "machine": "Leave a message.",
    "fragment": "seven",
}


def voice(seconds, seed, pitch):
    """Something like speech: harmonics in syllables, with short gaps."""
    random = np.random.default_rng(seed)
    count = int(seconds * 8_000)
    time = np.arange(count) / 8_000
    glide = pitch * (1 + 0.08 * np.sin(2 * np.pi * 1.7 * time + random.uniform(0, 6)))
    phase = 2 * np.pi * np.cumsum(glide) / 8_000
    wave = sum(np.sin(k * phase) / k for k in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * 3.5 * time + random.uniform(0, 6)) + 0.4, 0, 1)
    return (0.1 * wave * syllables + 0.001 * random.standard_normal(count)).astype(np.float32)


def make(folder, speakers=4):
    """A manifest with every kind in train and dev; returns its folder."""
    clips = []
    for split in ("train", "dev"):
        for number in range(speakers if split == "train" else 2):
            speaker = f"{split}-{number}"
            for kind, seconds in (("speech", 2.0), ("speech", 1.1), ("live", 0.7), ("machine", 4.0), ("fragment", 0.5)):
                name = f"{speaker}-{kind}-{seconds}.flac"
                audio = voice(seconds, zlib.crc32(name.encode()) % 1_000, 110 + 40 * number)
                soundfile.write(folder / name, audio, 8_000, subtype="PCM_16")
                clips.append(Clip(folder / name, kind, speaker, "made up", "CC0", split, TEXTS[kind], "en"))
    name = "tune.flac"
    soundfile.write(folder / name, voice(15.0, 1, 400), 8_000, subtype="PCM_16")
    clips.append(Clip(folder / name, "music", "tune", "made up", "CC0", "train"))
    write(folder / "manifest.tsv", clips)
    return folder
