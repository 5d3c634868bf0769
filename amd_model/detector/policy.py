"""How sure a decision must be, after how much silence: thresholds found on the dev split, not felt. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from amd_model.detector.spec import TICK_MS
from amd_model.verdict import AmdOptions

_WORD_MS, _SHORT_MS = 160, 1_000  # a short answer: less is rather a noise than a word
_EVEN = 0.5
_PAUSE_MS = 300  # from here on a machine's silence is more than a breath


@dataclass(frozen=True, slots=True)
class Policy:
    """Probabilities at which the risk of a mistake is worth the time saved; silences in milliseconds.

    ``live_*``: a person is told when silent for ``live_silence_ms`` with probability ``live``; the longer the
    silence, the lower the demand: ``live_late`` at the call's after-greeting silence, even odds at one and a
    half times that. ``live_short`` scales the demand for an answer of a word or two, rarely a greeting's start.
    """

    live: float = 0.9
    live_late: float = 0.5
    live_short: float = 1.0
    live_silence_ms: int = 200
    machine: float = 0.95
    machine_silence: float = 0.9
    fax: float = 0.9
    unknown: float = 0.9

    def to_json(self) -> dict[str, float]:
        """Plain values for the card."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Policy:
        """The inverse. Raises ValueError naming what is missing, unknown or not a number."""
        known = {f.name for f in fields(cls)}
        if set(body) != known:
            raise ValueError(f"policy fields differ: {sorted(set(body) ^ known)}")
        for name, value in body.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
                raise ValueError(f"policy {name}: {value!r} is not a number")
        return cls(**body)

    def live_demand(self, options: AmdOptions, silence_ms: int, spoken_ms: int) -> float:
        """What a person's probability must reach after so much silence behind so much speech: the longer, the less.

        It falls from ``live`` through ``live_late`` at the call's after-greeting silence to even odds at one and a half
        times that, because by then a person has waited long enough.
        """
        late, last = self._waits(options)
        if silence_ms <= late:
            part = (silence_ms - self.live_silence_ms) / (late - self.live_silence_ms)
            live = self.live + (self.live_late - self.live) * part
        else:
            live = self.live_late + (_EVEN - self.live_late) * min(1.0, (silence_ms - late) / (last - late))
        if _WORD_MS <= spoken_ms < _SHORT_MS:
            live = max(_EVEN, live * self.live_short)
        return live

    def machine_demand(self, options: AmdOptions, silence_ms: int) -> float:
        """What a machine's must reach: ``machine`` while it speaks, then from ``machine_silence`` to even odds."""
        if silence_ms < _PAUSE_MS:
            return self.machine
        _, last = self._waits(options)
        share = min(1.0, (silence_ms - _PAUSE_MS) / max(TICK_MS, last - _PAUSE_MS))
        return self.machine_silence + (_EVEN - self.machine_silence) * share

    def _waits(self, options: AmdOptions) -> tuple[int, int]:
        """The after-greeting silence, and that at which the likelier of a person and a machine is told."""
        late = max(self.live_silence_ms + TICK_MS, options.after_greeting_silence_ms)
        return late, late + late // 2
