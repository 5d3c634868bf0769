"""What words tell of who answered: a linear model over hashed n-grams of a transcript. Pure; numpy.

A recogniser writes down the beginning of an answer, cut wherever it was stopped, with mistakes of its own: names
misspelt, numbers in figures, the last words over and over. The features are made for that: words and pairs of words,
letters within words, what stands first, how much was said. The classes are `Kind`; `Kind.OTHER` is what anybody may
say and nothing follows from. Trained on texts alone (``python -m training words``), so it cannot know a microphone.
"""

from __future__ import annotations

import json
import re
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

SHIPPED: Final = Path(__file__).parents[1] / "weights" / "phrases.safetensors"
BUCKETS: Final = 1 << 15
"""Rows of the weights: features are hashed into so many."""
MAX_CHARACTERS: Final = 600
"""More of a transcript is not looked at: some 40 s of fast speech."""


class Kind(StrEnum):
    """What a transcript says of who or what answered."""

    PERSON = "person"
    BUSINESS = "business"
    """A person who answers for a firm: a receptionist."""
    VOICEMAIL = "voicemail"
    MAILBOX_FULL = "mailbox_full"
    CARRIER_ANNOUNCEMENT = "carrier_announcement"
    CALL_SCREENING = "call_screening"
    MENU = "menu"
    OTHER = "other"
    """What people and machines alike may say; it tells neither."""


KINDS: Final = tuple(Kind)
LIVE: Final = frozenset({Kind.PERSON, Kind.BUSINESS})
MACHINE: Final = frozenset(KINDS) - LIVE - {Kind.OTHER}

_WORD: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|\?")
_MAX_REPEATED: Final = 8


def words_of(text: str) -> list[str]:
    """The words of a transcript: lower case, no accents, figures as ``0``, question marks kept, loops said once.

    A recogniser whose sound ends in the middle of a word likes to say its last words again and again; up to
    `_MAX_REPEATED` words that stand twice in a row stand once here.
    """
    plain = unicodedata.normalize("NFKD", text[:MAX_CHARACTERS].casefold())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    words = ["0" if word.isdigit() else word.replace("’", "'") for word in _WORD.findall(plain)]
    out: list[str] = []
    for word in words:
        out.append(word)
        for size in range(1, min(_MAX_REPEATED, len(out) // 2) + 1):
            if out[-size:] == out[-2 * size : -size]:
                del out[-size:]
                break
    return out


def _features(words: Sequence[str]) -> Iterator[str]:
    yield "bias"
    yield f"length {min(len(words), 24) // 2}"
    for place, word in enumerate(words):
        yield f"w {word}"
        if place < 4:
            yield f"{place} {word}"
        padded = f"<{word}>"
        for size in (3, 4):
            for start in range(len(padded) - size + 1):
                yield f"c {padded[start : start + size]}"
    bounded = ["^", *words]
    for size in (2, 3):
        for start in range(len(bounded) - size + 1):
            yield f"{size} {' '.join(bounded[start : start + size])}"


def buckets(text: str) -> NDArray[np.int64]:
    """The rows of the weights that a transcript adds up, each once: int64 [features], ascending."""
    hashed = {zlib.crc32(feature.encode()) % BUCKETS for feature in _features(words_of(text))}
    return np.array(sorted(hashed), np.int64)


def scale(count: int) -> float:
    """What a sum over `count` rows is multiplied by, so that long texts are not believed for their length alone."""
    return 1.0 / float(np.sqrt(count))


class PhrasesError(ValueError):
    """The weights cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Phrases:
    """The model. `weights` float32 [BUCKETS, len(KINDS)]; `card` is what is known of it."""

    weights: NDArray[np.float32]
    card: dict[str, Any]

    def judge(self, text: str) -> NDArray[np.float64]:
        """Probabilities of `KINDS`, float64 [len(KINDS)], sum 1. Without a word all of it is `Kind.OTHER`."""
        if not words_of(text):
            return np.array([float(kind is Kind.OTHER) for kind in KINDS])
        rows = buckets(text)
        logits = self.weights[rows].sum(axis=0, dtype=np.float64) * scale(len(rows))
        odds = np.exp(logits - logits.max())
        return np.asarray(odds / odds.sum(), np.float64)

    def save(self, path: Path) -> None:
        """Write the weights as float16, with the card inside."""
        save_file({"weights": self.weights.astype(np.float16)}, path, {"card": json.dumps(self.card)})


def load(path: Path = SHIPPED) -> Phrases:
    """Read a model. Raises PhrasesError."""
    try:
        with safe_open(path, framework="np") as content:
            card = json.loads(content.metadata()["card"])
            weights = content.get_tensor("weights").astype(np.float32)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise PhrasesError(f"{path}: no phrase model: {error}") from error
    if weights.shape != (BUCKETS, len(KINDS)) or card.get("kinds") != [str(kind) for kind in KINDS]:
        raise PhrasesError(f"{path}: of another shape than this version knows; train it again")
    return Phrases(weights, card)


def live_share(probabilities: NDArray[np.float64]) -> float:
    """How much of what tells anything tells of a person: 0…1; 0.5 where nothing tells."""
    live = sum(float(probabilities[place]) for place, kind in enumerate(KINDS) if kind in LIVE)
    machine = sum(float(probabilities[place]) for place, kind in enumerate(KINDS) if kind in MACHINE)
    neither = 1.0 - live - machine
    return live + neither / 2
