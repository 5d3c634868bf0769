"""The second thing that training asks of the network: spell the words out, so that it has to hear them.

A verdict says little about words: it is one bit for ten seconds, and a network that learns from it alone learns when
somebody speaks and hardly what. Here a linear layer reads phones from the evidence that the verdict is made of, and is
trained with connectionist temporal classification (Graves et al., ICML 2006), which needs no times for the phones, only
where the words begin and end. The layer serves training alone; it is not part of what is shipped.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from amd_model.detector.spec import FRAMES_PER_TICK
from training.corpus.phones import PHONES

LATE_FRAMES = 5
"""A phone may be told this much after the words' end: nobody hears into the future."""


class Spelling(nn.Module):
    """Evidence of every tick → log-probabilities of phones in its frames."""

    def __init__(self, evidence: int) -> None:
        super().__init__()
        self.phones = nn.Linear(evidence, FRAMES_PER_TICK * (len(PHONES) + 1))

    def forward(self, evidence: Tensor) -> Tensor:
        """[B, n, E] → [B, n·5, phones + 1], of which 0 is the blank."""
        return torch.log_softmax(
            self.phones(evidence).float().unflatten(2, (FRAMES_PER_TICK, -1)).flatten(1, 2), dim=-1
        )

    def loss(self, evidence: Tensor, spans: Tensor, phones: Tensor) -> Tensor:
        """[B, n, E], frames from and to [B, S, 2], phones [B, S, P] filled up with 0 → nats a phone, 0 without any."""
        told = self(evidence)
        counts = (phones > 0).sum(dim=2)
        answers, places = torch.nonzero(counts, as_tuple=True)
        if not len(answers):
            return evidence.sum() * 0.0
        begin = spans[answers, places, 0]
        frames = (spans[answers, places, 1] + LATE_FRAMES).clamp(max=told.shape[1]) - begin
        at = begin[:, None] + torch.arange(int(frames.max()), device=told.device)
        heard = told[answers[:, None], at.clamp(max=told.shape[1] - 1)]
        counts = counts[answers, places]
        losses = nn.functional.ctc_loss(
            heard.transpose(0, 1), phones[answers, places], frames, counts, reduction="none", zero_infinity=True
        )
        return losses.sum() / counts.sum()
