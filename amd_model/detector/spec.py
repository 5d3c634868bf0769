"""What the detector eats and emits: the one description that training, export and serving share.

Pure constants and frozen values. Time is counted in *ticks* of 100 ms; the detector says something once a
tick. A tick's input is ``CONTEXT_SAMPLES`` of the past followed by ``TICK_SAMPLES`` of the present, so the
whole signal path is a function of a fixed window and the answer cannot depend on how the audio was chunked.

One tick's output is a row of ``OUTPUTS`` floats, in this order:

* ``posterior`` – four probabilities in the order of ``CLASSES``, given everything heard so far;
* ``speech`` – for each of the tick's five frames, the probability that somebody speaks in it;
* ``tone`` – the probability that the tick holds a signalling tone;
* ``measures`` – for each frame the ``TONE_MEASURES`` of :mod:`amd_model.detector.features`, which
  :mod:`amd_model.detector.tones` reads.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from amd_model.verdict import Verdict

SAMPLE_RATE: Final = 8_000
TICK_MS: Final = 100
TICK_SAMPLES: Final = 800
HOP_SAMPLES: Final = 160
HOP_MS: Final = 20
WINDOW_SAMPLES: Final = 320
CONTEXT_SAMPLES: Final = WINDOW_SAMPLES - HOP_SAMPLES
FRAMES_PER_TICK: Final = TICK_SAMPLES // HOP_SAMPLES

MELS: Final = 32
# frequency of the strongest peak (kHz), its share of the power, the same for the second peak,
# level (scaled dB), share of the power in the V.21 band
TONE_MEASURES: Final = 6
FEATURES: Final = MELS + TONE_MEASURES

CLASSES: Final = (Verdict.LIVE_PERSON, Verdict.ANSWERING_MACHINE, Verdict.FAX, Verdict.UNKNOWN)

POSTERIOR: Final = slice(0, len(CLASSES))
SPEECH: Final = slice(len(CLASSES), len(CLASSES) + FRAMES_PER_TICK)
TONE: Final = SPEECH.stop
NET_OUTPUTS: Final = TONE + 1
MEASURES: Final = slice(NET_OUTPUTS, NET_OUTPUTS + FRAMES_PER_TICK * TONE_MEASURES)
OUTPUTS: Final = MEASURES.stop

# Raised whenever features, layer layout or the meaning of an output change: older weights are refused.
FORMAT_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """The network's shape; stored beside the weights and checked when they are loaded."""

    conv_channels: int = 64
    embedding: int = 96
    listening: int = 64
    hidden: int = 128
    format_version: int = FORMAT_VERSION

    @property
    def state_size(self) -> int:
        """Floats of recurrent state a stream needs: two frames of convolution context, then both GRUs'."""
        return 2 * FEATURES + self.listening + self.hidden

    def to_json(self) -> dict[str, int]:
        """Plain values for the card."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> ModelSpec:
        """The inverse. Raises ValueError naming a missing, unknown or non-integer field."""
        known = {f.name for f in fields(cls)}
        if set(body) != known:
            raise ValueError(f"model spec fields differ: {sorted(set(body) ^ known)}")
        for name, value in body.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"model spec {name}: {value!r} is not a positive integer")
        return cls(**body)
