"""The network: a convolution over 20 ms frames, one vector a tick, two small GRUs over ticks, three heads.

The first GRU *listens* (it is supervised with who speaks when, and follows the line's noise); the second
*judges* from the tick's vector, what the first remembers, and the speech probabilities themselves, so that the
length of speech and of silence is plain to see. Causal and streaming: a stream's whole memory is one flat row of
floats (``ModelSpec.state_size``), so a server can keep a matrix of streams and step any subset of its rows.
``forward`` (whole sequences) and ``step`` (one tick) run the same layers.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from amd_model.detector.spec import CLASSES, FEATURES, FRAMES_PER_TICK, NET_OUTPUTS, ModelSpec

_CONTEXT_FRAMES = 2
_CONTEXT = _CONTEXT_FRAMES * FEATURES


class Logits(NamedTuple):
    """What a network says of n ticks, and the evidence [B, n, E] from which it says it."""

    classes: Tensor  # [B, n, 4]
    speech: Tensor  # [B, n, 5]
    tone: Tensor  # [B, n, 1]
    state: Tensor  # [B, S], after the last tick
    evidence: Tensor


class AmdNet(nn.Module):
    """Features → per tick: class posterior, speech by frame, tone."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        joined = spec.conv_channels * FRAMES_PER_TICK
        self.frames = nn.Conv1d(FEATURES, spec.conv_channels, kernel_size=_CONTEXT_FRAMES + 1)
        self.tick = nn.Linear(joined, spec.embedding)
        self.listening = nn.GRU(spec.embedding, spec.listening, batch_first=True)
        self.speech = nn.Linear(joined + spec.listening, FRAMES_PER_TICK)
        self.judging = nn.GRU(spec.embedding + spec.listening + FRAMES_PER_TICK, spec.hidden, batch_first=True)
        self.tone = nn.Linear(spec.embedding, 1)
        self.classes = nn.Linear(spec.hidden, len(CLASSES))
        # Calibration, set after training on the dev split: logits are divided by it.
        self.temperature: Tensor
        self.register_buffer("temperature", torch.ones(()))

    def initial_state(self, batch: int) -> Tensor:
        """[B, S] of zeros: a stream that has heard nothing."""
        return torch.zeros(batch, self.spec.state_size)

    def logits(self, features: Tensor, state: Tensor, dropout: float = 0.0) -> Logits:
        """[B, n·5, F], [B, S] → what every tick holds, before it is made a probability."""
        spec, batch = self.spec, features.shape[0]
        context = state[:, :_CONTEXT].reshape(batch, _CONTEXT_FRAMES, FEATURES)
        heard = state[:, _CONTEXT : _CONTEXT + spec.listening]
        judged = state[:, _CONTEXT + spec.listening :]
        frames = torch.cat((context, features), dim=1)
        mapped = torch.relu(self.frames(frames.transpose(1, 2))).transpose(1, 2)
        joined = mapped.reshape(batch, -1, FRAMES_PER_TICK * spec.conv_channels)
        embedded = self._drop(torch.relu(self.tick(joined)), dropout)
        listened, heard = self.listening(embedded, heard[None].contiguous())
        speech = self.speech(torch.cat((joined, listened), dim=2))
        evidence = torch.cat((embedded, self._drop(listened, dropout), torch.sigmoid(speech)), dim=2)
        remembered, judged = self.judging(evidence, judged[None].contiguous())
        new_state = torch.cat((frames[:, -_CONTEXT_FRAMES:].flatten(1), heard[0], judged[0]), dim=1)
        return Logits(self.classes(self._drop(remembered, dropout)), speech, self.tone(embedded), new_state, evidence)

    def _drop(self, values: Tensor, share: float) -> Tensor:
        return nn.functional.dropout(values, share, training=self.training) if share > 0.0 else values

    def forward(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Whole sequences: [B, n·5, F], [B, S] → probabilities [B, n, NET_OUTPUTS] and the state after them."""
        classes, speech, tone, new_state, _ = self.logits(features, state)
        posterior = torch.softmax(classes / self.temperature, dim=-1)
        return torch.cat((posterior, torch.sigmoid(speech), torch.sigmoid(tone)), dim=-1), new_state

    def step(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One tick: [B, 5, F], [B, S] → [B, NET_OUTPUTS], [B, S]."""
        outputs, new_state = self.forward(features, state)
        assert outputs.shape[1:] == (1, NET_OUTPUTS)
        return outputs[:, 0], new_state
