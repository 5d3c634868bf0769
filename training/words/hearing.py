"""A text as a recogniser would have written it down that heard only its beginning.

What Whisper does to the first seconds of a call, imitated: the sound stops in the middle, so the last words are lost,
cut, guessed or said over and over; names come out as other names; numbers come as figures or as words; a word is
lost or doubled in noise; stops and capitals come and go; and what was no speech at all is thanked for watching.
"""

from __future__ import annotations

import random as standard
from typing import Final

FIRST_WORDS: Final = 2
"""The least that is left of a longer text."""
_SHARE_WHOLE: Final = 0.3
_SHARE_MISHEARD: Final = 0.55
_VOWELS: Final = "aeiouy"
_LETTERS: Final = "abcdefghijklmnoprstuvwz"
_FIGURES: Final = {
    "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7",
    "eight": "8", "nine": "9",
}  # fmt: skip
INVENTED: Final = (
    *("Thank you.", "Thanks for watching!", "Thank you for watching.", "you", "Bye.", "So", "I", "Oh", "Music"),
    *("Gracias.", "Merci.", "Danke.", "Untertitel der Amara.org-Community", "Sous-titres réalisés par la communauté"),
    *("Obrigado.", "Grazie.", "Продолжение следует...", "Субтитры сделал DimaTorzok", "♪", "..."),
)
"""What Whisper writes where nobody speaks; published often enough to be known."""


def _mistaken(word: str, random: standard.Random) -> str:
    """A word as it is misheard: a letter lost, doubled, or another one of its kind."""
    if len(word) < 3:
        return word
    place = random.randrange(1, len(word))
    how = random.random()
    if how < 0.3:
        return word[:place] + word[place + 1 :]
    if how < 0.5:
        return word[:place] + word[place - 1] + word[place:]
    other = random.choice(_VOWELS if word[place] in _VOWELS else _LETTERS)
    return word[:place] + other + word[place + 1 :]


def cut(text: str, random: standard.Random) -> str:
    """The beginning of a text: all of it, or some words, of which the last may be torn."""
    words = text.split()
    if len(words) <= FIRST_WORDS or random.random() < _SHARE_WHOLE:
        return text
    kept = words[: random.randint(FIRST_WORDS, len(words))]
    end = random.random()
    if end < 0.15 and len(kept[-1]) > 3:
        kept[-1] = kept[-1][: random.randint(2, len(kept[-1]) - 1)]
    elif end < 0.25:
        size = random.randint(1, min(4, len(kept)))
        kept += kept[-size:] * random.randint(1, 3)
    elif end < 0.3:
        kept[-1] = _mistaken(kept[-1], random)
    return " ".join(kept)


def misheard(text: str, random: standard.Random) -> str:
    """The text with a recogniser's mistakes, some of the time; its meaning mostly stays."""
    if random.random() > _SHARE_MISHEARD:
        return text
    rate = random.choice((0.03, 0.08, 0.15))
    out: list[str] = []
    for word in text.split():
        bare = word.strip(".,?!").lower()
        if bare in _FIGURES and random.random() < 0.5:
            word = word.lower().replace(bare, _FIGURES[bare])
        if random.random() < rate:
            chance = random.random()
            if chance < 0.25:
                continue
            word = word + " " + word if chance < 0.35 else _mistaken(word, random)
        out.append(word)
    heard = " ".join(out)
    if random.random() < 0.3:
        heard = heard.replace(",", "").replace(".", "")
    return heard.lower() if random.random() < 0.2 else heard


def heard(text: str, random: standard.Random) -> str:
    """What is written down of a text that was spoken."""
    return misheard(cut(text, random), random)
