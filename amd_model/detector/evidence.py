"""What the words say, weighed together with what the network hears. Pure.

A look at the words (`amd_model.words`) comes back some tenths of a second after it was asked for and covers what had
been heard by then. It is weighed as odds: the network's person against machine, times the words' own, which are bounded
(nobody is that sure of a transcript), softened where the recogniser itself was unsure, and where more has been said
since: "Hello, this is Peter" was a person's until it went on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from amd_model.verdict import Answerer

MOST_ODDS: Final = math.log(60.0)
WEIGHT: Final = 1.0
"""How much the words' odds count beside the network's; 0 leaves them out."""
TELLING: Final = math.log(3.0)
"""Words that change the odds by this much are why it was decided so."""
UNSURE: Final = 0.45
"""A transcript whose tokens are this probable on average is believed in full; less sure ones in proportion."""
STALE_MS: Final = 250
"""Speech that went on for longer than this after a look was not in it."""
_STALE: Final = 0.3

Posterior = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class WordEvidence:
    """One look's result. `live` is the share of a person (`words.phrases.live_share`), 0.5 where nothing tells.

    `until_ms` is the end of the sound that was looked at; `person` and `machine` are the likeliest answerers of
    either side.
    """

    live: float
    sure: float
    until_ms: int
    person: Answerer = Answerer.PERSON
    machine: Answerer = Answerer.VOICEMAIL
    language: str = ""
    text: str = ""

    def closest(self, *, live: bool) -> Answerer:
        """Who answered, given which side it was."""
        return self.person if live else self.machine

    def log_odds(self, last_speech_ms: int) -> float:
        """What a person's log odds gain by these words, with speech heard until `last_speech_ms`."""
        share = min(max(self.live, 1e-6), 1.0 - 1e-6)
        odds = math.log(share / (1.0 - share)) * min(1.0, self.sure / UNSURE)
        if odds > 0 and last_speech_ms > self.until_ms + STALE_MS:
            odds *= _STALE
        return min(max(odds, -MOST_ODDS), MOST_ODDS)


def weighed(posterior: Posterior, evidence: WordEvidence, last_speech_ms: int, weight: float = WEIGHT) -> Posterior:
    """The network's posterior with the words in it, in the order of `spec.CLASSES`.

    What is neither person nor machine stays.
    """
    live, machine, fax, unknown = posterior
    somebody = live + machine
    if somebody <= 0.0:
        return posterior
    log = math.log(max(live, 1e-9) / max(machine, 1e-9)) + weight * evidence.log_odds(last_speech_ms)
    live = somebody / (1.0 + math.exp(-log))
    return live, somebody - live, fax, unknown
