"""The network: a convolution over 20 ms frames, one vector a tick, a GRU over ticks, three heads.

Causal and streaming. A stream's whole memory is one flat row of floats (``ModelSpec.state_size``), so that a
server can keep a matrix of streams and step any subset of its rows. ``forward`` (training, whole sequences)
and ``step`` (serving, one tick) run the same layers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from amd_model.spec import CLASSES, FEATURES, FRAMES_PER_TICK, NET_OUTPUTS, ModelSpec

_CONTEXT_FRAMES = 2


class AmdNet(nn.Module):
    """Features → per tick: class posterior, speech by frame, tone."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        channels = spec.conv_channels
        self.frames = nn.Conv1d(FEATURES, channels, kernel_size=_CONTEXT_FRAMES + 1)
        self.tick = nn.Linear(channels * FRAMES_PER_TICK, spec.embedding)
        self.memory = nn.GRU(spec.embedding, spec.hidden, num_layers=spec.layers, batch_first=True)
        self.speech = nn.Linear(channels * FRAMES_PER_TICK, FRAMES_PER_TICK)
        self.tone = nn.Linear(spec.embedding, 1)
        self.classes = nn.Linear(spec.hidden, len(CLASSES))
        # Calibration, set after training on the dev split: logits are divided by it.
        self.temperature: Tensor
        self.register_buffer("temperature", torch.ones(()))

    def initial_state(self, batch: int) -> Tensor:
        """[B, S] of zeros: a stream that has heard nothing."""
        return torch.zeros(batch, self.spec.state_size)

    def logits(
        self, features: Tensor, state: Tensor, dropout: float = 0.0
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """[B, n·5, F], [B, S] → class logits [B, n, 4], speech logits [B, n, 5], tone logits [B, n, 1], state."""
        spec = self.spec
        batch = features.shape[0]
        context = state[:, : _CONTEXT_FRAMES * FEATURES].reshape(batch, _CONTEXT_FRAMES, FEATURES)
        hidden = state[:, _CONTEXT_FRAMES * FEATURES :].reshape(batch, spec.layers, spec.hidden)
        frames = torch.cat((context, features), dim=1)
        mapped = torch.relu(self.frames(frames.transpose(1, 2))).transpose(1, 2)
        joined = mapped.reshape(batch, -1, FRAMES_PER_TICK * spec.conv_channels)
        embedded = torch.relu(self.tick(joined))
        if dropout > 0.0:
            embedded = nn.functional.dropout(embedded, dropout, training=self.training)
        remembered, hidden = self.memory(embedded, hidden.transpose(0, 1).contiguous())
        if dropout > 0.0:
            remembered = nn.functional.dropout(remembered, dropout, training=self.training)
        new_state = torch.cat((frames[:, -_CONTEXT_FRAMES:].flatten(1), hidden.transpose(0, 1).flatten(1)), dim=1)
        return self.classes(remembered), self.speech(joined), self.tone(embedded), new_state

    def forward(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Whole sequences: [B, n·5, F], [B, S] → probabilities [B, n, NET_OUTPUTS] and the state after them."""
        classes, speech, tone, new_state = self.logits(features, state)
        posterior = torch.softmax(classes / self.temperature, dim=-1)
        return torch.cat((posterior, torch.sigmoid(speech), torch.sigmoid(tone)), dim=-1), new_state

    def step(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One tick: [B, 5, F], [B, S] → [B, NET_OUTPUTS], [B, S]."""
        outputs, new_state = self.forward(features, state)
        assert outputs.shape[1:] == (1, NET_OUTPUTS)
        return outputs[:, 0], new_state
