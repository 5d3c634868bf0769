"""A larger network for the comparison: a causal conformer over ticks, which can attend to all that was heard.

It has the shipped network's inputs, outputs and losses, so that ``training.studies.compare`` treats it alike. It is not
servable as it is: a stream's memory would be every layer's keys and values, some 100 kB against 1 kB.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from amd_model.detector.network import Logits
from amd_model.detector.spec import CLASSES, FEATURES, FRAMES_PER_TICK
from training.composition.dataset import Shard
from training.learning.batches import batch_of
from training.learning.losses import loss_of

_KERNEL = 7


class _Block(nn.Module):
    """Half a feed-forward, attention to the past, a convolution over the last ticks, half a feed-forward."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.after = (
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
            for _ in range(2)
        )
        self.norm = nn.LayerNorm(width)
        self.asked = nn.Linear(width, 3 * width)
        self.joined = nn.Linear(width, width)
        self.norm_near = nn.LayerNorm(width)
        self.gated = nn.Linear(width, 2 * width)
        self.near = nn.Conv1d(width, width, _KERNEL, groups=width)
        self.mixed = nn.Linear(width, width)
        self.last = nn.LayerNorm(width)

    def forward(self, x: Tensor, bias: Tensor, dropout: float) -> Tensor:
        def drop(values: Tensor) -> Tensor:
            return nn.functional.dropout(values, dropout, training=self.training)

        batch, ticks, width = x.shape
        x = x + 0.5 * drop(self.before(x))
        q, k, v = self.asked(self.norm(x)).reshape(batch, ticks, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        heard = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        x = x + drop(self.joined(heard.transpose(1, 2).reshape(batch, ticks, width)))
        near = nn.functional.glu(self.gated(self.norm_near(x)), dim=-1).transpose(1, 2)
        near = self.near(nn.functional.pad(near, (_KERNEL - 1, 0))).transpose(1, 2)
        x = x + drop(self.mixed(nn.functional.silu(near)))
        return torch.as_tensor(self.last(x + 0.5 * drop(self.after(x))))


class Conformer(nn.Module):
    """Features → per tick: class posterior, speech by frame, tone; as ``AmdNet``, and causal like it."""

    def __init__(self, width: int = 144, blocks: int = 4, heads: int = 4, conv_channels: int = 80) -> None:
        super().__init__()
        self.heads = heads
        joined = conv_channels * FRAMES_PER_TICK
        self.frames = nn.Conv1d(FEATURES, conv_channels, kernel_size=3)
        self.tick = nn.Linear(joined, width)
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(blocks))
        self.speech = nn.Linear(joined + width, FRAMES_PER_TICK)
        self.tone = nn.Linear(width, 1)
        self.classes = nn.Linear(width, len(CLASSES))

    def initial_state(self, batch: int) -> Tensor:
        """Nothing is carried over: it hears whole answers."""
        return torch.zeros(batch, 1)

    def logits(self, features: Tensor, state: Tensor, dropout: float = 0.0) -> Logits:
        """[B, n·5, F], [B, 1] → as ``AmdNet.logits``."""
        batch = features.shape[0]
        padded = nn.functional.pad(features, (0, 0, 2, 0)).transpose(1, 2)
        joined = torch.relu(self.frames(padded)).transpose(1, 2).reshape(batch, -1, self.tick.in_features)
        x = embedded = torch.relu(self.tick(joined))
        bias = self._bias(x.shape[1]).to(x.device)
        speech: Tensor | None = None
        for block in self.blocks:
            x = block(x, bias, dropout)
            if speech is None:  # as in the shipped network: who speaks when is known before who it is
                speech = self.speech(torch.cat((joined, x), dim=2))
        assert speech is not None
        return Logits(self.classes(x), speech, self.tone(embedded), state, x)

    def _bias(self, ticks: int) -> Tensor:
        """[heads, ticks, ticks]: nothing of the future, and each head forgets at its own pace (ALiBi)."""
        age = torch.arange(ticks)[:, None] - torch.arange(ticks)[None]
        slopes = torch.tensor([2.0 ** -(2 + 2 * head) for head in range(self.heads)])
        bias = -slopes[:, None, None] * age
        return bias.masked_fill(age < 0, float("-inf"))

    def forward(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Whole sequences → probabilities [B, n, NET_OUTPUTS] and the state, unchanged."""
        classes, speech, tone, state, _ = self.logits(features, state)
        return torch.cat((torch.softmax(classes, dim=-1), torch.sigmoid(speech), torch.sigmoid(tone)), dim=-1), state


def fit(data: Shard, epochs: int, seed: int = 1, batch: int = 64, rate: float = 1e-3) -> Conformer:
    """Train one with the shipped network's loss and variations; the last epoch's average of weights is kept."""
    torch.manual_seed(seed)
    random, vary = np.random.default_rng(seed), np.random.default_rng((seed, 0))
    net, average = Conformer(), Conformer()
    average.load_state_dict(net.state_dict())
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=0.02)
    steps = epochs * -(-len(data) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps + 1, pct_start=0.15)
    device, step = torch.device("cpu"), 0
    for _ in range(epochs):
        order = random.permutation(len(data))
        for start in range(0, len(order), batch):
            taken = batch_of(data, np.sort(order[start : start + batch]), device, vary)
            loss, _ = loss_of(net, taken, 0.1)
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            step += 1
            keep = min(0.998, 1.0 - 1.0 / (1 + step / 4))
            with torch.no_grad():
                for ours, theirs in zip(average.parameters(), net.parameters(), strict=True):
                    ours.lerp_(theirs, 1.0 - keep)
    return average.eval()
