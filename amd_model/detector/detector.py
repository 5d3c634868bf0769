"""The detector for one stream: bytes in, events out. The same signal path as the many-stream engine, with one row.

No sockets and no clock: time is the audio's own. The result does not depend on how the bytes were chunked.
"""

from __future__ import annotations

import torch

from amd_model.detector.checkpoint import LoadedModel
from amd_model.detector.decision import decide, finish
from amd_model.detector.pcm import TickBuffer
from amd_model.detector.spec import TICK_MS
from amd_model.verdict import AmdEvent, AmdOptions


class Detector:
    """One answered call. ``done`` turns true when nothing more will be told."""

    def __init__(self, model: LoadedModel, options: AmdOptions | None = None) -> None:
        self._model = model
        self._options = options or AmdOptions()
        self._buffer = TickBuffer()
        self._memory = model.net.initial_state(1)
        self._state = model.start()
        self._ticks = 0

    @property
    def done(self) -> bool:
        """Nothing more will be told."""
        return self._state.done

    @property
    def heard_ms(self) -> int:
        """Audio analysed so far."""
        return self._ticks * TICK_MS

    @property
    def posterior(self) -> tuple[float, float, float, float]:
        """Probabilities in the order of ``spec.CLASSES``, given what was heard so far."""
        return self._state.posterior

    def feed(self, pcm: bytes) -> list[AmdEvent]:
        """16-bit little-endian 8 kHz mono, any length → what there is to tell, in time order."""
        events: list[AmdEvent] = []
        self._buffer.feed(pcm)
        while (window := self._buffer.take()) is not None:
            if self._state.done:
                continue
            outputs, self._memory = self._model.tick(torch.from_numpy(window)[None], self._memory)
            self._state, told = decide(self._state, outputs[0].tolist(), self._options, self._ticks)
            self._ticks += 1
            events += told
        return events

    def finish(self) -> list[AmdEvent]:
        """The audio ended: a verdict if there was none. A last piece shorter than a tick is not analysed."""
        self._state, events = finish(self._state, self._options, self.heard_ms)
        return events
