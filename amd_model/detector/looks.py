"""When to look at the words: only where they can change something, and not too often. Pure.

At the first pause after words; again at a later pause, for a machine may go on after one; while a long turn goes on.
Never before somebody spoke, never after the verdict, and no second time at the same words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PAUSE_MS: Final = 200
"""Silence, as heard at a tick's end, from which on words have paused: the pause itself is some 50 ms longer."""
BEFORE_MS: Final = 600
"""What is looked at begins so long before the first word, whose own beginning is told late."""
LEAST_MS: Final = 160
"""Speech below this is no word."""
LONG_MS: Final = (2_200, 4_200)
"""Speech without a pause is looked at when it has gone on for so long, measured from its start."""
FRESH_MS: Final = 250
"""So much new speech makes a new look worth its while."""
MOST: Final = 3
HOLD_MS: Final = 200
"""How long a verdict that is not plain waits for a look under way: a person's own wait grows by no more."""


@dataclass(slots=True)
class Looks:
    """What has been asked for on one stream. Changed in place."""

    taken: int = 0
    covered_ms: int = -1
    """Speech until then was looked at."""
    long_turns: int = 0

    def due(self, first_speech_ms: int, last_speech_ms: int, speech_ms: int, now_ms: int, most: int = MOST) -> bool:
        """Whether to look now; the look is counted as taken."""
        if first_speech_ms < 0 or self.taken >= most or speech_ms < LEAST_MS:
            return False
        silence = now_ms - last_speech_ms
        if silence >= PAUSE_MS:
            wanted = last_speech_ms - self.covered_ms >= FRESH_MS
        else:
            turn = now_ms - first_speech_ms
            wanted = self.long_turns < len(LONG_MS) and turn >= LONG_MS[self.long_turns]
            if wanted:
                self.long_turns += 1
        if wanted:
            self.taken += 1
            self.covered_ms = now_ms if silence < PAUSE_MS else last_speech_ms
        return wanted
