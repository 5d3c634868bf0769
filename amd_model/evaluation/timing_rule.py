"""The classic timing rule, for comparison: Asterisk's documented AMD algorithm with its default settings.

Written from the documentation of ``app_amd`` (amd.conf): silence is a 20 ms frame whose mean magnitude is
below the threshold; a word is at least ``MIN_WORD`` of sound.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from amd_model.verdict import Verdict

INITIAL_SILENCE_MS: Final = 2_500
GREETING_MS: Final = 1_500
AFTER_GREETING_SILENCE_MS: Final = 800
TOTAL_ANALYSIS_MS: Final = 5_000
MIN_WORD_MS: Final = 100
BETWEEN_WORDS_MS: Final = 50
MAX_WORDS: Final = 3
MAX_WORD_MS: Final = 5_000
SILENCE_THRESHOLD: Final = 256
_FRAME: Final = 160
_FRAME_MS: Final = 20


def timing_rule(samples: NDArray[np.float32]) -> tuple[Verdict, int]:
    """8 kHz samples in −1…1 → the verdict (``UNKNOWN`` for NOTSURE) and when it was reached, in ms."""
    count = len(samples) // _FRAME
    magnitude = np.abs(samples[: count * _FRAME]).reshape(count, _FRAME).mean(axis=1) * 32_768.0
    silence = voice = words = greeting = 0
    in_word, in_greeting, in_initial = False, False, True
    for index, level in enumerate(magnitude):
        now = (index + 1) * _FRAME_MS
        if level < SILENCE_THRESHOLD:
            silence += _FRAME_MS
            if silence >= BETWEEN_WORDS_MS:
                in_word = False
                voice = 0
            if in_initial and silence >= INITIAL_SILENCE_MS:
                return Verdict.ANSWERING_MACHINE, now
            if in_greeting and silence >= AFTER_GREETING_SILENCE_MS:
                return Verdict.LIVE_PERSON, now
        else:
            silence = 0
            voice += _FRAME_MS
            if voice >= MIN_WORD_MS and not in_word:
                words += 1
                in_word = True
            if words >= MAX_WORDS or voice >= MAX_WORD_MS:
                return Verdict.ANSWERING_MACHINE, now
            if in_word and in_greeting and greeting >= GREETING_MS:
                return Verdict.ANSWERING_MACHINE, now
            if voice >= MIN_WORD_MS:
                in_initial, in_greeting = False, True
        if in_greeting:
            greeting += _FRAME_MS
        if now >= TOTAL_ANALYSIS_MS:
            break
    return Verdict.UNKNOWN, min(count * _FRAME_MS, TOTAL_ANALYSIS_MS)
