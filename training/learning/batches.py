"""Cases of a shard → a batch of tensors, varied as no composing does: other voices, microphones, and first samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from amd_model.detector.features import mel_hz
from amd_model.detector.spec import FRAMES_PER_TICK, MELS, TICK_MS
from training.composition.dataset import CALL, Shard

MOST_SKIPPED = 6
"""Ticks cut off an answer's beginning, in every second batch: the same answer, heard from later on."""
LEVEL, TILT, BEND = 0.15, 0.25, 0.1
"""How far a microphone's level and its response's tilt and bends vary: standard deviations in the features' 20 dB."""
WARP = 0.06
"""How far a speaker's vocal tract varies: standard deviation of the logarithm of its length."""

_CENTRES = np.array(mel_hz()[1:-1])
_SHAPES = np.stack([np.cos(np.pi * k * np.linspace(0, 1, MELS)) for k in (1, 2, 3)]).astype(np.float32)
"""[3, MELS]: a tilt and two bends over the bands."""


def batch_of(
    data: Shard, rows: np.ndarray[Any, Any], device: torch.device, random: np.random.Generator | None
) -> dict[str, Tensor]:
    """Rows of a shard as tensors; with a generator, varied: voice, level, response, one band, first sample."""
    skip = int(random.integers(1, MOST_SKIPPED + 1)) if random is not None and random.random() < 0.5 else 0
    feats = torch.from_numpy(data.features[rows, skip * FRAMES_PER_TICK :].astype(np.float32))
    first = data.first_word_ms[rows]
    ticks = feats.shape[1] // FRAMES_PER_TICK
    ends = (np.arange(ticks) + 1 + skip) * TICK_MS
    if random is not None:
        count = len(rows)
        level = torch.from_numpy(random.normal(0, LEVEL, (count, 1, 1)).astype(np.float32))
        sizes = random.normal(0, (TILT, BEND, BEND), (count, 3)).astype(np.float32)
        response = torch.from_numpy(sizes @ _SHAPES)[:, None]
        feats[:, :, :MELS] = torch.clamp(warped(feats[:, :, :MELS], random) + level + response, min=-2.0)
        feats[:, :, MELS + 4] = torch.clamp(feats[:, :, MELS + 4] + level[:, :, 0], min=-2.0)
        for row in np.flatnonzero(random.random(count) < 0.4):
            low = int(random.integers(0, MELS - 4))
            feats[row, :, low : low + int(random.integers(1, 6))] = feats[row, :, :MELS].mean()
    spans = data.spans[rows].astype(np.int64) - skip * FRAMES_PER_TICK
    phones = np.where(spans[:, :, :1] >= 0, data.phones[rows], 0).astype(np.int64)
    return {
        "features": feats.to(device),
        "label": torch.from_numpy(data.label[rows].astype(np.int64)).to(device),
        "speech": torch.from_numpy(data.speech[rows, skip * FRAMES_PER_TICK :].astype(np.float32)).to(device),
        "tone": torch.from_numpy(data.tone[rows, skip:].astype(np.float32)).to(device),
        "first_word_ms": torch.from_numpy(np.where(first < 0, -1, np.maximum(0, first - skip * TICK_MS))).to(device),
        "heard": torch.from_numpy((ends[None] <= data.heard_ms[rows, None]).astype(np.float32)).to(device),
        "known": torch.from_numpy((data.kind[rows] != CALL).astype(np.float32)).to(device),
        "spans": torch.from_numpy(spans).to(device),
        "phones": torch.from_numpy(phones[:, :, : max(1, int((phones > 0).sum(axis=2).max()))]).to(device),
    }


def warped(bands: Tensor, random: np.random.Generator) -> Tensor:
    """[B, frames, MELS] as if every speaker had a vocal tract of another length: frequencies scaled by one factor.

    After Jaitly and Hinton, "Vocal tract length perturbation (VTLP) improves speech recognition", 2013.
    """
    factors = np.exp(np.clip(random.normal(0.0, WARP, (len(bands), 1)), -2.5 * WARP, 2.5 * WARP))
    places = np.stack([np.interp(row, _CENTRES, np.arange(MELS)) for row in _CENTRES * factors])
    # Each new band lies between two old ones: a matrix a speaker, as a product is much faster than picking them out.
    weights = np.maximum(0.0, 1.0 - np.abs(places[:, None] - np.arange(MELS)[:, None])).astype(np.float32)
    return torch.bmm(bands, torch.from_numpy(weights))
