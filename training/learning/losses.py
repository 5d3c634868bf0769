"""What a network is trained by and judged by on dev: losses of ticks at which a verdict may be due, and calibration."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from amd_model.detector.network import AmdNet, Logits
from amd_model.detector.spec import FRAMES_PER_TICK, TICK_MS
from training.composition.dataset import Shard
from training.learning.batches import batch_of
from training.learning.spelling import Spelling

SETTLED_MS = 1_300
"""Silence after which the decision's even odds have fallen (1.2 s by default)."""


class Trainable(Protocol):
    """What the losses need of a network; ``training.studies.conformer`` has it too."""

    def initial_state(self, batch: int) -> Tensor:
        """[B, S] of zeros."""

    def logits(self, features: Tensor, state: Tensor, dropout: float = 0.0) -> Logits:
        """What every tick holds."""


def tick_weights(first_word_ms: Tensor, speech: Tensor, known: Tensor) -> Tensor:
    """[B], [B, ticks·5] of 0 and 1, [B] of 0 and 1 → [B, ticks]. What counts is while a verdict may be due.

    Before the first word only the prior can be known; after ``SETTLED_MS`` of silence the decision has been taken.
    The weight depends on what can be heard (never on the label or on what comes later), so that the posterior stays a
    probability. Where nobody wrote down who speaks when (``known`` is 0) no silence is counted.
    """
    spoken = speech.reshape(len(speech), -1, FRAMES_PER_TICK).amax(dim=2) > 0.5
    number = torch.arange(1, spoken.shape[1] + 1, device=speech.device)
    last = torch.where(spoken, number, 0).cummax(dim=1).values
    settled = (last > 0) & ((number - last) * TICK_MS > SETTLED_MS) & (known[:, None] > 0.5)
    since = number * TICK_MS - first_word_ms[:, None]
    weight = torch.where(since < 0, 0.15, torch.where(settled, 0.25, torch.where(since < 6_000, 1.0, 0.5)))
    return torch.where(first_word_ms[:, None] < 0, 0.4, weight)


def _weights(batch: dict[str, Tensor]) -> Tensor:
    return tick_weights(batch["first_word_ms"], batch["speech"], batch["known"]) * batch["heard"]


def loss_of(
    net: Trainable, batch: dict[str, Tensor], dropout: float, spelling: Spelling | None = None, share: float = 0.0
) -> tuple[Tensor, dict[str, float]]:
    """Class loss of every tick, plus speech (frames) and tone (ticks), and phones where somebody spells them."""
    state = net.initial_state(len(batch["label"])).to(batch["label"].device)
    classes, speech, tone, _, evidence = net.logits(batch["features"], state, dropout)
    ticks = classes.shape[1]
    target = batch["label"][:, None].expand(-1, ticks)
    per_tick = nn.functional.cross_entropy(classes.flatten(0, 1), target.flatten(), reduction="none").view_as(target)
    weight = _weights(batch)
    main = (per_tick * weight).sum() / weight.sum()
    known = batch["known"][:, None]
    total = known.sum().clamp(min=1.0)
    losses = nn.functional.binary_cross_entropy_with_logits(speech.flatten(1), batch["speech"], reduction="none")
    spoken = (losses * known).sum() / total / losses.shape[1]
    losses = nn.functional.binary_cross_entropy_with_logits(tone[..., 0], batch["tone"], reduction="none")
    toned = (losses * known).sum() / total / losses.shape[1]
    parts = {"classes": main.item(), "speech": spoken.item(), "tone": toned.item()}
    total_loss = main + spoken + 0.3 * toned
    if spelling is not None:
        spelt = spelling.loss(evidence, batch["spans"], batch["phones"])
        parts["phones"] = spelt.item()
        total_loss = total_loss + share * spelt
    return total_loss, parts


def dev_loss(net: AmdNet, data: Shard, device: torch.device, spelling: Spelling | None = None) -> dict[str, float]:
    """Mean losses and the share of ticks at which a verdict may be due whose likeliest class is right."""
    net.eval()
    sums: dict[str, float] = {}
    right = total = 0.0
    batches = 0
    with torch.inference_mode():
        for start in range(0, len(data), 250):
            batch = batch_of(data, np.arange(start, min(len(data), start + 250)), device, None)
            _, parts = loss_of(net, batch, 0.0, spelling)
            classes, *_ = net.logits(batch["features"], net.initial_state(len(batch["label"])).to(device))
            weight = (_weights(batch) > 0.3).float()
            right += float(((classes.argmax(-1) == batch["label"][:, None]) * weight).sum())
            total += float(weight.sum())
            batches += 1
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + value
    net.train()
    return {**{name: value / batches for name, value in sums.items()}, "ticks_right": right / total}


def fit_temperature(net: AmdNet, data: Shard, device: torch.device) -> float:
    """The one number by which logits are divided so that dev's likelihood is best (calibration)."""
    logits, targets, weights = [], [], []
    net.eval()
    with torch.inference_mode():
        for start in range(0, len(data), 250):
            batch = batch_of(data, np.arange(start, min(len(data), start + 250)), device, None)
            classes, *_ = net.logits(batch["features"], net.initial_state(len(batch["label"])).to(device))
            logits.append(classes.flatten(0, 1))
            targets.append(batch["label"][:, None].expand(-1, classes.shape[1]).flatten())
            weights.append(_weights(batch).flatten())
    every, target, weight = torch.cat(logits), torch.cat(targets), torch.cat(weights)
    grid = [0.6 + 0.05 * step for step in range(60)]
    losses = [
        float((nn.functional.cross_entropy(every / value, target, reduction="none") * weight).sum()) for value in grid
    ]
    return grid[int(np.argmin(losses))]
