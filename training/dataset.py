"""Composed cases as arrays on disk: features and labels in shards, made once and read by every run.

A shard's name holds a digest of everything its content depends on (the composing code, laws, clips, split,
seed, number), so a changed corpus is never mistaken for the old one. Composition runs in worker processes (spawned, one
thread each).
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from amd_model.features import features
from amd_model.spec import CLASSES, CONTEXT_SAMPLES
from training import channel, compose, signals
from training.channel import Audio
from training.compose import Case, Composer, Laws, Library
from training.manifest import Clip, ManifestError, read

SHARD_CASES = 1_000
_LIBRARY: dict[str, Library] = {}


@dataclass(slots=True)
class Shard:
    """N cases: features [N, frames, F], label index [N], speech [N, frames], tone [N, ticks], times in ms [N]."""

    features: NDArray[np.float16]
    label: NDArray[np.int8]
    speech: NDArray[np.bool_]
    tone: NDArray[np.bool_]
    first_word_ms: NDArray[np.int32]
    turn_end_ms: NDArray[np.int32]
    beep_ms: NDArray[np.int32]
    kind: NDArray[np.str_]
    voice: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.label)


def load_clips(folders: Sequence[Path]) -> list[Clip]:
    """The manifests of all folders as one corpus; a folder without one stands for its subfolders that have one.

    Raises ManifestError, also for a speaker whose splits differ.
    """
    clips: list[Clip] = []
    homes: dict[str, str] = {}
    for folder in folders:
        inner = sorted(folder.glob("*/manifest.tsv")) if not (folder / "manifest.tsv").is_file() else []
        for manifest in inner or [folder / "manifest.tsv"]:
            for clip in read(manifest):
                if homes.setdefault(clip.speaker, clip.split) != clip.split:
                    raise ManifestError(f"{manifest}: speaker {clip.speaker!r} is in two splits of the corpora given")
                clips.append(clip)
    return clips


def features_of(audio: Audio) -> NDArray[np.float32]:
    """A whole signal's features [frames, F], frame for frame what serving computes."""
    padded = torch.from_numpy(np.concatenate((np.zeros(CONTEXT_SAMPLES, np.float32), audio)))
    with torch.inference_mode():
        return np.asarray(features(padded[None])[0].numpy(), dtype=np.float32)


def pack(cases: Sequence[Case]) -> Shard:
    """Cases of equal length as one shard."""
    rows = np.stack([features_of(case.audio) for case in cases])
    return Shard(
        rows.astype(np.float16),
        np.array([CLASSES.index(case.label) for case in cases], np.int8),
        np.stack([case.speech[: rows.shape[1]] for case in cases]),
        np.stack([case.tone for case in cases]),
        np.array([case.first_word_ms for case in cases], np.int32),
        np.array([case.turn_end_ms for case in cases], np.int32),
        np.array([case.beep_ms for case in cases], np.int32),
        np.array([case.kind for case in cases]),
        np.array([case.voice for case in cases]),
    )


def join(shards: Sequence[Shard]) -> Shard:
    """Several as one."""
    return Shard(*(np.concatenate([getattr(shard, name) for shard in shards]) for name in Shard.__slots__))


def shards(
    folders: Sequence[Path], cache: Path, laws: Laws, split: str, seed: int, count: int, processes: int = 1
) -> Iterator[Shard]:
    """``count`` cases, in shards, composed where the cache does not have them. Raises ManifestError."""
    clips = load_clips(folders)
    if not any(clip.split == split for clip in clips):
        raise ManifestError(f"no clip of split {split!r} in {', '.join(str(f) for f in folders)}")
    code = [Path(module.__file__ or "").read_text(encoding="utf-8") for module in (channel, compose, signals)]
    what = json.dumps([code, asdict(laws), sorted((str(c.file), c.kind, c.speaker) for c in clips if c.split == split)])
    stem = f"{split}-{hashlib.sha256(what.encode()).hexdigest()[:10]}-{seed}"
    cache.mkdir(parents=True, exist_ok=True)
    numbers = range(-(-count // SHARD_CASES))
    jobs = [
        (list(folders), cache / f"{stem}-{n}.npz", laws, split, seed, n, min(SHARD_CASES, count - n * SHARD_CASES))
        for n in numbers
    ]
    missing = [job for job in jobs if not job[1].is_file()]
    if missing and processes > 1:
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            for _ in pool.imap_unordered(_make, missing):
                pass
    for job in jobs:
        if not job[1].is_file():
            _make(job)
        with np.load(job[1]) as stored:
            yield Shard(*(stored[name] for name in Shard.__slots__))


def _make(job: tuple[list[Path], Path, Laws, str, int, int, int]) -> None:
    folders, path, laws, split, seed, number, count = job
    torch.set_num_threads(1)
    key = json.dumps([[str(f) for f in folders], split])
    if key not in _LIBRARY:
        _LIBRARY.clear()
        _LIBRARY[key] = Library(load_clips(folders), split)
    composer = Composer(_LIBRARY[key], laws, seed)
    shard = pack([composer.case(number * SHARD_CASES + index) for index in range(count)])
    partial = path.with_name(path.stem + ".part.npz")
    np.savez(partial, **{name: getattr(shard, name) for name in Shard.__slots__})
    partial.rename(path)
