"""Composed cases as arrays on disk: features and labels in shards, made once and read by every run.

A shard's name holds a digest of everything its content depends on (the composing code, laws, clips, split,
seed, number), so a changed corpus is never mistaken for the old one. Composition runs in worker processes (spawned, one
thread each). Recordings of whole calls (``call:`` clips) are taken as they are, beside what is composed.
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

from amd_model.detector.features import features
from amd_model.detector.spec import CLASSES, CONTEXT_SAMPLES, FRAMES_PER_TICK, HOP_MS, HOP_SAMPLES, SAMPLE_RATE
from amd_model.verdict import Verdict
from training.composition import compose, laws, library, tape
from training.composition.compose import Case, Composer
from training.composition.laws import DEV, TRAIN, Laws
from training.composition.library import Library
from training.corpus import phones
from training.corpus.audio import load_audio
from training.corpus.manifest import Clip, ManifestError, read
from training.telephone import channel, signals
from training.telephone.channel import Audio, active_rms

SHARD_CASES = 1_000
DEV_SEED = 100
CALL = "call"  # the kind of a case that is a recording
MOST_REPEATS = 20
SPANS, MOST_PHONES = 6, 160  # of an answer that are spelt out, and of a span
_COMPOSING = (channel, compose, laws, library, phones, signals, tape)  # the modules that a composed answer depends on
_LIBRARY: dict[str, Library] = {}


@dataclass(slots=True)
class Shard:
    """N cases: features [N, frames, F], label index [N], speech [N, frames], tone [N, ticks], times in ms [N].

    ``heard_ms`` is how much audio there is: what stands behind it counts for nothing. Of recordings (kind
    ``CALL``) nobody wrote down who speaks when, nor where a tone is. ``spans`` [N, SPANS, 2] are the frames (from, to)
    of words that are spelt out in ``phones`` [N, SPANS, MOST_PHONES] (see ``training.corpus.phones``); 0 fills both up.
    """

    features: NDArray[np.float16]
    label: NDArray[np.int8]
    speech: NDArray[np.bool_]
    tone: NDArray[np.bool_]
    first_word_ms: NDArray[np.int32]
    turn_end_ms: NDArray[np.int32]
    beep_ms: NDArray[np.int32]
    kind: NDArray[np.str_]
    voice: NDArray[np.str_]
    heard_ms: NDArray[np.int32]
    spans: NDArray[np.int16]
    phones: NDArray[np.uint8]

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
    spans = np.zeros((len(cases), SPANS, 2), np.int16)
    spelt = np.zeros((len(cases), SPANS, MOST_PHONES), np.uint8)
    for index, case in enumerate(cases):
        short = [one for one in case.spelt if len(one[2]) <= MOST_PHONES]
        for place, (begin, end, said) in enumerate(short[:SPANS]):
            spans[index, place] = begin, end
            spelt[index, place, : len(said)] = said
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
        np.array([len(case.audio) * 1_000 // SAMPLE_RATE for case in cases], np.int32),
        spans,
        spelt,
    )


def recorded(clips: Sequence[Clip], laws: Laws, split: str) -> Shard | None:
    """The split's whole calls, cut or filled to the laws' length; None when there are none. Raises ManifestError.

    The first word is where the level first comes near the loud parts: good enough to weight a loss by.
    """
    cases = []
    count = int(laws.seconds * SAMPLE_RATE)
    for clip in clips:
        label = clip.verdict
        if clip.split != split or label is None:
            continue
        audio = load_audio(clip.file)[:count]
        speaks = label in (Verdict.LIVE_PERSON, Verdict.ANSWERING_MACHINE)
        first = _first_loud_ms(audio) if speaks else -1
        whole = np.pad(audio, (0, count - len(audio)))
        nothing = np.zeros(count // HOP_SAMPLES, np.bool_)
        case = Case(whole, label, CALL, "human", nothing, nothing[::FRAMES_PER_TICK], first, -1, -1)
        cases.append((case, len(audio) * 1_000 // SAMPLE_RATE))
    if not cases:
        return None
    shard = pack([case for case, _ in cases])
    shard.heard_ms = np.array([heard for _, heard in cases], np.int32)
    return shard


def _first_loud_ms(audio: Audio) -> int:
    """Where a 20 ms frame first comes within 20 dB of the active level; −1 for silence."""
    frames = audio[: len(audio) // HOP_SAMPLES * HOP_SAMPLES].reshape(-1, HOP_SAMPLES)
    loud = np.flatnonzero(np.square(frames).mean(axis=1) > max(1e-9, 0.01 * active_rms(audio) ** 2))
    return int(loud[0]) * HOP_MS if len(loud) else -1


def dev_data(folders: Sequence[Path], cache: Path, cases: int, processes: int = 1) -> Shard:
    """What every choice is made on: composed answers by dev's laws, and dev's recordings. Raises ManifestError."""
    composed = shards(folders, cache, DEV, "dev", DEV_SEED, cases, processes) if cases else iter(())
    calls = recorded(load_clips(folders), DEV, "dev")
    parts = [*composed, *([calls] if calls is not None else [])]
    if not parts:
        raise ManifestError("no dev cases: compose some (--dev-cases), or give recordings of split 'dev'")
    return join(parts)


def train_data(folders: Sequence[Path], cache: Path, cases: int, call_share: float, processes: int = 1) -> Shard:
    """Composed answers by training's laws, and train's recordings, repeated until they are ``call_share`` of all.

    No recording is repeated more than ``MOST_REPEATS`` times: they would be learnt by heart. Raises ManifestError.
    """
    composed = shards(folders, cache, TRAIN, "train", 1, cases, processes) if cases else iter(())
    calls = recorded(load_clips(folders), TRAIN, "train")
    parts = [*composed]
    if calls is not None:
        wanted = cases * call_share / max(0.01, 1.0 - call_share) / len(calls)
        parts += [calls] * max(1, min(MOST_REPEATS, round(wanted)))
    if not parts:
        raise ManifestError("nothing to train on: compose cases (--cases), or give recordings of split 'train'")
    return join(parts)


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
    code = [Path(module.__file__ or "").read_text(encoding="utf-8") for module in _COMPOSING]
    what = json.dumps(
        [
            code,
            phones.available(),
            asdict(laws),
            sorted((str(c.file), c.kind, c.speaker, c.language, c.text) for c in clips if c.split == split),
        ]
    )
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
