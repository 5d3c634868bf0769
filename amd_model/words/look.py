"""A look at the words, whole: sound in, evidence out; for the process beside the worker and for evaluations."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from amd_model.detector.evidence import WordEvidence
from amd_model.verdict import Answerer
from amd_model.words.ears import Ears
from amd_model.words.phrases import KINDS, LIVE, MACHINE, Kind, Phrases, live_share

MAX_TEXT: Final = 400


class Reader:
    """A recogniser and the model that judges what it writes."""

    def __init__(self, ears: Ears, phrases: Phrases) -> None:
        self._ears = ears
        self._phrases = phrases

    def look(self, samples: NDArray[np.float32], until_ms: int) -> WordEvidence | None:
        """What the words of 8 kHz samples say; None where there are none. Blocks for some tenths of a second."""
        heard = self._ears.look(samples)
        if not heard.text:
            return None
        judged = self._phrases.judge(heard.text)
        return WordEvidence(
            live=live_share(judged),
            sure=heard.sure,
            until_ms=until_ms,
            person=_likeliest(judged, LIVE),
            machine=_likeliest(judged, MACHINE),
            language=heard.language,
            text=heard.text[:MAX_TEXT],
        )


def _likeliest(judged: NDArray[np.float64], among: frozenset[Kind]) -> Answerer:
    best = max((place for place, kind in enumerate(KINDS) if kind in among), key=lambda place: float(judged[place]))
    return Answerer(KINDS[best].value)
