"""A second model that listens to the same audio and is only written down: how a new one is tried on live calls.

The shadow hears every tick that the serving model hears, keeps its own memory, decides by its own policy, and
tells nobody but the caller of `compare`. When the serving model's verdict falls before the shadow's, the
shadow's likeliest class at that moment counts, and the comparison says that it had not decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from amd_model.detector.checkpoint import LoadedModel
from amd_model.detector.decision import DecisionState, decide
from amd_model.detector.spec import CLASSES
from amd_model.verdict import AmdEvent, AmdOptions, EventKind, Verdict
from amd_model.worker.serving import Floats, Ticker


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two verdicts on one stream; `shadow_at_ms` is None when the shadow had not decided yet."""

    at_ms: int
    result: Verdict
    confidence: float
    version: str
    shadow_at_ms: int | None
    shadow_result: Verdict
    shadow_confidence: float
    shadow_version: str

    @property
    def agree(self) -> bool:
        """True when both named the same class."""
        return self.result is self.shadow_result


class Opinion:
    """The shadow's memory of one stream."""

    __slots__ = ("state", "verdict")

    def __init__(self, state: DecisionState) -> None:
        self.state = state
        self.verdict: AmdEvent | None = None


class Shadow:
    """The second model and its rows, which are numbered as the serving engine numbers its own."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._ticker = Ticker(model)
        self._fresh: Floats = model.net.initial_state(1).numpy()
        self._states = self._fresh[:0]

    def open(self, row: int) -> Opinion:
        """Forget what the row held and begin anew."""
        missing = row + 1 - len(self._states)
        if missing > 0:
            # Doubling, so that the cost of growing does not depend on how it comes about.
            more = self._fresh.repeat(max(missing, len(self._states)), axis=0)
            self._states = np.concatenate((self._states, more))
        self._states[row] = self._fresh
        return Opinion(self._model.start())

    def hear(self, samples: Tensor, rows: NDArray[np.intp], streams: Sequence[tuple[Opinion, AmdOptions, int]]) -> None:
        """One tick of each stream: [B, samples], [B], and each one's (opinion, options, tick index)."""
        outputs, states = self._ticker.tick(samples, self._states[rows])
        self._states[rows] = states
        for (opinion, options, tick), row in zip(streams, outputs.tolist(), strict=True):
            opinion.state, events = decide(opinion.state, row, options, tick)
            for event in events:
                if event.kind is EventKind.VERDICT:
                    opinion.verdict = event

    def compare(self, opinion: Opinion, said: AmdEvent) -> Comparison:
        """The serving model's verdict beside the shadow's."""
        assert said.result is not None
        own = opinion.verdict
        if own is not None and own.result is not None:
            at_ms, result, confidence = own.at_ms, own.result, own.confidence
        else:
            at_ms = None
            posterior = opinion.state.posterior
            best = max(range(len(CLASSES)), key=posterior.__getitem__)
            result, confidence = CLASSES[best], posterior[best]
        return Comparison(
            said.at_ms,
            said.result,
            said.confidence,
            said.model_version,
            at_ms,
            result,
            confidence,
            self._model.version,
        )
